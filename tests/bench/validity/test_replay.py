"""Verdicts on recorded traces."""

from pathlib import Path

import pytest

from bench.validity import replay, traces
from bench.validity.traces import Trace
from tasks.errors import UserError
from tests.zoo.measure.machine import Machine, Noise
from zoo.measure import Arm, Plan
from zoo.measure.recording import record

ARMS = [Arm(f"process {number}", "m:f") for number in range(traces.PROCESSES)]
PAIRS = [(ARMS[0].name, arm.name) for arm in ARMS[1:]]


def trace(noise: Noise, launches: int = 10, disturbed: float = 0.0) -> Trace:
    machine = Machine(0, noise, disturbed)
    plan = Plan(launches=launches, budget_s=12.0 * launches)
    recording = record(ARMS, PAIRS, plan, machine.start, machine.now)
    return Trace("made up", False, tuple(arm.name for arm in ARMS), traces._thinned(recording))


def test_on_a_quiet_machine_a_slowdown_is_found_and_nothing_else() -> None:
    (found,) = replay.replay([trace(Noise(launch=0.001))], draws=40, slowdown=0.03)
    assert found.same["faster"] + found.same["slower"] <= 1
    assert found.tellable >= 30
    assert found.found >= 0.95 * found.tellable
    assert found.slower["faster"] == 0


def test_on_a_noisy_machine_nothing_is_claimed() -> None:
    noisy = trace(Noise(launch=0.1, block=0.05), disturbed=0.3)
    (found,) = replay.replay([noisy], draws=30, slowdown=0.03)
    assert found.same["faster"] + found.same["slower"] <= 2
    assert found.tellable < 15, "the floor says that 3% is not to be found"


def test_traces_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    made = trace(Noise(), launches=5)
    for _ in range(2):
        traces.append(path, made)
    assert list(traces.read(path)) == [made, made]
    assert all(len(block.ran.seconds) == 1 for block in made.blocks)
    assert made.launches == list(range(5))


@pytest.mark.parametrize("content", ["", "{}", "no json", '{"case": 1}'])
def test_what_holds_no_traces(tmp_path: Path, content: str) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text(content)
    with pytest.raises(UserError, match="trace"):
        traces.read(path)
    with pytest.raises(UserError, match="no such file"):
        traces.read(tmp_path / "other.jsonl")


def test_too_few_launches_to_draw_from() -> None:
    with pytest.raises(UserError, match="3 launches; at least 5"):
        replay.replay([trace(Noise(), launches=3)], draws=1, slowdown=0.03)
