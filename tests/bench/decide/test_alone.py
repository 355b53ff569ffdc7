"""Where every other deployment falls out, eager fp32 is timed by itself and wins; and every winner
has golden inputs, also one without a program."""

from pathlib import Path
from typing import Any

import pytest

from bench import cli
from bench.decide import search
from bench.decide.successive_halving import Halved
from bench.measures import memory
from bench.record.results import MeasureResult, Value
from tests import tiny_models
from tests.zoo.measure.machine import Machine, Noise
from zoo.deploy import golden, winner
from zoo.deploy.candidate import Candidate
from zoo.measure import Arm, compare, measure
from zoo.runtimes.deployment import Deployment
from zoo.store import evidence


@pytest.fixture(scope="module")
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cnn")
    return tiny_models.checkpoint("cnn_cls", request.getfixturevalue, folder)


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are those of a machine that does not exist; all are finalists."""
    machine = Machine(0, Noise())

    def everyone(arms: list[Arm], *_: Any, **__: Any) -> Halved:
        return Halved(tuple(arm.name for arm in arms))

    def timed(arms: list[Arm], plan: Any, **_: Any) -> Any:
        times = [Arm(arm.name, "m:f", {"times": 1 + (arm.name == "eager")}) for arm in arms]
        took = measure if len(arms) == 1 else compare
        return took(times, plan, start=machine.start, clock=machine.now)

    sizes = {"peak": Value(9e6, "bytes"), "size_on_disk": Value(1e6, "bytes")}
    monkeypatch.setattr(search, "halve", everyone)
    monkeypatch.setattr(search, "measure", timed)
    monkeypatch.setattr(search, "compare", timed)
    monkeypatch.setattr(memory, "of", lambda arm, timeout_s: MeasureResult(sizes))


def _decide(checkpoint: Path, *more: object) -> int:
    words = ("decide", checkpoint, "--max_eval_samples", 32, "--max_drop", 0.5, *more)
    return cli.main([str(word) for word in (*words, "--deployments", "eager+bf16")])


@pytest.fixture
def no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    own = search.options.maker

    def maker(*asked: Any) -> Any:
        make = own(*asked)

        def made(deployment: Deployment) -> Candidate:
            if str(deployment) == "eager":
                return make(deployment)
            return Candidate(deployment, fault="it is not here")

        return made

    monkeypatch.setattr(search.options, "maker", maker)


def test_eager_wins_for_want_of_others(
    checkpoint: Path, no_others: None, capsys: pytest.CaptureFixture[str]
) -> None:
    winner.forget(checkpoint)
    assert _decide(checkpoint) == 0
    out = capsys.readouterr().out
    assert search.ALONE in out and "winner: eager" in out and "it is not here" in out
    found = winner.read(checkpoint)
    assert found is not None and found.deployment == "eager" and found.speedup is None
    assert golden.read(checkpoint, golden.EAGER, evidence.subject_digest(checkpoint))


def test_it_keeps_to_the_limits_too(
    checkpoint: Path, no_others: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _decide(checkpoint, "--p95_ms", 1) == 1
    assert "none of them meets what was asked for" in capsys.readouterr().err


def test_a_winner_without_a_program_has_golden_inputs(checkpoint: Path) -> None:
    assert _decide(checkpoint) == 0
    found = winner.read(checkpoint)
    assert found is not None and found.deployment == "eager+bf16"
    deployment = Deployment.parse(found.deployment)
    inputs = golden.read(checkpoint, deployment, evidence.subject_digest(checkpoint))
    assert inputs and len(inputs) == golden.COUNT
