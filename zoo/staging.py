"""Folders in which something is made before it is put in place, and what killed processes left of
them."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = ".incoming-"


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A temporary folder inside `folder` that goes away whatever happens.

    It is locked as long as this process lives, however that ends; those that nobody holds any more
    are removed first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    staging, lock = _made(folder)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        os.close(lock)


def sweep(folder: Path) -> None:
    """Removes the temporary folders that killed processes left in a folder."""
    for left in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # gone meanwhile, or not ours to remove
            lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(lock)


def _made(folder: Path) -> tuple[Path, int]:
    """A new folder and the descriptor that locks it."""
    while True:
        staging = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))
        with contextlib.suppress(FileNotFoundError):  # swept before it was locked: once more
            lock = os.open(staging, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if staging.exists():
                return staging, lock
            os.close(lock)
