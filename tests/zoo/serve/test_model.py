"""A worker's model without weights: what it warms up with."""

from types import SimpleNamespace
from typing import Any

import pytest

from zoo.serve.model import USUAL, BatchingModel


@pytest.mark.parametrize(("max_seconds", "seconds"), [(600.0, USUAL["audio"]), (1.0, 0.5)])
def test_it_warms_up_with_a_sound_that_is_short_enough(max_seconds: float, seconds: float) -> None:
    """A longer one would be refused, and no worker would ever be ready."""
    predictor: Any = SimpleNamespace(task=SimpleNamespace(), device="cpu", prepare=list)
    modality: Any = SimpleNamespace(row_size=lambda row: (1, len(row["array"])))
    model = BatchingModel(predictor, modality, "audio", None, max_seconds)
    sound: Any = model.probe(model._usual)
    assert len(sound["array"]) / sound["sampling_rate"] == seconds


@pytest.mark.parametrize(("a_pass", "a_unit", "expected"), [(5.0, 0.1, 50), (0.0, 0.1, 1)])
def test_it_measures_what_a_pass_costs_beside_its_work(
    monkeypatch: pytest.MonkeyPatch, a_pass: float, a_unit: float, expected: float
) -> None:
    now = 0.0

    def compute(rows: list[Any]) -> list[Any]:
        nonlocal now
        now += a_pass + a_unit * len(rows) * len(rows[0])
        return rows

    clock = SimpleNamespace(perf_counter=lambda: now, monotonic=lambda: now)
    monkeypatch.setattr("zoo.serve.model.time", clock)
    task = SimpleNamespace(to_json=lambda *_: {}, pipeline="none")
    predictor: Any = SimpleNamespace(task=task, device="cpu", prepare=list, compute=compute)
    modality: Any = SimpleNamespace(
        decode=lambda item, *_: item, row_size=lambda row: (1, len(row)), duration=lambda *_: None
    )
    model = BatchingModel(predictor, modality, "text", None)
    model.warm_up(4)
    assert model.overhead == pytest.approx(expected)
