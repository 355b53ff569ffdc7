"""kill -9 in the middle of a sweep: the same command goes on, and nothing is measured twice."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bench.record import store
from tests.cli import environment, run_process

CASES = ("cnn_cls", "kws_cls", "--batch_sizes", "1", "2")
SHORT = ("--measures", "latency", "memory", "--minutes_per_case", "0.02", "--launches", "1")
PATIENCE_S = 120


def _keys(out: Path) -> list[tuple[str, str]]:
    return [(result.key, result.measure) for result in store.read(out)]


@pytest.mark.slow
def test_a_sweep_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    argv = ["run", *CASES, *SHORT, "--threads", "1", "--out", str(out)]
    words = [sys.executable, "-m", "bench", *argv]
    sweep = subprocess.Popen(words, env=environment(), stderr=subprocess.DEVNULL)
    until = time.monotonic() + PATIENCE_S
    while len(_keys(out)) < 5:
        assert sweep.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    children = psutil.Process(sweep.pid).children(recursive=True)
    os.kill(sweep.pid, signal.SIGKILL)
    sweep.wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive, "what it had started ends with it"
    before = out.read_bytes()
    done = _keys(out)
    assert 5 <= len(done) < 12

    again = run_process("bench", *argv)
    assert again.code == 0, again.err
    assert out.read_bytes().startswith(before)
    undisturbed = tmp_path / "undisturbed.jsonl"
    assert run_process("bench", *argv[:-1], undisturbed).code == 0
    assert sorted(_keys(out)) == sorted(_keys(undisturbed))
    assert len(set(_keys(out))) == len(_keys(out)) == 12
    assert all(each.found.status == "ok" for each in store.read(out))
