"""Places that are written to: whether they can be, told before the work, and what went wrong there.

Only a try tells: permissions say nothing to root, and nothing about a read-only mount.
"""

import dataclasses
import errno
import os
import re
import stat
import tempfile
from pathlib import Path
from typing import Any, TypeVar

from tasks.data import cache
from tasks.errors import UserError
from tasks.paths import expanded

Settings = TypeVar("Settings")

FULL = (errno.ENOSPC, errno.EDQUOT)
WAYS = {
    errno.EROFS: "this place can only be read: name another",
    errno.EACCES: "give yourself the right to it, or name another place",
    errno.EPERM: "give yourself the right to it, or name another place",
    errno.ENAMETOOLONG: "name a shorter one",
    errno.ELOOP: "it is a link that leads to no file: remove it, or name another place",
    errno.ENOTDIR: "a part of this path is a file: name another place",
    errno.EISDIR: "name a file, not a folder",
    errno.ENOENT: "name a place that is there",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "the machine has too many files open: close what you need not",
    errno.EFBIG: "raise the limit on the size of a file (ulimit -f)",
    errno.EIO: "the disk or the network behind it fails: look at it before you go on",
    errno.ESTALE: "the network drive has gone: mount it anew",
}

OPEN_FILES = {"/dev/stdout": 1, "/dev/stderr": 2}
OPEN_FILE = re.compile(r"/(?:dev|proc/self|proc/thread-self)/fd/(\d+)")
"""How a file that this process has open is named; the shell's >(...) is one."""
PATHS = frozenset(("lm", "output_dir", "qat", "teacher", "words"))
"""Settings of texts that are paths and nothing else: `model` or `data` may also be a name."""
MOST_LINKS = 40  # that follow on each other; Linux allows as many


def explain(error: OSError, again: str) -> str:
    """Return what went wrong, where, and what would be right, in one sentence.

    Args:
        again: what to do once there is room on a disk that was full.
    """
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if name]
    where = f" {' -> '.join(names)}" if names else ""
    what = error.strerror or str(error) or type(error).__name__
    if error.errno in FULL:
        way = f"what was saved before stays: free some space, then {again}"
        return f"can't write{where}: {what}; {way}"
    way = WAYS.get(error.errno or 0, "what was saved before stays")
    return f"can't read or write{where}: {what}; {way}"


def at_home(settings: Settings) -> Settings:
    """Return a dataclass of settings, or of parts that hold them, with the home folder in place of
    a ~ that begins a path: no shell has read those of a file, of Python, or behind a =."""
    given: Any = settings
    changed = {
        field.name: now
        for field in dataclasses.fields(given)
        if (now := _at_home(field.name, old := getattr(given, field.name))) != old
    }
    return dataclasses.replace(given, **changed) if changed else settings


def _at_home(name: str, value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return at_home(value)
    if isinstance(value, tuple):
        return tuple(_at_home(name, each) for each in value)
    is_path = isinstance(value, Path) or (name in PATHS and isinstance(value, str))
    return type(value)(expanded(value)) if is_path and str(value).startswith("~") else value


def check_folder(flag: str, folder: Path) -> None:
    """Raise `UserError` if the folder can't be made or no file can be made in it; leaves no trace.

    Args:
        flag: what names it: "`output_dir`".
    """
    _try(flag, folder, folder)


def check_file(flag: str, path: Path | None) -> None:
    """Raise `UserError` if a file can't be written; leaves no trace. A path of None is accepted.

    Args:
        flag: what names it: "`output`".
    """
    if path is None:
        return
    target = target_of(flag, path)
    if isinstance(target, int):
        return
    try:
        kind = target.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        kind = None
    except OSError as error:
        raise cannot(flag, path, error) from None
    if kind is not None and stat.S_ISDIR(kind):
        raise UserError(f"{flag} {path} is a folder: name a file")
    if kind is not None and not os.access(target, os.W_OK):
        raise UserError(f"{flag} {path} may not be written to")
    if kind is None or stat.S_ISREG(kind):  # else a device or a pipe, which is written to
        _try(flag, path, target.parent)


def target_of(flag: str, path: Path) -> Path | int:
    """Return what a path leads to: a path that is no link, or the number of a file that this
    process has open. Raises `UserError` for a link to no file."""
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
        raise cannot(flag, path, problem) from None
    raise cannot(flag, path, OSError(errno.ELOOP, os.strerror(errno.ELOOP)))


def _open_number(number: int, path: Path, flag: str) -> int:
    try:
        os.fstat(number)
    except OSError:
        raise UserError(f"{flag} {path}: this process has no such file open") from None
    return number


def check_cache() -> None:
    """Raise `UserError` if the cache folder can't be written."""
    folder = cache.folder()
    try:
        check_folder("the cache", folder)
    except UserError as error:
        raise UserError(f"{error} (the variable ZOO_CACHE names the cache)") from None


def _try(flag: str, named: Path, folder: Path) -> None:
    there = folder
    try:
        while not _is_there(there):
            there = there.parent
        with tempfile.TemporaryFile(dir=there):
            pass
    except NotADirectoryError as error:
        way = f"{error.strerror}: {there} is a file, and no folder"
        raise UserError(f"{flag} {named} can't be written: {way}") from None
    except PermissionError as error:
        way = f"{error.strerror}: nothing may be written to {there}"
        raise UserError(f"{flag} {named} can't be written: {way}") from None
    except OSError as error:
        raise cannot(flag, named, error) from None


def _is_there(folder: Path) -> bool:
    try:
        folder.stat()
    except NotADirectoryError:
        return False
    except FileNotFoundError:
        if folder.is_symlink():  # one that leads nowhere: no folder of that name can be made
            raise
        return False
    return True


def cannot(flag: str, path: Path, error: OSError) -> UserError:
    """Return the `UserError` for a path that can't be written; `flag` names the path."""
    way = WAYS.get(error.errno or 0, "name another place")
    return UserError(f"{flag} {path} can't be written: {error.strerror}; {way}")
