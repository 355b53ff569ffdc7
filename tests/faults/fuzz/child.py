"""Runs a command in a forked child, as `python -m` would run it, within bounds of time and memory.

The child has its own session, folders for home, caches and temporary files, and pipes for what a
terminal would be. Nothing of it survives.
"""

import contextlib
import fcntl
import os
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tests.faults.fuzz.command import Command

CONSENT = b"y\n" * 100
STDIN_BYTES = 60_000
PIPE_BYTES = 2**20
TICK_S = 0.005
LAST_WORDS_S = 0.3
PLACES = ("home", "cache", "tmp", "cwd")
"""Folders of the child's own, beside its inputs and outputs."""


@dataclass(frozen=True)
class Outcome:
    """How a child ended."""

    code: int | None  # of exit, negative where a signal ended it; None where it had to be ended
    why_ended: str  # "hang" or "memory", where it had to be ended
    out: bytes
    err: bytes
    seconds: float
    stdin_read: int  # bytes
    left_running: int  # processes


def run(command: Command, folder: Path) -> Outcome:
    """Runs it; `folder` is the case's own."""
    for name in PLACES:
        (folder / name).mkdir(exist_ok=True)
    given = CONSENT if command.stdin is None else command.stdin
    if len(given) > STDIN_BYTES:
        raise ValueError(f"{len(given)} bytes for standard input, more than a pipe holds")
    stdin, theirs = os.pipe()
    os.write(theirs, given)
    os.close(theirs)
    streams = [_Stream(), _Stream()]
    sys.stdout.flush()
    sys.stderr.flush()
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _become(command, folder, (stdin, *(stream.writing for stream in streams)))
    code, why = _wait(pid, command, began, streams)
    seconds = time.monotonic() - began
    left = _end_group(pid)
    out, err = (stream.close() for stream in streams)
    unread = struct.unpack("i", fcntl.ioctl(stdin, termios.FIONREAD, b"\0" * 4))[0]
    os.close(stdin)
    return Outcome(code, why, out, err, seconds, len(given) - unread, left)


class _Stream:
    """What a child says, read as it comes: a pipe, which no limit on files holds for."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)
        fcntl.fcntl(self._reading, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._said: list[bytes] = []

    def read(self) -> None:
        """Takes what there is."""
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self._reading, PIPE_BYTES):
                self._said.append(piece)

    def close(self) -> bytes:
        """All that was said."""
        self.read()
        os.close(self._reading)
        os.close(self.writing)
        return b"".join(self._said)


def call(work: Callable[[], None], log: Path) -> None:
    """Calls a function in a child, whose words go to `log`; raises RuntimeError where it fails."""
    pid = os.fork()
    if pid == 0:
        said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        _redirect((os.open(os.devnull, os.O_RDONLY), said, said))
        _leave(work)
    _, status = os.waitpid(pid, 0)
    if status:
        raise RuntimeError(log.read_text(errors="replace"))


def _wait(
    pid: int, command: Command, began: float, streams: list[_Stream]
) -> tuple[int | None, str]:
    usual = _resident(os.getpid())
    while True:
        for stream in streams:
            stream.read()
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), ""
        why = ""
        if time.monotonic() - began > command.limit_s:
            why = "hang"
        elif _resident(pid) - usual > command.memory_mb * 2**20:
            why = "memory"
        if why:
            os.kill(pid, signal.SIGUSR1)  # says where it is
            time.sleep(LAST_WORDS_S)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None, why
        time.sleep(TICK_S)


def _resident(pid: int) -> int:
    """Bytes of memory that a process has for itself: pages of files, which a child gets only as it
    touches them, do not count."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")]
    return sum(found)  # one, and none once it has ended


def _end_group(pid: int) -> int:
    """Ends what a child has left running; returns how many those were."""
    for _ in range(400):  # helpers end a moment after whom they helped
        left = _in_group(pid)
        if not left:
            return 0
        time.sleep(TICK_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    return left


def _in_group(pid: int) -> int:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return 0
    return 1


# --- in the child


def _become(command: Command, folder: Path, streams: tuple[int, int, int]) -> NoReturn:
    os.setsid()
    own = {"HOME": "home", "ZOO_CACHE": "cache", "TMPDIR": "tmp", "XDG_CACHE_HOME": "cache"}
    os.environ.update({name: str(folder / place) for name, place in own.items()})
    os.environ["XDG_STATE_HOME"] = str(folder / "home")
    os.chdir(folder / "cwd")
    _redirect(streams, command)
    _leave(lambda: _main(command, folder))


def _redirect(streams: tuple[int, int, int], command: Command | None = None) -> None:
    for number, source in enumerate(streams):
        os.dup2(source, number)
    encoding = command.encoding if command else "utf-8"
    kind = _Terminal if command and command.is_terminal else open
    sys.stdin = open(0, encoding=encoding, closefd=False)  # noqa: SIM115
    sys.stdout = kind(1, "w", encoding=encoding, closefd=False)
    sys.stderr = kind(2, "w", encoding=encoding, errors="backslashreplace", closefd=False)
    sys.stderr.reconfigure(line_buffering=True)


def _Terminal(*words: object, **more: object):
    """A stream that says it is a terminal."""
    stream = open(*words, **more)  # noqa: SIM115, PTH123
    stream.isatty = lambda: True
    return stream


def _main(command: Command, folder: Path) -> None:
    import faulthandler
    import runpy
    import tempfile
    import threading

    faulthandler.enable(file=2)
    threading.excepthook = threading.__excepthook__  # pytest has its own
    sys.unraisablehook = sys.__unraisablehook__
    faulthandler.register(signal.SIGUSR1, file=2)
    tempfile.tempdir = None
    if datasets := sys.modules.get("datasets"):
        datasets.config.HF_DATASETS_CACHE = folder / "cache" / "datasets"
    command.prepare()
    sys.argv = [command.program, *command.words]
    is_package = hasattr(sys.modules.get(command.program), "__path__")
    sys.modules.pop(command.program + ".__main__" if is_package else command.program, None)
    runpy.run_module(command.program, run_name="__main__", alter_sys=True)


def _leave(work: Callable[[], None]) -> NoReturn:
    """Ends this process as the interpreter would have it end after `work`."""
    import atexit
    import threading

    atexit._clear()  # what the process before the fork wanted
    try:
        work()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 120
    with contextlib.suppress(Exception):
        sys.stderr.flush()
    os._exit(code & 0xFF)
