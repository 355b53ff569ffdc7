"""pytest-benchmark takes over what the harness has measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.regression.replay_timer import ReplayTimer
from tests.cli import ROOT, environment

TEST = """
import pytest
from bench.regression.replay_timer import ReplayTimer

TIMER = ReplayTimer()

@pytest.mark.benchmark(timer=TIMER, disable_gc=False, warmup=False)
def test_case(benchmark):
    TIMER.load([0.5, 0.25, 1.0])
    benchmark.extra_info["peak_memory_bytes"] = 7
    benchmark.pedantic(lambda: None, rounds=3)
"""


def test_samples_become_rounds(tmp_path: Path) -> None:
    (tmp_path / "test_case.py").write_text(TEST)
    kept = tmp_path / "kept.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
            *("--rootdir", str(tmp_path), f"--benchmark-json={kept}", str(tmp_path)),
        ],
        cwd=ROOT,
        # as a worker of xdist pytest-benchmark would not measure
        env={k: v for k, v in environment().items() if not k.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = json.loads(kept.read_text())["benchmarks"]
    assert found["stats"]["data"] == pytest.approx([0.5, 0.25, 1.0])
    assert found["stats"]["median"] == pytest.approx(0.5)
    assert found["extra_info"]["peak_memory_bytes"] == 7


def test_without_samples_it_is_a_clock() -> None:
    timer = ReplayTimer()
    assert timer() < timer()
    timer.load([2.0])
    begin = timer()
    assert timer() - begin == 2.0
    assert timer() > 2.0, "a clock again"
