"""Folders in which something is made before it is put in place, and what killed processes left of
them."""

import contextlib
import fcntl
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

PREFIX = ".incoming-"


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A temporary folder inside `folder` that goes away whatever happens, SIGTERM included.

    It is locked as long as this process lives, however that ends; those that nobody holds any more
    are removed first. Folders that had to be made for it go too, where nothing was put in them.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    staging, lock = None, None
    with exit_on_sigterm():
        try:
            with uninterrupted():
                staging, lock = _made(folder)
            yield staging
        finally:
            with uninterrupted():
                if staging is not None:
                    shutil.rmtree(staging, ignore_errors=True)
                if lock is not None:
                    os.close(lock)
                for each in made:
                    with contextlib.suppress(OSError):  # something was put there
                        each.rmdir()


def sweep(folder: Path) -> None:
    """Removes the temporary folders in `folder` that no living process owns."""
    for left in folder.glob(f"{PREFIX}*"):
        lock = _lock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if lock is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)


@contextlib.contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Makes of SIGTERM an exit that passes through what cleans up; a second one acts as ever.

    Where a handler is there already, as in training, it stays.
    """
    main = threading.current_thread() is threading.main_thread()  # no other may set handlers
    if not main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def leave(signum: int, frame: FrameType | None) -> None:
        signal.signal(signum, signal.SIG_DFL)
        sys.exit(128 + signum)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Holds SIGTERM and Ctrl-C back until a few operations on files are done, all of them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _made(folder: Path) -> tuple[Path, int | None]:
    """A new folder and the descriptor that locks it, if the file system can lock folders."""
    while True:
        staging = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))
        lock = _lock(staging, fcntl.LOCK_EX)
        if staging.exists():  # else it was swept before it was locked: once more
            return staging, lock
        if lock is not None:
            os.close(lock)


def _lock(staging: Path, how: int) -> int | None:
    """A lock on a temporary folder, which goes with its process; None where another process has it,
    and where a file system can't lock folders."""
    handle = None
    try:
        handle = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        fcntl.flock(handle, how)
    except OSError:
        if handle is not None:
            os.close(handle)
        return None
    return handle
