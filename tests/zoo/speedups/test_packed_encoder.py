"""Encoders that take packed texts: what they put out, what they refuse, and that nothing in a pass
depends on the values in a batch."""

import copy
from typing import Any

import pytest
import torch

import tasks  # noqa: F401  (transformers imports torchvision, which may need our guard)

# isort: split
import transformers

from tasks.nlp.packing import pack
from tasks.packed import PackedShape
from tests.tiny_encoders import KINDS, LENGTH
from zoo.nlp.masked_positions_only import compute_only_predicted
from zoo.speedups import packed_attention, packed_encoder
from zoo.speedups.fast_encoder import speed_up

ENCODERS = sorted(packed_encoder.TYPES)
SIZES = (7, 1, 12, 4)
SHAPE = PackedShape(48, 6, 6, 12)
PAD = 1  # an id that a text may have, too


def _model(kind: str, head: str = "ForSequenceClassification", **changes: Any) -> Any:
    name, shape = KINDS[kind]
    given = {**shape, "vocab_size": 50, "pad_token_id": PAD, "num_labels": 3, **changes}
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}{head}")(getattr(transformers, f"{name}Config")(**given))
    return model.eval()


def _rows() -> list[dict[str, Any]]:
    rng = torch.Generator().manual_seed(0)
    texts = [torch.randint(2, 50, (n,), generator=rng).tolist() for n in SIZES]
    texts[2][5] = PAD  # in the middle of a text: RoBERTa does not count it
    return [{"sample_id": i, "input_ids": [text]} for i, text in enumerate(texts)]


def _alone(model: Any, rows: list[dict[str, Any]]) -> list[torch.Tensor]:
    """The logits of each text by itself, none of whose tokens is padding."""
    found = []
    for row in rows:
        ids = torch.tensor(row["input_ids"])
        found.append(model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0])
    return found


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("pooling", ["cls", "mean"])
@torch.no_grad()
def test_a_classifier_reads_each_text_as_if_alone(kind: str, pooling: str) -> None:
    changes = {"classifier_pooling": pooling} if kind == "modernbert" else {}
    if pooling == "mean" and not changes:
        return
    model, rows = _model(kind, **changes), _rows()
    expected = torch.stack(_alone(model, rows))
    assert packed_encoder.fault(model) is None
    packed_encoder.pack(model, SHAPE)
    logits = model(**pack(rows, SHAPE, PAD).inputs).logits
    assert logits.shape == (6, 3) and logits.isfinite().all()
    torch.testing.assert_close(logits[:4], expected, atol=2e-5, rtol=0)
    # a padded batch is computed as before
    torch.testing.assert_close(torch.stack(_alone(model, rows)), expected, atol=0, rtol=0)
    copied = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    again = copied(**pack(rows, SHAPE, PAD).inputs).logits
    torch.testing.assert_close(again, logits, atol=0, rtol=0)


@pytest.mark.parametrize("kind", ENCODERS)
@torch.no_grad()
def test_tokens_have_logits_where_they_lie(kind: str) -> None:
    model, rows = _model(kind, "ForTokenClassification"), _rows()
    expected = torch.cat(_alone(model, rows))
    packed_encoder.pack(model, SHAPE)
    logits = model(**pack(rows, SHAPE, PAD).inputs).logits
    assert logits.shape == (1, 48, 3)
    torch.testing.assert_close(logits[0, : sum(SIZES)], expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize(
    "head", ["ForSequenceClassification", "ForTokenClassification", "ForMaskedLM"]
)
def test_no_shape_depends_on_what_is_in_a_batch(
    kind: str, head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On no device, where whatever asks for a value fails; by the kernels, in bf16, dropout on."""
    monkeypatch.setattr(packed_attention, "packed_attention", packed_attention.kernel_attention)
    model = _model(kind, head).train().to("meta", torch.bfloat16)
    packed_encoder.pack(model, SHAPE)
    inputs = {name: each.to("meta") for name, each in pack(_rows(), SHAPE, PAD).inputs.items()}
    logits = model(**inputs).logits
    assert logits.shape[:-1] == ((6,) if "Sequence" in head else (1, 48))
    logits.float().sum().backward()
    missing = {name for name, p in model.named_parameters() if p.grad is None}
    assert missing <= {"cls.predictions.bias", "lm_head.bias"}, "which moving has untied"


def test_with_the_other_speedups() -> None:
    """The embedding cut to what is used, the first token, only what is predicted."""
    model, rows = _model("bert"), _rows()
    with torch.no_grad():
        expected = torch.stack(_alone(model, rows))
    speed_up(model, torch.arange(50).numpy())
    model.eval()
    packed_encoder.pack(model, SHAPE)
    logits = model(**pack(rows, SHAPE, PAD).inputs).logits
    torch.testing.assert_close(logits[:4], expected, atol=2e-5, rtol=0)
    guesser = _model("bert", "ForMaskedLM")
    with torch.no_grad():
        wanted = torch.cat(_alone(guesser, rows))[[2, 9]]
    compute_only_predicted(guesser)
    packed_encoder.pack(guesser, SHAPE)
    found = guesser(**pack(rows, SHAPE, PAD).inputs, predicted=torch.tensor([2, 9])).logits
    torch.testing.assert_close(found, wanted, atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    ("kind", "changes", "expected"),
    [
        ("albert", {}, "and this is albert"),
        ("bert", {"is_decoder": True}, "and this is bert"),
        ("bert", {"chunk_size_feed_forward": 4}, "chunk_size_feed_forward is 4"),
        ("bert", {"attn_implementation": "eager"}, "its attention is eager, and not sdpa"),
    ],
)
def test_what_cannot_be_packed_is_named(kind: str, changes: Any, expected: str) -> None:
    assert expected in str(packed_encoder.fault(_model(kind, **changes)))


def test_positions_fit_the_longest_text() -> None:
    """Padding has no longer sequences than texts, so no position beyond the model's."""
    rows = [{"sample_id": 0, "input_ids": [list(range(2, 2 + LENGTH))]}]
    shape = PackedShape(5 * LENGTH, 1, 1, LENGTH)
    model = _model("bert")
    packed_encoder.pack(model, shape)
    assert model(**pack(rows, shape, PAD).inputs).logits.isfinite().all()
