"""A sweep in a promised time, on a clock that does not exist."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from bench.cases.case import Case
from bench.record import store
from bench.record.results import MeasureResult, Result, Value
from bench.sweep import suite, table
from bench.sweep.run import left_out
from bench.sweep.sweep import plan, shares, sweep
from tests.bench.sweep.test_sweep import Silent
from zoo.measure import ArmFailed
from zoo.measure.deadline import Deadline
from zoo.measure.process import WorkerFailed

MEASURES = ["latency", "memory", "throughput"]
CASES = suite.cross(
    ["minilm", "resnet18"], ["eager", "compile", "onnx", "eager+bf16"], [1, 16], [32]
)


class Laboratory:
    """Measures by a clock of its own: each step takes the seconds of its measure and case, with
    noise; what would not be over in time is ended then, as the real one ends it."""

    def __init__(self, seconds: Mapping[str, float], noise: float = 0.0, seed: int = 0) -> None:
        self.seconds, self.noise = seconds, noise
        self.rng = np.random.default_rng(seed)
        self.now = 0.0
        self.taken: list[tuple[Case, str]] = []
        self.deadline = Deadline()

    def clock(self) -> float:
        return self.now

    def __call__(self, case: Case, measure: str) -> tuple[MeasureResult, Mapping[str, float]]:
        factor = 2.0 if case.workload.batch > 1 else 1.0
        takes = self.seconds[measure] * factor * float(np.exp(self.noise * self.rng.normal()))
        left = self.deadline.left()
        self.now += min(takes, left)
        if takes > left:
            raise WorkerFailed(ArmFailed(str(case), "error", f"no answer within {left:g} s"))
        self.taken.append((case, measure))
        return MeasureResult({"value": Value(takes, "s")}), {"samples": 1.0}

    def sweep(self, path: Path, minutes: float | None) -> list[Result]:
        self.deadline = Deadline(minutes, self.clock)
        return sweep(suite.by_value(CASES), MEASURES, path, self, Silent(), self.deadline)


SECONDS = {"parity": 4.0, "latency": 8.0, "memory": 5.0, "throughput": 3.0}
WHOLE_S = sum(SECONDS.values()) * 12 * 2  # eight small cases, and eight of twice the time


@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.7])
@pytest.mark.parametrize("seed", range(3))
def test_the_time_is_kept(tmp_path: Path, noise: float, share: float, seed: int) -> None:
    lab = Laboratory(SECONDS, noise, seed)
    promised = share * WHOLE_S
    found = lab.sweep(tmp_path / "r.jsonl", promised / 60)
    # the least that a step takes may be left of it, which counts where it is short
    assert 0.9 * promised - SECONDS["parity"] * (share < 0.1) <= lab.now <= 1.1 * promised
    assert any(each.found.status == "left_out" for each in found)


def test_with_time_enough_nothing_is_left_out(tmp_path: Path) -> None:
    lab = Laboratory(SECONDS)
    found = lab.sweep(tmp_path / "r.jsonl", 2 * WHOLE_S / 60)
    assert {each.found.status for each in found} == {"ok"} and len(found) == 4 * len(CASES)
    assert "nothing was left out" in left_out(found, lab.deadline)


def test_the_most_valuable_comes_first_and_what_is_left_is_told(tmp_path: Path) -> None:
    lab, path = Laboratory(SECONDS), tmp_path / "r.jsonl"
    found = lab.sweep(path, 2.5)
    order = list(dict.fromkeys(case for case, _ in lab.taken))
    first = {(case.model, case.workload.batch, case.deployment) for case in order[:4]}
    pair = ("eager", "compile")
    assert first == {(model, 1, each) for model in ("minilm", "resnet18") for each in pair}, (
        "what they are compared with comes with them"
    )
    by_value = suite.by_value(CASES)
    assert {case.workload.batch for case in by_value[4:8]} == {16}
    assert {case.deployment for case in by_value[8:12]} == {"onnx"}
    missing = [each for each in found if each.found.status == "left_out"]
    assert missing and {each.measure for each in missing} >= {"parity"}
    assert "not within 2.5 minutes: parity, latency, throughput, memory" in {
        each.found.reason for each in missing
    }
    said = left_out(found, lab.deadline)
    assert "\n" not in said and f"of {len(CASES)} cases" in said
    cells = table.row(missing[-1].case, {missing[-1].measure: missing[-1]})
    assert "left out" in cells
    assert len(store.read(path)) == len(found), "one line a case"


def test_the_same_command_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    first, second = Laboratory(SECONDS), Laboratory(SECONDS)
    first.sweep(path, 2.5)
    lines = len(store.read(path))
    Laboratory(SECONDS).sweep(path, 1e-4)  # no time for anything: nothing is told twice
    assert len(store.read(path)) == lines
    found = second.sweep(path, None)
    assert {each.found.status for each in found} == {"ok"}
    assert not set(first.taken) & set(second.taken)
    assert len(first.taken) + len(second.taken) == 4 * len(CASES)


def test_what_is_outdated_is_measured_again(tmp_path: Path) -> None:
    path, cases = tmp_path / "r.jsonl", CASES[:2]
    first, second = Laboratory(SECONDS), Laboratory(SECONDS)
    sweep(cases, MEASURES, path, first, Silent())
    found = sweep(
        cases, MEASURES, path, second, Silent(), is_outdated=lambda each: each.measure == "latency"
    )
    assert second.taken == [(case, "latency") for case in cases]
    assert len(found) == 8 and len(store.read(path)) == 10


def test_what_was_ended_with_the_time_is_no_failure(tmp_path: Path) -> None:
    lab = Laboratory({**SECONDS, "memory": 1000.0})
    found = lab.sweep(tmp_path / "r.jsonl", 1.0)
    assert {each.found.status for each in found} == {"ok", "left_out"}
    assert lab.now == pytest.approx(60.0)


def test_what_no_other_process_may_stand_beside_comes_last() -> None:
    steps = plan([Case("minilm", "compile")], ["memory", "graph", "cold_start", "latency"])
    assert [step.measure for step in steps] == [
        "parity",
        "graph",
        "latency",
        "memory",
        "cold_start",
    ]


def test_measures_share_a_process_where_they_do_not_disturb_each_other() -> None:
    case, step = Case("minilm", "compile"), Case.of("minilm", "compile", phase="training")
    assert shares(case, "parity") and shares(case, "throughput")
    assert not shares(case, "memory") and not shares(case, "latency")
    assert not shares(step, "parity"), "it compiles another program"
    assert shares(step, "parts") and shares(Case.of("minilm", phase="training"), "parity")
