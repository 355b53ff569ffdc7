"""compare and decide in a promised time."""

import itertools
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench import cli
from bench.cases.args import CompareArgs, DecideArgs
from bench.cases.case import Case
from bench.compare.compare import plan_of
from bench.decide import search
from bench.decide.successive_halving import halve
from tasks.errors import UserError
from tests.zoo.measure.machine import Machine, Noise
from zoo.deploy.candidate import Candidate
from zoo.measure import Arm, ArmFailed, MeasurementInterrupted, Plan, compare
from zoo.measure.deadline import Deadline
from zoo.runtimes.deployment import Deployment


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_compare_times_for_what_is_left() -> None:
    clock = Clock()
    deadline, args = Deadline(2, clock), CompareArgs(minutes=2, launches=7)
    clock.now = 50.0
    plan = plan_of(args, deadline)
    assert (plan.budget_s, plan.deadline_s, plan.launches) == (70.0, 70.0, 7)
    clock.now = 121.0
    with pytest.raises(UserError, match=r"--minutes 2: it took 121 s .* give more"):
        plan_of(args, deadline)
    plan = plan_of(CompareArgs(), Deadline())
    assert (plan.launches, plan.deadline_s) == (5, None)


@pytest.mark.parametrize("seconds", [40.0, 100.0, 300.0])
@pytest.mark.parametrize("arms", [2, 5])
def test_a_comparison_is_over_in_time(seconds: float, arms: int) -> None:
    """Narrow intervals are never reached on this machine."""
    machine = Machine(1, Noise(launch=0.2))
    made = [Arm(f"{i}", "m:f", {"times": 1 + i / 10}) for i in range(arms)]
    plan = Plan(launches=9, budget_s=seconds, deadline_s=seconds)
    outcome = compare(made, plan, start=machine.start, clock=machine.now)
    assert 0.7 * seconds < machine.time <= 1.1 * seconds
    assert len(outcome.compared) == arms - 1


def test_halving_is_over_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(0, Noise())
    plans = []

    def measured(arms, plan, start):
        from zoo.measure import measure

        plans.append(plan)
        return measure(arms, plan, start=machine.start, clock=machine.now)

    monkeypatch.setattr("bench.decide.successive_halving.measure", measured)
    arms = [Arm(f"{n}", "m:f", {"times": n}) for n in range(1, 13)]
    drops = {arm.name: 0.0 for arm in arms}
    said: list[str] = []
    looks: dict[str, float] = {}
    halve(arms, drops, 100.0, looks=looks, tell=said.append)
    assert machine.time <= 110.0
    assert len(said) == len(plans) == 2 and "round 1: 12 deployments" in said[0]
    assert sum(plan.deadline for plan in plans) == 100.0
    assert sorted(looks, key=lambda name: looks[name]) == [arm.name for arm in arms]


def search_of(deadline: Deadline) -> search.Search:
    nothing: Any = None
    return search.Search(nothing, deadline, Path("inputs.npz"), 1)


WANTED = [Deployment.parse(name) for name in ("eager", "onnx", "compile", "openvino", "aoti")]


def test_decide_keeps_time_to_confirm_the_winner() -> None:
    clock = Clock()
    deadline = Deadline(10, clock)
    seconds = itertools.chain([20.0], itertools.repeat(100.0))

    def make(deployment: Deployment) -> Candidate:
        clock.now += next(seconds)
        return Candidate(deployment)

    found = search_of(deadline)
    found.make_all(make, WANTED, 0.005)
    assert found.reserve == 40.0, "twice what eager took"
    late = "not made within 45% of 10 minutes"
    assert [each.fault for each in found.found] == ["", "", "", "", late]
    plan = search.plan_of(deadline, found.reserve)
    assert plan.budget_s == plan.deadline_s == 600 - 320 - 40


def test_what_is_too_slow_to_make_is_cut_off() -> None:
    """By an alarm, which also ends what waits for another process."""
    took: dict[str, float] = {}

    def make(deployment: Deployment) -> Candidate:
        began = time.monotonic()
        try:
            time.sleep(0.0 if str(deployment) == "eager" else 60.0)
        finally:
            took[str(deployment)] = time.monotonic() - began
        return Candidate(deployment)

    found = search_of(Deadline(6 / 60))
    found.make_all(make, WANTED[:3], 0.005)
    assert 1.8 < took["onnx"] < 5.0 and "compile" not in took
    late = "not made within 45% of 0.1 minutes"
    assert [each.fault for each in found.found] == ["", late, late]


def test_too_short_a_time_is_told_after_the_first_step() -> None:
    clock = Clock()

    def make(deployment: Deployment) -> Candidate:
        clock.now += 30.0
        return Candidate(deployment)

    found = search_of(Deadline(1, clock))
    with pytest.raises(UserError, match=r"`minutes` 1 is too short: .* 30 s .* 2.1 minutes"):
        found.make_all(make, WANTED, 0.005)
    assert clock.now == 30.0


def test_ctrl_c_keeps_what_was_measured() -> None:
    machine = Machine(1, Noise(launch=0.2))
    made = [Arm(f"{i}", "m:f", {"times": 1 + i}) for i in range(3)]
    launches: list[int] = []

    def tell(count: int) -> None:
        launches.append(count)
        if count == 2:
            raise KeyboardInterrupt

    with pytest.raises(MeasurementInterrupted) as stop:
        compare(made, Plan(launches=9), start=machine.start, clock=machine.now, tell=tell)
    outcome = stop.value.outcome
    assert launches == [1, 2] and outcome.recording.stopped == "interrupted"
    assert [one.launches for one in outcome.compared] == [2, 2]
    assert outcome.compared[0].speedup.value < 1

    def at_once(arm: Arm, timeout_s: float) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(MeasurementInterrupted) as stop:
        compare(made, Plan(), start=at_once)
    nothing = stop.value.outcome
    assert not nothing.measured and not nothing.compared
    assert isinstance(nothing.of("1"), ArmFailed) and isinstance(nothing.times("0"), ArmFailed)


def test_minutes_are_checked_before_anything_is_read() -> None:
    with pytest.raises(UserError, match="`minutes`"):
        search.decide(DecideArgs(Path("nowhere"), minutes=1e9))


def test_ctrl_c_in_compare_shows_the_times_until_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine, out = Machine(1, Noise()), tmp_path / "out.json"

    def correct(cases: Sequence[Case], *_: Any) -> tuple[list[Arm], dict[Case, ArmFailed]]:
        return [Arm(str(case), "m:f", {"times": 1 + i}) for i, case in enumerate(cases)], {}

    def interrupted(arms: Sequence[Arm], plan: Plan, **_: Any) -> None:
        few = Plan(launches=2, budget_s=10)
        raise MeasurementInterrupted(compare(arms, few, start=machine.start, clock=machine.now))

    monkeypatch.setattr("bench.compare.compare.correct", correct)
    monkeypatch.setattr("bench.compare.compare.compare_arms", interrupted)
    words = ["compare", "cnn_cls", "--deployments", "eager", "compile", "--out", str(out)]
    assert cli.main(words) == 130
    said = capsys.readouterr().out
    assert "slower" in said and "stopped: these are the times until then" in said
    assert len(json.loads(out.read_text())["measured"]) == 2
