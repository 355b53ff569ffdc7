"""A promise of time, and what settings make of it."""

import math
import signal
import time
import types
from typing import Any

import pytest

from bench.cases.job import FEW, Settings
from tasks.errors import UserError
from zoo.measure import Arm
from zoo.measure.deadline import LEAST_S, Deadline, OutOfTime


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_is_left_and_the_share_of_a_case() -> None:
    clock = Clock()
    deadline = Deadline(2, clock)
    assert (str(deadline), deadline.left(), deadline.is_set) == ("2 minutes", 120.0, True)
    deadline.cases, clock.now = 4, 140.0
    assert (deadline.spent(), deadline.left(), deadline.share()) == (40.0, 80.0, 20.0)
    clock.now = 1000.0
    assert deadline.left() == 0.0


def test_without_minutes_there_is_no_end() -> None:
    deadline = Deadline()
    assert not deadline.is_set and deadline.left() == deadline.share() == math.inf
    settings = Settings(budget_s=30.0, launches=5)
    assert settings.for_step() is settings


def test_a_step_has_its_share_and_few_launches() -> None:
    clock = Clock()
    settings = Settings(budget_s=30.0, launches=5, deadline=Deadline(1, clock))
    settings.deadline.cases = 6
    step = settings.for_step()
    assert (step.budget_s, step.launches, step.timeout_s) == (10.0, FEW, 60.0)
    clock.now += 1000
    assert settings.for_step().timeout_s > 0, "who asks too late gets an error, and no hang"


def test_answers_do_not_take_longer_than_what_is_left() -> None:
    clock = Clock()
    deadline = Deadline(1, clock)

    def start(arm: Arm, timeout_s: float) -> Any:
        clock.now += 5.0  # as the first of forks takes
        return types.SimpleNamespace(timeout_s=timeout_s)

    bound = deadline.bound(start)
    found = []
    for clock.now in (100.0, 150.0, 170.0):
        found.append(bound(Arm("a", "m:f"), 30.0).timeout_s)
    assert found == [30.0, 5.0, LEAST_S]


@pytest.mark.parametrize("minutes", [0.0, -1.0, math.nan, math.inf, 1e6])
def test_what_is_no_span_of_time(minutes: float) -> None:
    with pytest.raises(UserError, match="`minutes`"):
        Deadline(minutes)


def test_what_takes_too_long_is_ended() -> None:
    """And an alarm of who called goes on."""
    deadline, rung = Deadline(0.3 / 60), []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    others = signal.setitimer(signal.ITIMER_REAL, 0.6)
    try:
        with pytest.raises(OutOfTime), deadline.cut(0.5):
            time.sleep(30)
        assert deadline.spent() < 5 and not rung
        with deadline.cut(1.0):
            pass
        with Deadline().cut(0.0):  # no limit
            pass
        while not rung and deadline.spent() < 30:
            time.sleep(0.01)
        assert rung == [1]
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *others)


@pytest.mark.parametrize(
    ("seconds", "minutes"), [(20.1, "0.34"), (18.0, "0.3"), (66.0, "1.1"), (601.0, "11")]
)
def test_the_minutes_that_are_named_are_enough(seconds: float, minutes: str) -> None:
    assert Deadline.enough(seconds) == minutes and 60 * float(minutes) >= seconds


def test_the_countdown() -> None:
    clock = Clock()
    deadline = Deadline(5, clock)
    assert deadline.countdown() == "5.0 min left"
    clock.now += 215
    assert deadline.countdown() == "85 s left"
    clock.now += 1000
    assert deadline.countdown() == "0 s left"
    endless = Deadline(clock=clock)
    clock.now += 40
    assert endless.countdown() == "40 s so far"


class Dying:
    """Takes long as it is collected, where what is raised is swallowed."""

    def __del__(self) -> None:
        time.sleep(30)


@pytest.mark.filterwarnings("error")
def test_what_swallows_the_end_is_ended_again() -> None:
    deadline = Deadline(0.2 / 60)
    with pytest.raises(OutOfTime), deadline.cut(0.5):
        Dying()
        time.sleep(30)
    assert deadline.spent() < 20
