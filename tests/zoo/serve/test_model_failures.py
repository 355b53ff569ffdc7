"""A model in a worker: an input that breaks something is its own fault alone."""

import contextlib
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.errors import UserError
from zoo.serve.model import BatchingModel, Work


class _Predictor:
    """Gives back texts; it breaks on some."""

    device = "cpu"

    def __init__(self) -> None:
        self.is_broken = False
        self.task = SimpleNamespace(to_json=self._said, pipeline="none")

    def context(self) -> contextlib.AbstractContextManager[None]:
        """As that of `Predictor`."""
        return contextlib.nullcontext()

    def prepare(self, items: Sequence[str]) -> list[str]:
        """As that of `Predictor`."""
        for item in items:
            if item == "no text":
                raise UserError("this is no text")
            if item == "unreadable":
                raise RuntimeError("a decoder of ours")
        return list(items)

    def compute(self, rows: Sequence[str]) -> Sequence[str]:
        """As that of `Predictor`."""
        if "breaks" in rows:
            self.is_broken = True
        if self.is_broken or "large" in rows:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return rows

    @staticmethod
    def _said(prediction: str, top_k: int | None) -> dict[str, Any]:
        if prediction == "unsayable":
            raise ValueError("no such label")
        return {"label": prediction}


def _model(predictor: _Predictor) -> BatchingModel:
    modality: Any = SimpleNamespace(
        decode=lambda item, *_: item, row_size=lambda row: (1, len(row)), duration=lambda *_: None
    )
    return BatchingModel(predictor, modality, "text", None)  # type: ignore[arg-type]


def _answers(model: BatchingModel, *texts: str) -> list[Any]:
    found = {
        x.place: x for batch in model.answers([Work(t, {}) for t in texts]) for x in batch.answers
    }
    return [found[i].prediction or found[i].fault or found[i].failure for i in range(len(texts))]


@pytest.mark.parametrize("bad", ["unreadable", "unsayable", "large"])
def test_what_fails_on_one_input_is_not_told_of_others(bad: str) -> None:
    one, failure, other, fault = _answers(_model(_Predictor()), "a", bad, "b", "no text")
    assert (one, other) == ({"label": "a"}, {"label": "b"})
    assert failure in ("RuntimeError", "ValueError") and fault["error"] == "this is no text"


def test_a_worker_whose_model_answers_nothing_any_more_ends() -> None:
    """A GPU in error stays so; the next process answers."""
    with pytest.raises(RuntimeError, match="illegal memory access"):
        _answers(_model(_Predictor()), "a", "breaks")


def test_empty_texts_alone_are_a_batch_too() -> None:
    assert _answers(_model(_Predictor()), "", "") == [{"label": ""}, {"label": ""}]
