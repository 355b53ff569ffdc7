"""One process at a time in a folder: a lock that the kernel takes back, however its process ends.

`flock` on the file `.lock` inside, which says whose it is and goes with the work. A lock belongs to
an open file, so a process that was forked from its holder would keep it: such a copy is closed.
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from tasks.atomic import lock
from tasks.errors import UserError

NAME = ".lock"
_held: set[int] = set()


class FolderLock:
    """The lock on a folder, from when it is made until `release` or the end of the process.

    Raises:
        UserError: another process has it.
        OSError: the folder can't be written.
    """

    def __init__(self, folder: Path) -> None:
        self._handle = _acquire(folder / NAME)

    def release(self, folder: Path) -> None:
        """Gives the lock back and removes its file; `folder` is where that lies by now."""
        path = folder / NAME
        if _is_at(path, self._handle):
            path.unlink()
        _held.discard(self._handle)
        os.close(self._handle)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the lock on a folder; raises as `FolderLock` does."""
    lock = FolderLock(folder)
    try:
        yield
    finally:
        lock.release(folder)


def _acquire(path: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            lock(handle, wait=False)
            if _is_at(path, handle):  # else its holder removed it after we had opened it
                os.ftruncate(handle, 0)
                os.pwrite(handle, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)
                _held.add(handle)
                return handle
        except BlockingIOError:
            holder = _holder(handle)
            os.close(handle)
            raise UserError(
                f"{path.parent} is being written by {holder}: wait for it to end, or name another "
                "folder"
            ) from None
        except OSError as error:  # a full disk
            os.close(handle)
            raise OSError(error.errno, error.strerror, str(path)) from error
        os.close(handle)


def _is_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _holder(handle: int) -> str:
    words = os.pread(handle, 300, 0).decode(errors="replace").split()
    if len(words) != 2 or not words[0].isdigit():  # locked, and not yet written
        return "another process"
    elsewhere = "" if words[1] == socket.gethostname() else f" on {words[1]}"
    return f"process {words[0]}{elsewhere}"


def _let_go() -> None:
    for handle in _held:
        os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
