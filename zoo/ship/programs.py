"""The steps as programs of their own: `python -m MODULE ...`, what they print kept in a file."""

import contextlib
import ctypes
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks import atomic
from zoo.machine import commands

PR_SET_PDEATHSIG = 1  # prctl(2)
LOOK_S = 1.0
"""Between two looks at a program that runs."""
GRACE_S = 90.0
"""That a program gets to save its state once it was asked to stop."""


@dataclass(frozen=True)
class Step:
    """A command line of ours."""

    module: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        """Return it as it is typed."""
        if self.module == "zoo" and commands.program() == "zoo":
            return shlex.join(["zoo", *self.words])
        return commands.python(self.module, *self.words)


@dataclass(frozen=True)
class Ended:
    """How a program has ended."""

    code: int
    """of exit, negative where a signal ended it"""
    printed: str
    """all it printed"""
    seconds: float

    @property
    def last(self) -> str:
        """Return the last line without the program's name: of one that failed it says why."""
        lines = [line.strip() for line in self.printed.splitlines() if line.strip()]
        name, _, rest = (lines[-1] if lines else "it printed nothing").partition(": ")
        return rest if rest and " " not in name else ": ".join(filter(None, (name, rest)))


@dataclass
class Running:
    """A program that runs."""

    process: "subprocess.Popen[bytes]"
    began: float
    interrupted: bool = False

    def interrupt(self) -> None:
        """Ask it once to end with what it has found so far, as Ctrl-C does."""
        if not self.interrupted and self.process.poll() is None:
            self.interrupted = True
            self.process.send_signal(signal.SIGINT)

    def stop(self) -> None:
        """Ask it to save its state and end, and wait until it has."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def run(step: Step, printed: Path, look: Callable[[Running], None] | None = None) -> Ended:
    """Run a program to its end.

    A signal that ends this process ends the program first: it saves its state, and so it does where
    this process is killed (on Linux).

    Args:
        printed: file that what it prints is added to.
        look: called every second.
    """
    begin = time.monotonic()
    printed.parent.mkdir(parents=True, exist_ok=True)
    with printed.open("a+b") as file:
        start = file.tell()
        with _started(step, file.fileno()) as running:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    running.process.wait(LOOK_S)
                if running.process.poll() is not None:
                    break
                if look is not None:
                    look(running)
        file.seek(start)  # by its name it may not be found: a training moves an older run aside
        text = file.read().decode("utf-8", "replace")
    return Ended(running.process.returncode, text, time.monotonic() - begin)


@contextlib.contextmanager
def _started(step: Step, output: int) -> Iterator[Running]:
    words = [sys.executable, "-m", step.module, *step.words]
    me = os.getpid()

    def die_with_me() -> None:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != me:
            os._exit(1)

    with atomic.exit_on_sigterm():
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C comes to this process, which asks the other to stop
            preexec_fn=die_with_me if sys.platform.startswith("linux") else None,
        )
        running = Running(process, time.monotonic())
        try:
            yield running
        finally:
            running.stop()
