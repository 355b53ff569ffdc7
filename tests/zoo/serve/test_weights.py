"""Weights as a worker's model: inputs of several requests, each with labels of its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.errors import UserError
from zoo.model import registry
from zoo.predict.zero_shot import ZeroShot
from zoo.serve import weights
from zoo.serve.description import describe_weights
from zoo.serve.model import Work

ENTRY = registry.find("bert_cls")
TEXTS = ("a fine film", "the story was dull, and the music awful")
LABELS, OTHERS = ["film", "music"], ["dull", "fine", "moving"]


@pytest.fixture(scope="module")
def model(tiny_bert: Path) -> weights.WeightsModel:
    """The tiny BERT as weights that embed."""
    return weights.load(ENTRY, tiny_bert, "cpu", None, None)


def _answers(
    model: weights.WeightsModel, asked: Sequence[tuple[Any, Mapping[str, Any]]]
) -> list[Any]:
    """The answers in the order of what is asked: predictions, or faults."""
    work = [Work(item, parameters) for item, parameters in asked]
    found = {one.place: one for batch in model.answers(work) for one in batch.answers}
    return [found[i].prediction or found[i].fault for i in range(len(work))]


def test_each_request_has_its_own_labels(model: weights.WeightsModel, tiny_bert: Path) -> None:
    asked = [
        (text, {"labels": labels, "top_k": 3}) for labels in (LABELS, OTHERS) for text in TEXTS
    ]
    found = _answers(model, asked[::2] + asked[1::2])
    for labels, rows in ((LABELS, found[::2]), (OTHERS, found[1::2])):
        expected = ZeroShot(ENTRY, str(tiny_bert), labels, device="cpu")(list(TEXTS), top_k=3)
        for one, other in zip(rows, expected, strict=True):
            assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)


def test_texts_are_embedded_beside_others_that_are_labelled(model: weights.WeightsModel) -> None:
    template = {"labels": LABELS, "template": "it is {}"}
    found = _answers(model, [(TEXTS[0], {"embed": True}), (TEXTS[0], template)] * 2)
    assert np.linalg.norm(found[0]["embedding"]) == pytest.approx(1, abs=1e-5)
    assert found[0] == found[2] and found[0]["tokens"] == 5
    assert set(found[1]) == {"label", "score"} and found[1] == found[3]


def test_what_is_wrong_is_the_fault_of_its_own_request(model: weights.WeightsModel) -> None:
    long = {"labels": ["a", "film " * 500]}
    found = _answers(model, [(TEXTS[0], long), (TEXTS[0], {"labels": LABELS}), (b"x", {})])
    assert "leave" in found[0]["error"] or "tokens" in found[0]["error"]
    assert found[1]["label"] in LABELS
    assert "no text" in found[2]["error"]


def test_it_warms_up(model: weights.WeightsModel) -> None:
    model.warm_up(4)


def test_weights_are_described_without_being_loaded(tiny_bert: Path, tmp_path: Path) -> None:
    found = describe_weights(str(tiny_bert), "tiny")
    assert found is not None and found.kind == "text" and found.task.labels == ()
    assert found.pipelines[0] == "zero-shot-classification" and len(found.sha256) == 64
    assert describe_weights(str(tmp_path), "none") is None
    with pytest.raises(UserError, match="not at hand"):
        describe_weights("clip-vit-base-patch32", "clip")
