"""Files that a user names for output: replaced as a whole, or written to where they are devices.

A regular file is written under another name and renamed, so that whoever reads it sees the old
content or the new one. A device or a pipe can't be replaced: it is written to as it is. A symbolic
link stays, and the file it leads to is replaced.
"""

import io
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TextIO

from tasks.errors import UserError
from zoo.checkpoint import current_umask, flush

OPEN_FILES = {"/dev/stdout": 1, "/dev/stderr": 2}
OPEN_FILE = re.compile(r"/(?:dev|proc/self|proc/thread-self)/fd/(\d+)")
"""How a file that this process has open is named; the shell's >(...) is one."""
MOST_LINKS = 40  # that follow on each other; Linux allows as many


def check(path: Path, flag: str) -> None:
    """Raises `UserError` where nothing can be written, before the work whose result it would be.

    Args:
        flag: that named the file, for the message.
    """
    target = _target(path, flag)
    if isinstance(target, int):
        return
    try:
        if target.is_dir():
            raise UserError(f"{flag} {path} is a folder: name a file")
        if target.exists():
            if not os.access(target, os.W_OK):
                raise UserError(f"{flag} {path} may not be written to")
            if not target.is_file():
                return
        folder = target.parent
        while not folder.exists():
            folder = folder.parent
    except OSError as problem:
        raise _refused(path, flag, problem) from None
    if not folder.is_dir():
        raise UserError(f"{flag} {path} can't be written: {folder} is a file, and no folder")
    if not os.access(folder, os.W_OK):
        raise UserError(f"{flag} {path} can't be written: nothing may be written to {folder}")


def is_stream(path: Path, flag: str) -> bool:
    """Whether it is a device, a pipe or a file that is open already, which is never replaced.

    Raises `UserError` for a link that leads nowhere.
    """
    target = _target(path, flag)
    return isinstance(target, int) or (target.exists() and not target.is_file())


@contextmanager
def replacing(path: Path, flag: str) -> Iterator[IO[bytes]]:
    """A binary file to write to, whose content is at `path` once all went well.

    Where anything is raised inside, a regular file stays as it was, or absent. Folders above it are
    made. Raises `UserError` where nothing can be written there, and OSError where the disk is full.
    """
    check(path, flag)
    target = _target(path, flag)
    if isinstance(target, int):
        with os.fdopen(os.dup(target), "wb") as file:
            yield file
    elif target.exists() and not target.is_file():
        with target.open("wb") as file:
            yield file
    else:
        with _beside(target, path, flag) as (temporary, file):
            yield file
            file.close()
            flush(temporary)
            temporary.replace(target)


@contextmanager
def replacing_text(path: Path, flag: str) -> Iterator[TextIO]:
    """The same for text, which is UTF-8 whatever the terminal's encoding, with line ends as given.

    What UTF-8 can't hold, half of a surrogate pair in the name of a file, is escaped.
    """
    with (
        replacing(path, flag) as file,
        io.TextIOWrapper(file, "utf-8", errors="backslashreplace", newline="") as text,
    ):
        yield text


@contextmanager
def _beside(target: Path, path: Path, flag: str) -> Iterator[tuple[Path, IO[bytes]]]:
    """A file of the same folder and permissions, which goes away unless it is renamed."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o666 & ~current_umask()
        descriptor, name = tempfile.mkstemp(".tmp", ".zoo-", target.parent)
    except (PermissionError, NotADirectoryError, FileExistsError) as problem:
        raise _refused(path, flag, problem) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            Path(name).chmod(mode)
            yield Path(name), file
    finally:
        Path(name).unlink(missing_ok=True)


def _target(path: Path, flag: str) -> Path | int:
    """What a path leads to: a path that is no link, or the number of an open file."""
    here = path.absolute()
    try:
        for _ in range(MOST_LINKS):
            if (name := str(here)) in OPEN_FILES:
                return _open_number(OPEN_FILES[name], path, flag)
            if found := OPEN_FILE.fullmatch(name):
                return _open_number(int(found[1]), path, flag)
            if not here.is_symlink():
                return here
            here = here.parent / here.readlink()
    except OSError as problem:  # a name too long, a folder that may not be entered
        raise _refused(path, flag, problem) from None
    raise UserError(f"{flag} {path} is a link that leads to no file")


def _open_number(number: int, path: Path, flag: str) -> int:
    try:
        os.fstat(number)
    except OSError:
        raise UserError(f"{flag} {path}: this process has no such file open") from None
    return number


def _refused(path: Path, flag: str, problem: OSError) -> UserError:
    shown = str(path) if len(str(path)) <= 120 else f"{str(path)[:120]}..."
    return UserError(f"{flag} {shown} can't be written: {problem.strerror}")
