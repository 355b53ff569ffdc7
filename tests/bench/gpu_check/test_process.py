"""A command and all that it started are gone at the end of its time."""

import os
import sys
from pathlib import Path

import psutil
import pytest

from bench.gpu_check import process

GRANDCHILD = """
import subprocess, sys, time
own = {"start_new_session": True}
children = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], **own)]
print(children[0].pid, flush=True)
"""
FOREVER = GRANDCHILD + "time.sleep(600)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + FOREVER


def _run(program: str, log: Path, limit_s: float) -> process.ExitStatus:
    words = [sys.executable, "-c", program]
    return process.run(words, log.parent, log, limit_s, dict(os.environ))


def _is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_what_ends_by_itself(tmp_path: Path) -> None:
    log = tmp_path / "log"
    ended = _run("import sys; print('to both'); sys.exit(3)", log, 60)
    assert ended.code == 3 and ended.seconds < 50
    assert _run("import sys; print(repr(sys.stdin.read()), file=sys.stderr)", log, 60).code == 0
    assert log.read_text().split() == ["to", "both", "''"]


def test_what_it_leaves_behind_is_ended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert _run(GRANDCHILD, log, 60).code == 0
    assert _is_gone(int(log.read_text()))


def test_the_limit_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where SIGTERM is not heard, and a child is in a session of its own."""
    log = tmp_path / "log"
    monkeypatch.setattr(process, "GRACE_S", 0.5)
    ended = _run(DEAF, log, 3)
    assert ended.code is None and 2.5 <= ended.seconds < 300, "the program would sleep for 600"
    assert _is_gone(int(log.read_text()))
