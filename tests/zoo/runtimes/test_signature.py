"""Inputs are checked before a runtime sees them."""

import dataclasses
import json

import numpy as np
import pytest

from tasks.errors import UserError
from zoo.runtimes.signature import Signature, TensorSpec

SIGNATURE = Signature(
    (
        TensorSpec("input_ids", "int64", ("batch", "length")),
        TensorSpec("attention_mask", "int64", ("batch", "length")),
        TensorSpec("image", "float32", ("batch", 3)),
    ),
    ("logits",),
    {"batch": (1, 4), "length": (2, 8)},
)


def _arrays(batch: int = 2, length: int = 5) -> dict[str, np.ndarray]:
    tokens = np.ones((batch, length), np.int64)
    return {
        "input_ids": tokens,
        "attention_mask": tokens,
        "image": np.ones((batch, 3), np.float32),
    }


def test_sizes_are_found() -> None:
    assert SIGNATURE.check(_arrays(3, 7)) == {"batch": 3, "length": 7}


def test_json_and_back() -> None:
    assert Signature.from_json(json.loads(json.dumps(SIGNATURE.to_json()))) == SIGNATURE


def test_kinds_are_kept() -> None:
    told = dataclasses.replace(
        SIGNATURE,
        outputs=("logits", "pred_boxes", "more"),
        kinds={"logits": "probabilities", "pred_boxes": "boxes_cxcywh"},
    )
    content = json.loads(json.dumps(told.to_json()))
    assert content["outputs"] == ["logits", "pred_boxes", "more"]
    assert content["kinds"] == {"logits": "probabilities", "pred_boxes": "boxes_cxcywh"}
    read = Signature.from_json(content)
    assert read == told
    assert [read.kind(name) for name in read.outputs] == ["probabilities", "boxes_cxcywh", None]


def test_a_signature_without_kinds_stays_as_it_was_written() -> None:
    """Digests are taken of it; "logits" are logits, of others nothing is said."""
    assert "kinds" not in SIGNATURE.to_json()
    assert SIGNATURE.kind("logits") == "logits"
    assert SIGNATURE.kind("encoder_last_hidden_state") is None


def test_a_kind_that_is_not_known() -> None:
    with pytest.raises(ValueError, match="output 'logits' is of a kind that is not known here"):
        Signature.from_json({**SIGNATURE.to_json(), "kinds": {"logits": "smell"}})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"strange": np.ones(1)}, "no input 'strange'; there are attention_mask, image, input_ids"),
        ({"image": None}, "'image' is missing"),
        ({"image": np.ones((2, 3))}, "'image' is float64, and wants float32"),
        ({"image": np.ones((2, 4), np.float32)}, "'image' is [2, 4], and wants [batch, 3]"),
        ({"image": np.ones((3, 3), np.float32)}, "with batch 2"),
        ({"image": np.ones((2, 3, 1), np.float32)}, "wants [batch, 3]"),
    ],
)
def test_strange_inputs(change: dict[str, np.ndarray | None], said: str) -> None:
    arrays = {k: v for k, v in {**_arrays(), **change}.items() if v is not None}
    with pytest.raises(UserError) as caught:
        SIGNATURE.check(arrays)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("sizes", "said"), [((5, 5), "batch 5: this program takes 1 to 4"), ((2, 9), "length 9"),
                        ((2, 1), "length 1: this program takes 2 to 8")]
)  # fmt: skip
def test_limits(sizes: tuple[int, int], said: str) -> None:
    with pytest.raises(UserError) as caught:
        SIGNATURE.check(_arrays(*sizes))
    assert said in str(caught.value)
