"""The whole procedure: its error rates on machines that do not exist, and once on this one."""

import json
import math
import subprocess
import sys

import pytest

import zoo.measure
from tests.cli import ROOT
from tests.zoo.measure.machine import CALL_S, Machine, Noise
from zoo.measure import Arm, ArmFailed, ArmTimes, Comparison, Floor, Plan
from zoo.measure.results import outcome_of
from zoo.store import evidence

A, AGAIN = Arm("a", "m:f"), Arm("b", "m:f")
SLOW = Arm("slow", "m:f", {"times": 1.03})
MACHINES = {
    "quiet": Noise(launch=0.001, block=0.005, sample=0.01),
    "launches differ": Noise(launch=0.005, block=0.005),
    "blocks differ": Noise(launch=0.001, block=0.02),
    "drift": Noise(launch=0.002, drift=0.3, drift_s=60.0),
}


def compared(arms: list[Arm], seed: int, noise: Noise, plan: Plan | None = None, **kwargs):
    machine = Machine(seed, noise)
    return zoo.measure.compare(arms, plan, start=machine.start, clock=machine.now, **kwargs)


@pytest.mark.parametrize("noise", MACHINES.values(), ids=MACHINES)
def test_verdicts_hold(noise: Noise) -> None:
    """A slice of what bench/ replays: no false claim, no wrong direction, 3% is found."""
    wrong = found = could = 0
    for seed in range(12):
        outcome = compared([A, AGAIN, SLOW], seed, noise)
        same, slow = outcome.of("b"), outcome.of("slow")
        assert isinstance(same, Comparison) and isinstance(slow, Comparison)
        wrong += same.verdict.word in ("faster", "slower")
        assert slow.verdict.word != "faster"
        assert slow.floor is not None
        if slow.floor < 0.03:
            could += 1
            found += slow.verdict.word == "slower"
    assert wrong == 0
    assert found >= could - 1


def test_the_outcome() -> None:
    noise = MACHINES["quiet"]
    outcome = compared([A, AGAIN, SLOW, Arm("fast", "m:f", {"times": 0.5})], 0, noise)
    words = {c.candidate: c.verdict.word for c in outcome.compared}
    assert words == {"b": "same", "slow": "slower", "fast": "faster"}
    fast = outcome.of("fast")
    assert isinstance(fast, Comparison)
    assert fast.speedup.value == pytest.approx(2.0, rel=0.02)
    assert "fast over a: faster, 2.0" in str(fast) or "fast over a: faster, 1.9" in str(fast)
    assert outcome.floor is not None and 0 < outcome.floor.found(5) < 0.03
    assert [each.arm for each in outcome.measured] == ["a", "b", "slow", "fast"], "without a twin"
    json.dumps(outcome.as_json())
    with pytest.raises(KeyError):
        outcome.of("a")
    with pytest.raises(KeyError):
        outcome.times("nobody")


def test_an_arms_own_times() -> None:
    machine = Machine(0, Noise(drift=0.0, spikes=0.0))
    plan = Plan(budget_s=40, min_rounds=20)
    outcome = zoo.measure.measure([A], plan, start=machine.start, clock=machine.now)
    own = outcome.times("a")
    assert isinstance(own, ArmTimes)
    assert own.median.value == pytest.approx(CALL_S, rel=0.03)
    assert set(own.percentiles) == {"p90", "p95", "p99"}
    p90, p99 = own.percentiles["p90"].value, own.percentiles["p99"].value
    assert own.median.value < p90 < p99
    assert (own.stationary, own.disturbed, own.restless) == (True, 0, False)
    assert own.load_seconds == 1.0
    images = own.throughput(32)
    assert images.value == pytest.approx(32 / own.median.value)
    assert images.interval.low < images.value < images.interval.high
    assert outcome.compared == ()


def test_estimates_become_facts() -> None:
    outcome = compared([A, SLOW], 0, MACHINES["quiet"])
    slow, own = outcome.of("slow"), outcome.times("slow")
    assert isinstance(slow, Comparison) and isinstance(own, ArmTimes)
    common = {"subject": "0" * 64, "run": "r1"}
    fact = evidence.fact("latency", "speedup", unit="1", **slow.speedup.as_json(), **common)
    assert fact.interval is not None and fact.interval["level"] == 0.99
    evidence.fact("latency", "median", unit="s", **own.median.as_json(), **common)


def test_a_floor_that_is_known_saves_the_second_process() -> None:
    machine = Machine(0, MACHINES["quiet"])
    floor = zoo.measure.noise_floor(A, start=machine.start, clock=machine.now)
    assert isinstance(floor, Floor)
    outcome = compared([A, SLOW], 0, MACHINES["quiet"], floor=floor)
    assert {block.arm for block in outcome.recording.blocks} == {"a", "slow"}
    assert outcome.floor is floor
    slow = outcome.of("slow")
    assert isinstance(slow, Comparison) and slow.verdict.word == "slower"


def test_failures_are_results() -> None:
    dies = Arm("dies", "m:f", {"dies_at": 3})
    outcome = compared([A, dies, SLOW], 0, MACHINES["quiet"])
    assert outcome.of("dies") == outcome.times("dies") == ArmFailed("dies", "oom", "no memory")
    assert isinstance(outcome.of("slow"), Comparison)
    outcome = compared([dies, SLOW], 0, MACHINES["quiet"])
    assert isinstance(outcome.of("slow"), ArmFailed)
    machine = Machine(0, MACHINES["quiet"])
    assert isinstance(
        zoo.measure.noise_floor(dies, start=machine.start, clock=machine.now), ArmFailed
    )


def test_a_recording_is_judged_again() -> None:
    outcome = compared([A, SLOW], 0, MACHINES["quiet"])
    again = outcome_of(outcome.recording, "a", twin="a (again)")
    assert again == outcome
    strict = outcome_of(outcome.recording, "a", twin="a (again)", margin=0.5)
    assert strict.compared[0].speedup == outcome.compared[0].speedup


def test_two_arms_at_least() -> None:
    with pytest.raises(ValueError, match="at least one candidate"):
        zoo.measure.compare([A])


def test_on_this_machine() -> None:
    """Sleeps of 20 and 60 ms in processes of their own, however busy it is."""
    target = "tests.zoo.measure.targets:sleep"
    arms = [Arm(name, target, {"seconds": s}) for name, s in (("long", 0.06), ("short", 0.02))]
    gone = Arm("gone", "tests.zoo.measure.targets:refuse", {"how": "import"})
    plan = Plan(launches=2, budget_s=0, min_rounds=3, block_s=0.03, warm_up_s=0.2)
    outcome = zoo.measure.compare([*arms, gone], plan, floor=Floor(0.001, 5))
    short, long = outcome.of("short"), outcome.times("long")
    assert isinstance(short, Comparison) and isinstance(long, ArmTimes)
    assert 1.5 < short.speedup.value < 3.5
    assert 0.06 <= long.median.value < 0.2
    assert math.isclose(long.throughput(1).value * long.median.value, 1)
    failed = outcome.of("gone")
    assert isinstance(failed, ArmFailed) and failed.status == "unavailable"


def test_nothing_here_imports_torch() -> None:
    program = (
        "import sys\n"
        "from zoo.measure import *\n"
        "heavy = {'torch', 'transformers', 'scipy.stats'} & set(sys.modules)\n"
        "sys.exit(f'imported {sorted(heavy)}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr


def test_names_of_the_package() -> None:
    assert all(hasattr(zoo.measure, name) for name in zoo.measure.__all__)
    with pytest.raises(AttributeError, match="has no stopwatch"):
        zoo.measure.stopwatch  # noqa: B018
