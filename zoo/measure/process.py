"""The other end of a worker's pipe: starts an arm's process, asks it for blocks, ends it.

Nothing here hangs: a process that dies, raises or is silent for too long is a `WorkerFailed`.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn, Protocol, Self

from tasks.errors import spelled
from zoo.measure.arms import Arm, ArmFailed, Failure
from zoo.measure.usage import Usage

LOOK_S = 0.2  # how often a silent process is looked at: its pipe may outlive it in a child


class WorkerFailed(Exception):
    """An arm's process can no longer be used; `failed` is the result that says why."""

    def __init__(self, failed: ArmFailed) -> None:
        super().__init__(f"{failed.arm}: {failed.reason}")
        self.failed = failed


@dataclass(frozen=True)
class Loaded:
    """Seconds until an arm could be called; the disk caches were not cleared before."""

    import_seconds: float
    """nothing but the target's own module, where the process is preloaded"""
    load_seconds: float
    preloaded: bool = False
    """whether the process is a fork of one that had imported the libraries"""


@dataclass(frozen=True)
class Ran:
    """The times of one block of calls."""

    seconds: tuple[float, ...]
    """of a call, one number a sample, in their order"""
    group: int
    """calls a sample is the mean of: more than one where a call is too short for the clock"""
    usage: Usage
    idle_cpu: float
    """seconds that the process computed since its last block, when it should have slept"""
    violations: tuple[str, ...] = ()


class Runs(Protocol):
    """The interface of a worker that runs blocks of calls."""

    def ready(self) -> Loaded:
        """Wait until the target is loaded."""

    def run(self, samples: int, group: int = 1, lead: int = 0) -> Ran:
        """Run a block of `samples` times `group` calls, after `lead` untimed ones."""

    def close(self) -> None:
        """End the worker."""


class Process(Protocol):
    """What a worker needs of its process: the interface of `subprocess.Popen`, and `release`."""

    pid: int
    stdin: IO[bytes] | None
    stdout: IO[bytes] | None

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def release(self) -> None: ...


Spawn = Callable[[Mapping[str, str], IO[bytes]], Process]
"""Starts a process by its environment; it writes to the file what is said on standard error."""


class Fresh(subprocess.Popen[bytes]):
    """A worker's process that is started from nothing, not forked."""

    def __init__(self, environment: Mapping[str, str], log: IO[bytes]) -> None:
        super().__init__(
            [sys.executable, "-m", "zoo.measure.worker", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=dict(environment),
            process_group=0,  # its children end with it, and Ctrl-C is ours to handle
        )

    def release(self) -> None:
        """Do nothing: the process id was already released by `wait`."""


class Worker:
    """A live process for an arm, ended by `close` or at the end of its `with`.

    Start it from a thread that lives at least as long as the worker: Linux counts the end of that
    thread as the parent's death. All methods raise `WorkerFailed`; the process has ended by
    then.
    """

    def __init__(self, arm: Arm, timeout_s: float = 300.0, spawn: Spawn = Fresh) -> None:
        """Start the process; `ready` waits for it. `timeout_s` bounds every answer, in seconds."""
        self.arm, self.timeout_s = arm, timeout_s
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed by close
        self._killed_before = _killed_for_memory()
        self._rest = b""
        self._ended = False
        self._process = spawn(arm.environment(), self._log)
        self._loaded: Loaded | None = None
        self._send({"target": arm.target, "kwargs": dict(arm.kwargs)})

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether the worker has failed or was closed and can no longer be used."""
        return self._ended

    def ready(self) -> Loaded:
        """Wait until the target is loaded; later calls return the same result."""
        if self._loaded is None:
            self._loaded = Loaded(**self._receive())
        return self._loaded

    def run(self, samples: int, group: int = 1, lead: int = 0) -> Ran:
        """Run a block of `samples` times `group` calls, after `lead` untimed ones."""
        self.ready()
        self._send({"samples": samples, "group": group, "lead": lead})
        told = self._receive()
        return Ran(
            seconds=tuple(told["seconds"]),
            group=group,
            usage=Usage(**told["usage"]),
            idle_cpu=told["idle_cpu"],
            violations=tuple(told["violations"]),
        )

    def ask(self, function: str, kwargs: Mapping[str, Any]) -> Any:
        """Call `function` ("module:name") in the process; return its result, by way of JSON."""
        self.ready()
        self._send({"function": function, "kwargs": dict(kwargs)})
        return self._receive()["answer"]

    def log(self) -> str:
        """Return what the process wrote to its standard output and error."""
        if self._log.closed:
            return ""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def close(self) -> None:
        """Kill the process and its children; do nothing if that was already done."""
        self._end()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _end(self) -> int:
        if not self._ended:  # once: its number may be another's later
            self._ended = True
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._process.release()
        return code

    def _send(self, content: dict[str, Any]) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        try:
            pipe.write(json.dumps(content).encode() + b"\n")
            pipe.flush()
        except (BrokenPipeError, ValueError):  # ValueError: closed, after a failure
            self._fail_as_it_died()

    def _receive(self) -> dict[str, Any]:
        pipe = self._process.stdout
        assert pipe is not None
        deadline = time.monotonic() + self.timeout_s
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0:
                self._fail("error", f"no answer within {self.timeout_s:g} s")
            if not select.select([pipe], [], [], min(left, LOOK_S))[0]:
                if self._process.poll() is not None:
                    self._fail_as_it_died()
                continue
            piece = os.read(pipe.fileno(), 1 << 20)
            if not piece:
                self._fail_as_it_died()
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            self._fail(answer["failed"]["status"], spelled(answer["failed"]["reason"]))
        return answer

    def _fail_as_it_died(self) -> NoReturn:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)  # its pipe closes a moment before it is gone
        code = self._process.poll()
        if code is None:
            self._fail("error", "its pipe was closed")
        elif code == -signal.SIGKILL and _killed_for_memory() > self._killed_before:
            self._fail("oom", "killed by the system, which had no memory left")
        elif code < 0:
            self._fail("error", f"killed by {signal.Signals(-code).name}")
        else:
            last = (self.log().strip().splitlines() or ["it said nothing"])[-1]
            self._fail("error", f"ended with exit code {code}: {last[:300]}")

    def _fail(self, status: Failure, reason: str) -> NoReturn:
        self._end()
        raise WorkerFailed(ArmFailed(self.arm.name, status, reason))


def _killed_for_memory() -> int:
    """Return how many processes the kernel has killed because memory ran out."""
    try:
        text = Path("/proc/vmstat").read_text()
    except OSError:
        return 0
    return next(
        (int(row.split()[1]) for row in text.splitlines() if row.startswith("oom_kill ")), 0
    )
