"""A command with a time limit, at whose end nothing that it started is left."""

import contextlib
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "ZOO_GPU_CHECK"
"""A variable that all descendants of a command inherit, also those that left its process group or
whose parent has died."""
GRACE_S = 2.0
"""Between SIGTERM and SIGKILL; part of the limit."""


@dataclass(frozen=True)
class ExitStatus:
    """How a command ended."""

    code: int | None
    """of exit, negative for a signal; None where it was cut off at its limit"""
    seconds: float


def run(
    words: Sequence[str], folder: Path, log: Path, limit_s: float, environ: Mapping[str, str]
) -> ExitStatus:
    """Run a command in a folder, with an empty standard input; its output is appended to `log`.

    It gets SIGTERM shortly before the limit, and all of its processes SIGKILL at the limit;
    processes that it left running get SIGKILL when it has ended.
    """
    token = secrets.token_hex(8)
    began = time.monotonic()
    with log.open("ab") as file:
        process = subprocess.Popen(
            list(words),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**environ, MARK: token},
            start_new_session=True,
        )
        code = None
        try:
            code = process.wait(max(0.0, limit_s - GRACE_S))
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(min(GRACE_S, limit_s))
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            _end_marked(token)
    return ExitStatus(code, time.monotonic() - began)


def _end_marked(token: str) -> None:
    """Kill all processes that carry the token, until none is left, as they may start others."""
    while marked := [each for each in psutil.process_iter() if _has_mark(each, token)]:
        for process in marked:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(marked, GRACE_S)


def _has_mark(process: psutil.Process, token: str) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:  # dead; its parent has not looked yet
            return False
        return process.environ().get(MARK) == token
    except (psutil.Error, OSError):  # it has ended, or is another user's
        return False
