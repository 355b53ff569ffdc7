"""Ctrl-C in a decision: what was found until then is shown and kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.decide import search
from tests.bench.decide.conftest import Decide
from tests.zoo.measure.machine import Machine, Noise
from zoo.deploy import winner
from zoo.deploy.candidate import Candidate
from zoo.measure import Arm, MeasurementInterrupted, Plan, compare
from zoo.store import evidence

pytestmark = pytest.mark.usefixtures("all_are_finalists")


def test_while_finalists_are_compared(
    decide: Decide,
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine = Machine(0, Noise())

    def interrupted(arms: Sequence[Arm], plan: Plan, **_: Any) -> Any:
        faster = [Arm(arm.name, "m:f", {"times": 1 + (arm.name == "eager")}) for arm in arms]
        outcome = compare(faster, Plan(launches=2), start=machine.start, clock=machine.now)
        raise MeasurementInterrupted(outcome)

    monkeypatch.setattr(search, "compare", interrupted)
    before = len(evidence.read(checkpoint))
    assert decide() == 130
    out = capsys.readouterr().out
    assert "warning" not in out, "32 rows show a drop of 0.5"
    assert "stopped; the best so far: eager+bf16, which is confirmed now" in out
    assert "winner: eager+bf16" in out and "on the test split accuracy is" in out
    names = {fact.name for fact in evidence.read(checkpoint)[before:]}
    assert {"latency", "speedup", "peak_memory"} <= names
    left = winner.read(checkpoint)
    assert left is not None and left.deployment == "eager+bf16" and left.workload["batch"] == 1
    assert left.speedup == pytest.approx(2, rel=0.2) and left.limits["max_drop"] == 0.5


def test_while_they_are_made(
    decide: Decide,
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = search.options.maker

    def maker(*asked: Any) -> Any:
        make = own(*asked)

        def made(deployment: Any) -> Candidate:
            if str(deployment) != "eager":
                raise KeyboardInterrupt
            return make(deployment)

        return made

    monkeypatch.setattr(search.options, "maker", maker)
    before = len(evidence.read(checkpoint))
    assert decide() == 130
    out = capsys.readouterr().out
    assert "eager+bf16 ... (" in out and " min left)" in out, "the countdown"
    assert "stopped; the best so far: none that meets the contract" in out
    assert len(evidence.read(checkpoint)) == before


def test_in_the_rounds_of_halving(
    decide: Decide, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(
        arms: Any, drops: Any, seconds: float, start: Any, looks: Any, tell: Any
    ) -> Any:
        tell("round 1: 2 deployments")
        looks |= {"eager": 0.02, "eager+bf16": 0.0123}
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "halve", interrupted)
    assert decide("--minutes", 4) == 130
    out = capsys.readouterr().out
    assert "stopped; the best so far: eager+bf16, 12.30 ms at a first look" in out
    row = next(line for line in out.splitlines() if line.startswith("eager+bf16  "))
    assert "12.30 ms" in row
    assert "  round 1: 2 deployments (" in out


def test_no_time_for_more_than_one(
    decide: Decide, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert decide("--minutes", 0.001) == 2
    error = capsys.readouterr().err
    assert "--minutes 0.001 is too short: eager fp32 took" in error and error.count("\n") == 1
