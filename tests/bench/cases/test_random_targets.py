"""Training is measured for every task: a step with random targets is the loop's, and learns."""

import math
from pathlib import Path
from typing import Any

import pytest

from bench.cases.case import Case
from bench.cases.prepare import prepare
from bench.cases.targets import TARGETS
from bench.cases.training_step import TrainingStep, training
from bench.measures import parity
from tests import tiny_models
from zoo.measure.workload import TrainStep

SLOW = ("whisper_asr", "wav2vec2_ctc", "wav2vec2_ctc_unmasked")
"""Their learning rates are for pretrained weights."""


@pytest.mark.slow
@pytest.mark.parametrize("name", tiny_models.MODELS)
def test_a_step_of_every_model(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny_models.checkpoint(name, request.getfixturevalue, tmp_path)
    found = prepare(Case.of(str(folder), batch_size=2, phase="training").to_json(), str(tmp_path))
    given: dict[str, Any] = {
        "checkpoint": str(folder),
        "deployment": "eager",
        "inputs": found["inputs"],
        "device": "cpu",
        "threads": None,
    }
    told = parity.compare(TARGETS[TrainStep], given, "training", found["reference"], 2)
    assert told["fault"] == "" and told["values"] > 0, told
    step = training(**given)
    first = mean_loss(step)
    assert math.isfinite(first) and first > 0
    for _ in range(30):
        step.call()
    assert mean_loss(step) < (0.998 if name in SLOW else 0.9) * first


def mean_loss(step: TrainingStep) -> float:
    loss = step.forward()
    return (loss.sum / loss.count).item()
