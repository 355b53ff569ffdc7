"""Texts in one row: what lies where, whatever their lengths."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.kinds.losses import IGNORED
from tasks.nlp import packing, tagged_words
from tasks.nlp.masking import Vocabulary, most_masked
from tasks.nlp.masking import mask as mask_tokens
from tasks.nlp.text_classification import Args, TextClassification
from tasks.packed import PackedShape
from tasks.randomness import EpochView

PAD = 7


def _row(number: int, windows: list[list[int]], **more: Any) -> dict[str, Any]:
    return {"sample_id": number, "input_ids": windows, **more}


@given(
    lengths=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=3), min_size=1, max_size=6),
    spare=st.integers(0, 3),
    more=st.integers(0, 40),
)
def test_every_token_is_in_its_sequence_and_none_is_empty(
    lengths: list[list[int]], spare: int, more: int
) -> None:
    """Windows of any length, also of none."""
    windows = [[list(range(10, 10 + n)) for n in row] for row in lengths]
    rows = [_row(i, row, token_type_ids=row) for i, row in enumerate(windows)]
    flat = [window or [PAD] for row in windows for window in row]
    longest = max(2, *map(len, flat))
    sequences = len(flat) + spare
    shape = PackedShape(1, len(rows) + spare, sequences, longest)
    while not shape.fits(len(rows), len(flat), sum(map(len, flat))):
        shape = PackedShape(shape.tokens + 1, shape.samples, sequences, longest)
    shape = PackedShape(shape.tokens + more, shape.samples, sequences, longest)
    batch = packing.pack(rows, shape, PAD)
    ids, places = batch.inputs["input_ids"][0], batch.inputs["position_ids"][0]
    bounds = batch.inputs["cu_seqlens"]
    assert ids.shape == places.shape == (shape.tokens,) and ids.dtype == torch.int64
    assert bounds.dtype == torch.int32 and len(bounds) == sequences + shape.fillers + 1
    sizes = bounds.diff()
    assert int(sizes.min()) >= 1 and int(sizes.max()) <= longest and bounds[-1] == shape.tokens
    for window, begin, end in zip(flat, bounds[:-1], bounds[1:], strict=False):
        assert ids[begin:end].tolist() == window
        assert batch.inputs["token_type_ids"][0, begin:end].tolist() in (window, [0])
    assert (ids[bounds[len(flat)] :] == PAD).all()
    whole = np.concatenate([np.arange(size) for size in sizes.tolist()])
    assert places.tolist() == whole.tolist()
    assert batch.ids.tolist() == [*range(len(rows)), *[-1] * (shape.samples - len(rows))]


def test_more_than_fits_is_a_bug() -> None:
    shape = PackedShape(8, 1, 1, 8)
    with pytest.raises(AssertionError, match="who cuts a step"):
        packing.pack([_row(0, [list(range(9))])], shape, PAD)


@given(st.lists(st.lists(st.integers(0, 9), max_size=60), min_size=1, max_size=5), st.floats(0, 1))
def test_never_more_tokens_are_masked_than_there_is_room_for(
    windows: list[list[int]], probability: float
) -> None:
    vocabulary = Vocabulary(20, 3, (0, 1))
    _, labels = mask_tokens(windows, range(len(windows)), vocabulary, probability, EpochView(1, 2))
    chosen = sum(int((each != IGNORED).sum()) for each in labels)
    assert chosen <= most_masked(sum(map(len, windows)), len(windows), probability)


def test_masked_tokens_are_found_where_they_lie() -> None:
    shape = PackedShape(12, 3, 3, 4)
    labels = [[IGNORED, 5, IGNORED], [], [6, IGNORED]]
    targets = packing.of_few_tokens(labels, shape, 4)
    # the second window has no token, and so is one of padding
    assert targets["places"].tolist() == [1, 4, 0, 0]
    assert targets["labels"].tolist() == [5, 6, IGNORED, IGNORED]


def test_a_word_has_its_label_at_its_first_piece() -> None:
    row = {
        "input_ids": [[2, 9, 9, 3], [2, 9, 3]],
        "word_windows": [0, 0, 1, -1],
        "word_positions": [1, 2, 1, -1],
        "label": [4, 5, 6, 7],
    }
    found = [each.tolist() for each in tagged_words.labels_of_tokens(row)]
    assert found == [[IGNORED, 4, 5, IGNORED], [IGNORED, 6, IGNORED]]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(
    ("kind", "labels", "values"),
    [
        ("single_label_classification", ("a", "b", "c"), [2, 0]),
        ("multi_label_classification", ("a", "b", "c"), [[0, 2], []]),
        ("regression", (), [0.5, -2.0]),
        ("regression", ("width", "height"), [[0.5, 3.0], [-2.0, 1.0]]),
    ],
)
def test_the_loss_is_that_of_the_samples_alone(
    kind: Any, labels: tuple[str, ...], values: list[Any], smoothing: float
) -> None:
    weights = (0.5, 1.0, 3.0) if kind == "single_label_classification" else ()
    task = TextClassification(Args(), labels, kind, weights)
    rows = [_row(i, [[2, 3]], label=value) for i, value in enumerate(values)]
    packed = task.collate_packed(rows, PackedShape(12, 4, 4, 3))
    logits = torch.randn(4, max(1, len(labels)), generator=torch.Generator().manual_seed(0))
    logits.requires_grad_()
    expected = task.loss({"logits": logits[:2]}, task.collate(rows), smoothing)
    found = task.loss({"logits": logits}, packed, smoothing)
    assert found.sum.item() == pytest.approx(expected.sum.item(), rel=1e-6)
    assert float(found.count) == float(expected.count)
    (gradient,) = torch.autograd.grad(found.sum, logits)
    (wanted,) = torch.autograd.grad(expected.sum, logits)
    torch.testing.assert_close(gradient, wanted)
    assert not gradient[2:].any()
