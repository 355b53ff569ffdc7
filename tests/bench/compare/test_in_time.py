"""compare and decide in a promised time."""

import itertools
from pathlib import Path

import pytest

from bench.cases.args import CompareArgs, DecideArgs
from bench.cases.deadline import Deadline
from bench.compare.compare import plan_of
from bench.decide import search
from bench.decide.successive_halving import halve
from tasks.errors import UserError
from tests.zoo.measure.machine import Machine, Noise
from zoo.deploy.candidate import Candidate
from zoo.measure import Arm, Plan, compare
from zoo.runtimes.deployment import Deployment


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_compare_times_for_what_is_left() -> None:
    clock = Clock()
    deadline, args = Deadline(2, clock), CompareArgs(minutes=2, launches=7, budget_s=500)
    clock.now = 50.0
    plan = plan_of(args, deadline)
    assert (plan.budget_s, plan.deadline_s, plan.launches) == (70.0, 70.0, 7)
    clock.now = 121.0
    with pytest.raises(UserError, match=r"--minutes 2: it took 121 s .* give more"):
        plan_of(args, deadline)
    plan = plan_of(CompareArgs(budget_s=500), Deadline())
    assert (plan.budget_s, plan.deadline_s) == (500.0, None)


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
    halve(arms, drops, 1000.0, left=lambda: 100.0 - machine.time)
    assert machine.time <= 110.0
    assert plans[0].deadline_s == 100.0


def test_decide_keeps_time_to_confirm_the_winner() -> None:
    clock = Clock()
    deadline = Deadline(10, clock)
    seconds = itertools.chain([20.0], itertools.repeat(100.0))

    def make(deployment: Deployment) -> Candidate:
        clock.now += next(seconds)
        return Candidate(deployment)

    wanted = [Deployment.parse(name) for name in ("eager", "onnx", "compile", "openvino", "aoti")]
    found, reserve = search._make_all(make, wanted, 0.005, deadline, search.MAKING * 600)
    assert reserve == 40.0, "twice what eager took"
    assert [each.fault for each in found] == [
        "",
        "",
        "",
        "",
        "not tried: half of the budget was spent",
    ]
    plan = search.plan_of(deadline, 600.0, reserve)
    assert plan.budget_s == plan.deadline_s == 600 - 320 - 40
    clock.now = 590.0
    with pytest.raises(UserError, match="--minutes 10: making the deployments took 590 s"):
        search.plan_of(deadline, 600.0, reserve)
    assert search.plan_of(Deadline(clock=clock), 50.0, reserve).deadline_s is None


def test_minutes_are_checked_before_anything_is_read() -> None:
    with pytest.raises(UserError, match="--minutes"):
        search.decide(DecideArgs(Path("nowhere"), minutes=1e9))
