"""Files and folders that appear whole or not at all, and what a killed process left of them.

What is written lies under another name first, reaches the disk, and is renamed into place: who
reads it sees the old content or the new one, also after a crash or a power failure.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import IO, Any

PREFIX, OLD = ".incoming-", ".old-"


def write_json(path: Path, content: Any) -> None:
    """Replace a file atomically by JSON with an indent of two; raises as `replacing` does."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace a file atomically by text in UTF-8, without changing its line ends; raises as
    `replacing` does."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file atomically by bytes; raises as `replacing` does."""
    with replacing(path) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: Path, mode: int | None = None) -> Iterator[IO[bytes]]:
    """Yield a binary file to write to, which replaces `path`, flushed to disk, if the block
    succeeds.

    If the block raises, the previous file at `path` stays and nothing else is left. A symbolic link
    is replaced, not its target: for a file that a user names see `zoo.machine.output_file`.

    Args:
        mode: the file's permissions; None: those of a new file under the umask.

    Raises OSError where the folder is missing or can't be written, or the disk is full.
    """
    descriptor, name = tempfile.mkstemp(".tmp", ".zoo-", path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        flush(temporary)
        temporary.chmod(0o666 & ~current_umask() if mode is None else mode)
        temporary.replace(path)
        with contextlib.suppress(PermissionError):  # a folder that can be written and not be read
            flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Wait until a file or folder has been written to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_files(folder: Path) -> None:
    """Wait until all files in a folder, at any depth, have been written to the disk. They get the
    permissions of new files (safetensors makes its files private)."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o666 & ~current_umask())
            flush(path)


def current_umask() -> int:
    """Return the process's umask: the permission bits that new files do not get."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def put_in_place(staging: Path, target: Path) -> None:
    """Rename a folder to its final path on the same disk, and delete what was at that path.

    A process that is killed between the two renames leaves the old one for `put_back`.
    """
    flush_files(staging)
    staging.chmod(0o777 & ~current_umask())
    aside = None
    if target.exists() or target.is_symlink():
        aside = Path(tempfile.mkdtemp(prefix=OLD, dir=target.parent))
        target.replace(aside / target.name)
    staging.replace(target)
    flush(target.parent)
    if aside:
        shutil.rmtree(aside, ignore_errors=True)


def put_back(folder: Path) -> None:
    """Restore folders in `folder` that a killed process was about to replace. No other process may
    do so at the same time."""
    for old in folder.glob(f"{OLD}*/*"):
        if not (folder / old.name).exists():
            old.replace(folder / old.name)
        shutil.rmtree(old.parent, ignore_errors=True)


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder inside `folder` that is always removed at the end, also after
    SIGTERM.

    Its name holds the id of this process, which locks it until the process ends in any way;
    temporary folders that no process locks are removed first. Parent folders made for it are
    removed too if they are empty.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    staging, handle = None, None
    with exit_on_sigterm():
        try:
            with uninterrupted():
                staging, handle = _made(folder)
            yield staging
        finally:
            with uninterrupted():
                if staging is not None:
                    shutil.rmtree(staging, ignore_errors=True)
                if handle is not None:
                    os.close(handle)
                for each in made:
                    with contextlib.suppress(OSError):  # something was put there
                        each.rmdir()


def sweep(folder: Path) -> None:
    """Remove the temporary folders in `folder` that belong to no living process."""
    for left in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(BlockingIOError):  # it is of a living one
            if (handle := lock_folder(left, wait=False)) is not None:
                shutil.rmtree(left, ignore_errors=True)
                os.close(handle)


@contextlib.contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into an exception that exits the process, so that cleanup code runs; a second
    SIGTERM has its usual effect.

    If a handler is already set, as in training, it stays.
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
    """Delay SIGTERM and Ctrl-C until the file operations in the block are complete."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def lock(handle: int, wait: bool) -> None:
    """Lock an open file or folder until the last copy of this descriptor is closed or its process
    ends.

    Raises BlockingIOError where another has it and `wait` is false, and OSError where the file
    system can't lock it.
    """
    fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def lock_folder(folder: Path, wait: bool) -> int | None:
    """Lock a folder (see `lock`) and return the descriptor that holds the lock; None if it is not a
    folder, or the file system can't lock folders."""
    handle = None
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        lock(handle, wait)
    except OSError as error:
        if handle is not None:
            os.close(handle)
        if isinstance(error, BlockingIOError):
            raise
        return None
    return handle


def _made(folder: Path) -> tuple[Path, int | None]:
    """Make a new folder; return it with the descriptor that locks it, None if the file system can't
    lock folders."""
    while True:
        staging = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=folder))
        handle = lock_folder(staging, wait=True)
        if staging.exists():  # else it was swept before it was locked: once more
            return staging, handle
        if handle is not None:
            os.close(handle)
