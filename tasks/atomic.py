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
    """Replaces a file by JSON, indented by two; raises as `replacing` does."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replaces a file by a text in UTF-8, line ends as given; raises as `replacing` does."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Replaces a file; raises as `replacing` does."""
    with replacing(path) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: Path, mode: int | None = None) -> Iterator[IO[bytes]]:
    """A binary file to write to, which is at `path`, and on disk, once all went well.

    Where anything is raised inside, what stood at `path` stays, and nothing else is left. A
    symbolic link is replaced itself: for a file that a user names see `zoo.machine.output_file`.

    Args:
        mode: the file's permissions; None: those that a new file has by the umask.

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
    """Waits until a file or folder has reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_files(folder: Path) -> None:
    """Waits until the files in a folder, at any depth, have reached the disk; they get the
    permissions of new files (safetensors keeps its own private)."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o666 & ~current_umask())
            flush(path)


def current_umask() -> int:
    """The permissions that new files are denied."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def put_in_place(staging: Path, target: Path) -> None:
    """Renames a folder to where it belongs, on the same disk; what stood there goes.

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
    """Puts back what a killed process was about to replace in `folder`, which no other may do
    meanwhile."""
    for old in folder.glob(f"{OLD}*/*"):
        if not (folder / old.name).exists():
            old.replace(folder / old.name)
        shutil.rmtree(old.parent, ignore_errors=True)


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A temporary folder inside `folder` that goes away whatever happens, SIGTERM included.

    Its name holds the number of this process, which has it locked as long as it lives, however that
    ends; those that nobody holds any more are removed first. Folders that had to be made for it go
    too, where nothing was put in them.
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
    """Removes the temporary folders in `folder` that no living process owns."""
    for left in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(BlockingIOError):  # it is of a living one
            if (handle := lock_folder(left, wait=False)) is not None:
                shutil.rmtree(left, ignore_errors=True)
                os.close(handle)


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


def lock(handle: int, wait: bool) -> None:
    """Locks an open file or folder for whoever holds this descriptor or a copy of it, until the
    last is closed or its process ends.

    Raises BlockingIOError where another has it and `wait` is false, and OSError where the file
    system can't lock it.
    """
    fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def lock_folder(folder: Path, wait: bool) -> int | None:
    """The descriptor that locks a folder, see `lock`; None for what is no folder, and where a file
    system can't lock folders."""
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
    """A new folder and the descriptor that locks it, if the file system can lock folders."""
    while True:
        staging = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=folder))
        handle = lock_folder(staging, wait=True)
        if staging.exists():  # else it was swept before it was locked: once more
            return staging, handle
        if handle is not None:
            os.close(handle)
