"""Files that a user names for output: replaced as a whole, or written to where they are devices.

A regular file is written under another name and renamed, so that whoever reads it sees the old
content or the new one. A device or a pipe can't be replaced: it is written to as it is. A symbolic
link stays, and the file it leads to is replaced.
"""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TextIO

from tasks import atomic
from zoo.machine import places


def is_stream(path: Path, flag: str) -> bool:
    """Return whether a path is a device, a pipe or an already open file, which is never replaced.

    Raises `UserError` for a link that leads nowhere.
    """
    target = places.target_of(flag, path)
    return isinstance(target, int) or (target.exists() and not target.is_file())


@contextmanager
def replacing(path: Path, flag: str) -> Iterator[IO[bytes]]:
    """Yield a binary file to write to, whose content replaces `path` if the block succeeds.

    If the block raises, a regular file stays unchanged or absent. Missing parent folders are made.
    Raises `UserError` where nothing can be written there, and OSError where the disk is full.
    """
    places.check_file(flag, path)
    target = places.target_of(flag, path)
    if isinstance(target, int):
        with os.fdopen(os.dup(target), "wb") as there:
            yield there
    elif target.exists() and not target.is_file():
        with target.open("wb") as there:
            yield there
    else:
        with ExitStack() as stack:
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
                file = stack.enter_context(atomic.replacing(target, mode))
            except (PermissionError, NotADirectoryError, FileExistsError) as problem:
                raise places.cannot(flag, path, problem) from None
            yield file


@contextmanager
def replacing_text(path: Path, flag: str) -> Iterator[TextIO]:
    """Yield a text file like `replacing`: UTF-8 whatever the terminal's encoding, line ends
    unchanged.

    What UTF-8 can't hold, half of a surrogate pair in the name of a file, is escaped.
    """
    with (
        replacing(path, flag) as file,
        io.TextIOWrapper(file, "utf-8", errors="backslashreplace", newline="") as text,
    ):
        yield text
