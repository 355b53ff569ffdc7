"""Batches of numpy's arrays say what those of tensors say, and give the same predictions."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tasks.base import Batch, PredictsArrays
from tasks.nlp import text_classification, token_classification
from tasks.speech import audio_classification
from tasks.vision import image_classification

LABELS = ("O", "B-X", "I-X")
KINDS = ("single_label_classification", "multi_label_classification", "regression")
TRUTHS = {KINDS[0]: [2, 0, 1], KINDS[1]: [[0, 2], [], [1]], KINDS[2]: [0.1, -3.0, 7.5]}


class Model:
    """Logits of a few sums over each row's inputs; arrays of arrays, tensors of tensors."""

    def __init__(self, of_tokens: bool, outputs: int) -> None:
        self.of_tokens, self.outputs = of_tokens, outputs

    def __call__(self, **inputs: Any) -> SimpleNamespace:
        values = torch.as_tensor(next(iter(inputs.values()))).float()
        each = values if self.of_tokens else values.flatten(1).sum(1)
        logits = torch.stack([(each * (k + 1)).sin() * 3 for k in range(self.outputs)], -1)
        are_arrays = all(isinstance(one, np.ndarray) for one in inputs.values())
        return SimpleNamespace(logits=logits.numpy() if are_arrays else logits)


def texts(kind: str) -> tuple[Any, list[dict]]:
    """The second in three windows, and pairs."""
    args = text_classification.Args(threshold=0.4)
    labels = () if kind == "regression" else LABELS
    task = text_classification.TextClassification(args, labels, kind, pad_token_id=3)
    windows = [[[5, 6, 7]], [[8, 9], [10], [11, 12, 13, 14]], [[]]]
    rows = [
        {"sample_id": 9 - i, "input_ids": ids, "token_type_ids": ids, "label": truth}
        for i, (ids, truth) in enumerate(zip(windows, TRUTHS[kind], strict=True))
    ]
    return task, rows


def images(kind: str) -> tuple[Any, list[dict]]:
    """A grey one among two in colour."""
    task = image_classification.ImageClassification(
        image_classification.Args(), () if kind == "regression" else LABELS, kind, size=6
    )
    rng = np.random.default_rng(0)
    rows = [
        {"sample_id": i, "image": rng.integers(0, 256, (6, 6, channels)).astype(np.uint8)}
        for i, channels in enumerate((3, 1, 3))
    ]
    return task, [row | {"label": truth} for row, truth in zip(rows, TRUTHS[kind], strict=True)]


def sounds(kind: str) -> tuple[Any, list[dict]]:
    """The first in two windows."""
    task = audio_classification.AudioClassification(
        audio_classification.Args(), () if kind == "regression" else LABELS, kind
    )
    rng = np.random.default_rng(0)
    windows = [[rng.normal(size=(n, 4)).astype(np.float32) for n in row] for row in ((3, 7), (2,))]
    return task, [{"sample_id": i, "windows": row} for i, row in enumerate(windows)]


def tags(labels: tuple[str, ...]) -> tuple[Any, list[dict]]:
    """Two windows; a word without pieces, and a text without words."""
    task = token_classification.TokenClassification(token_classification.Args(), labels)
    rows = [
        {
            "sample_id": 4,
            "input_ids": [[5, 6, 7], [8, 9]],
            "word_windows": [0, -1, 1],
            "word_positions": [1, -1, 0],
            "text": "a b c",
            "words": [(0, 1), (2, 3), (4, 5)],
        },
        {"sample_id": 2, "input_ids": [[5]], "word_windows": [], "word_positions": []}
        | {"text": "", "words": []},
    ]
    return task, rows


CASES = {
    **{f"text, {kind}": (texts, kind) for kind in KINDS},
    **{f"image, {kind}": (images, kind) for kind in KINDS},
    **{f"sound, {kind}": (sounds, kind) for kind in KINDS},
    "tags": (tags, LABELS),
    "tags without O": (tags, ("NOUN", "VERB")),
}


def flat(batch: Batch) -> dict[str, Any]:
    """All that a batch holds, by name."""
    return {**batch.inputs, **batch.targets, "ids": batch.ids} | {
        name: getattr(batch, name) for name in ("windows", "lengths", "spans")
    }


@pytest.mark.parametrize("name", CASES)
def test_arrays_and_tensors_say_the_same(name: str) -> None:
    make, what = CASES[name]
    task, rows = make(what)
    assert isinstance(task, PredictsArrays)
    tensors, arrays = task.collate(rows), task.collate_arrays(rows)
    assert list(flat(tensors)) == list(flat(arrays)) and len(arrays) == len(rows)
    for key, tensor in flat(tensors).items():
        array = flat(arrays)[key]
        if not isinstance(tensor, torch.Tensor):
            assert array == tensor and not isinstance(array, np.ndarray)
            continue
        assert isinstance(array, np.ndarray), key
        theirs = tensor.numpy()
        assert (array.dtype, array.strides) == (theirs.dtype, theirs.strides)
        assert np.array_equal(array, theirs), key
    outputs = max(len(task.labels), 1)
    model: Any = Model(make is tags, outputs)
    logits = task.forward(model, arrays)["logits"]
    assert isinstance(logits, np.ndarray) and logits.dtype == np.float32
    assert np.array_equal(logits, task.forward(model, tensors)["logits"].numpy())
    ours, theirs = task.predict(model, arrays), task.predict(model, tensors)
    assert len(ours) == len(rows)
    assert [*map(task.to_json, ours)] == [*map(task.to_json, theirs)]


def test_labels_are_those_of_the_rows() -> None:
    for kind, expected in (
        (KINDS[0], [2, 0, 1]),
        (KINDS[1], [[1, 0, 1], [0, 0, 0], [0, 1, 0]]),
        (KINDS[2], [np.float32(0.1), -3, 7.5]),
    ):
        task, rows = texts(kind)
        labels = task.collate(rows).targets["labels"]
        assert labels.tolist() == expected
        assert labels.dtype == (torch.int64 if kind == KINDS[0] else torch.float32)
