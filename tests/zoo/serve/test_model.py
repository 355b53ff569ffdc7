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
