"""Sweeps: what is kept, what is skipped, what a kill leaves."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.cases.case import Case
from bench.measures import MEASURES
from bench.record import store
from bench.record.results import MeasureResult, Result
from bench.sweep import sweep
from tests.bench.fake_run import Performer
from tests.cli import ROOT, environment

ARGUMENTS = ["minilm", "resnet18", "--batch_sizes", "1", "4", "--threads", "1"]
ARGUMENTS += ["--deployments", "eager", "onnx", "openvino"]


class Silent:
    def begin(self, total: int) -> None:
        self.total = self.left = total

    def step(self, case: Case, measure: str) -> None:
        pass

    def done(self, result: Result | None, steps: int) -> None:
        self.left -= steps


def _swept(path: Path, measures: list[str], cases: list[Case]) -> tuple[list[Result], Performer]:
    perform, watcher = Performer(None), Silent()
    found = sweep.sweep(cases, measures, path, perform, watcher)
    assert watcher.left == 0
    return found, perform


def test_finished_steps_are_skipped(tmp_path: Path) -> None:
    path, cases = tmp_path / "r.jsonl", [Case("minilm"), Case.of("minilm", batch_size=4)]
    found, first = _swept(path, ["latency"], cases)
    assert len(first.taken) == len(found) == 4  # parity is taken in any case
    again, second = _swept(path, ["latency", "throughput"], [*cases, Case("resnet18")])
    assert [measure for _, measure in second.taken] == [
        "throughput",
        "throughput",
        *("parity", "latency", "throughput"),
    ]
    assert len(again) == 9 and again[:2] == found[:2]


def test_correct_or_no_number(tmp_path: Path) -> None:
    path, case = tmp_path / "r.jsonl", Case("minilm", "openvino")
    found, first = _swept(path, ["latency", "memory"], [case])
    assert [(each.measure, each.found.status) for each in found] == [("parity", "wrong")]
    _, second = _swept(path, ["latency", "memory"], [case])
    assert first.taken == [(case, "parity")] and second.taken == []


def test_a_failure_is_a_result(tmp_path: Path) -> None:
    found, perform = _swept(tmp_path / "r.jsonl", ["memory", "latency"], [Case("minilm", "onnx")])
    statuses = {each.measure: each.found.status for each in found}
    assert statuses == {"parity": "ok", "memory": "oom", "latency": "ok"}
    assert len(perform.taken) == 3


def test_measures_that_say_nothing_of_a_case_are_left_out() -> None:
    def names(case: Case) -> set[str]:
        return {step.measure for step in sweep.plan([case], list(MEASURES))}

    assert {"graph"} == names(Case("minilm", "compile")) - names(Case("minilm"))
    assert {"parts"} == names(Case.of("minilm", phase="training")) - names(Case("minilm"))


def test_another_result_file_begins_anew(tmp_path: Path) -> None:
    one, _ = _swept(tmp_path / "one.jsonl", ["latency"], [Case("minilm")])
    other, perform = _swept(tmp_path / "other.jsonl", ["latency"], [Case("minilm")])
    assert len(perform.taken) == 2 and [a.found for a in one] == [b.found for b in other]


def _contents(path: Path) -> dict[tuple[str, str], MeasureResult]:
    results = store.read(path)
    found = {(each.key, each.measure): each.found for each in results}
    assert len(found) == len(results), "something was measured twice"
    return found


def test_killed_sweeps_end_with_the_same_results(tmp_path: Path) -> None:
    """kill -9 at five moments, the last time in the middle of a line."""
    command = [sys.executable, "-m", "tests.bench.fake_run", *ARGUMENTS, "--out"]
    env, whole, path = environment(), tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    subprocess.run([*command, str(whole)], env=env, cwd=ROOT, check=True, capture_output=True)
    wanted = _contents(whole)
    assert len(wanted) == 4 * (2 * 7 + 1)  # seven measures fit, and openvino is wrong

    def lines() -> int:
        return path.read_bytes().count(b"\n") if path.exists() else 0

    for _ in range(5):
        before = lines()
        process = subprocess.Popen(
            [*command, str(path)],
            env=env,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while lines() < before + 4 and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert before < lines() < len(wanted)
    with path.open("ab") as file:
        file.write(path.read_bytes()[:50])
    done = subprocess.run(
        [*command, str(path)], env=env, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "passed over" in done.stderr
    assert _contents(path) == wanted
    assert "minilm" in done.stdout


@pytest.fixture
def small_disk(tmp_path: Path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {getattr(error, 'stderr', error)}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    """One line, exit code 2; what was measured stays, and the same command goes on."""
    path, filler = small_disk / "r.jsonl", small_disk / "filler"
    filler.write_bytes(bytes(40 << 10))
    command = [sys.executable, "-m", "tests.bench.fake_run", *ARGUMENTS, "--out", str(path)]
    env = environment()
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"bench: can't write {path}: No space left") and "again" in last
    assert "Traceback" not in done.stderr
    kept = _contents(path)
    assert kept and path.read_bytes().endswith(b"\n")
    filler.unlink()
    again = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    found = _contents(path)
    assert kept.items() <= found.items() and len(found) > len(kept)
    assert again.returncode in (0, 2)
