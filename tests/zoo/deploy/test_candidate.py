"""Candidates: what fails is a result, and what is wrong gets no number."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.errors import UserError
from tests import tiny_models
from tests.zoo.measure.machine import Machine, Noise
from zoo.deploy.candidate import BASELINE, Candidate, DeploymentBuilder
from zoo.deploy.export import ExportSource
from zoo.evaluation.paired_test import MetricDrop
from zoo.measure import Arm, Plan, compare
from zoo.runtimes.deployment import Deployment

EAGER = Deployment(BASELINE)


@pytest.fixture(scope="module")
def builder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> DeploymentBuilder:
    folder = tmp_path_factory.mktemp("cnn")
    original = ExportSource.open(tiny_models.checkpoint("cnn_cls", request.getfixturevalue, folder))
    staging = folder / "staging"
    staging.mkdir()
    return DeploymentBuilder(original, staging, original.samples("validation", limit=32))


def test_eager_is_sound_and_loses_nothing(builder: DeploymentBuilder) -> None:
    made = builder.make(EAGER)
    assert (made.name, made.fault, made.artifact) == ("eager", "", None)
    assert made.proof is not None and made.proof.passed
    assert made.drop is not None and (made.drop.value, made.drop.n) == (0.0, 32)
    assert made.within(0.0)


def test_what_is_wrong_gets_no_number(builder: DeploymentBuilder) -> None:
    """The weights that are deployed are not those of the source."""
    with torch.no_grad():
        bias = list(builder.original.model.parameters())[-1]
        bias += torch.arange(len(bias))
        made = builder.make(EAGER)
        bias -= torch.arange(len(bias))
    assert made.fault.startswith("WRONG: ") and made.drop is None and not made.within(1.0)


def _raises(error: Exception) -> Callable[[Path], Any]:
    def build(folder: Path) -> Any:
        assert folder.is_dir() and not list(folder.iterdir())
        raise error

    return build


def test_what_can_not_be_built_is_a_result(builder: DeploymentBuilder) -> None:
    for error, fault in (
        (UserError("onnx has no such operator"), "onnx has no such operator"),
        (ValueError("axis 3"), "ValueError: axis 3"),
    ):
        made = builder.make(Deployment("onnx"), _raises(error), ["layer"])
        assert (made.fault, made.artifact, made.proof) == (fault, None, None)
        assert made.excluded == ("layer",) and not made.within(1.0)
    with pytest.raises(OSError, match="no space"):
        builder.make(Deployment("onnx"), _raises(OSError("no space")))


def test_times_are_those_of_a_comparison() -> None:
    """On a machine that does not exist."""
    machine = Machine(0, Noise())
    candidates = [Candidate(Deployment.parse(name)) for name in ("eager", "onnx", "openvino")]
    kwargs: list[dict[str, Any]] = [{"times": 4}, {"times": 1}, {"dies_at": 1}]
    arms = [Arm(one.name, "m:f", given) for one, given in zip(candidates, kwargs, strict=True)]
    outcome = compare(arms, Plan(budget_s=5.0), start=machine.start, clock=machine.now)
    for one in candidates:
        one.take_times(outcome)
    eager, onnx, openvino = candidates
    assert eager.times is not None and eager.compared is None and eager.fault == ""
    assert onnx.speedup() == pytest.approx(4, rel=0.1) and onnx.surely(3.5) and not onnx.surely(4.5)
    assert openvino.times is None and openvino.fault != "" and openvino.speedup() == float("-inf")


def _loses(value: float | None, fault: str = "") -> Candidate:
    drop = None if value is None else MetricDrop(value, value, value, 10, "made up")
    return Candidate(EAGER, drop=drop, fault=fault)


def test_the_better_one_is_sound_first() -> None:
    ranked = [_loses(0.0), _loses(0.2), _loses(0.1, "slow"), _loses(None, "WRONG")]
    for place, one in enumerate(ranked):
        assert [one.loses_less(other) for other in ranked[place + 1 :]] == [True] * (3 - place)
        assert not any(other.loses_less(one) for other in ranked[place + 1 :])
