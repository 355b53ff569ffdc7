"""Files to predict on, as a command line names them: files, folders, quoted globs, a list."""

import glob
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import standard_input
from tasks.data.files import missing
from tasks.errors import UserError, spelled
from tasks.paths import expanded
from tasks.printing import print_lines

if TYPE_CHECKING:
    from tasks.media.source import BadFile

LONGEST_NAME = 255  # bytes, on nearly every file system


def expand(names: Sequence[str], suffixes: Collection[str], what: str) -> Iterator[Path]:
    """The files that the names stand for, one by one, each name's sorted.

    Args:
        names: a file (taken whatever its suffix), a folder (searched through, for the suffixes), a
            glob ("calls/**/*.wav"), or - for a list of files on standard input, one a line.
        suffixes: small letters, with their dots.
        what: of the files, for messages: "audio files".

    Raises `UserError` for a name without a file behind it, when its turn comes.
    """
    for name in names:
        if name == "-":
            yield from _listed(what)
            continue
        path = expanded(name)
        if len(os.fsencode(path.name)) > LONGEST_NAME:
            raise UserError(f"{name[:40]}... is too long to be the name of a file")
        if path.is_dir():
            yield from _in_folder(path, suffixes, what)
        elif path.exists():
            yield path
        elif glob.has_magic(name):
            yield from _matching(name, suffixes, what)
        else:
            raise missing(name)


def decoded(
    given: Iterable[Mapping[str, Any]],
    decode: Callable[[str, Mapping[str, Any]], Mapping[str, Any]],
    on_bad_file: str,
) -> Iterator[Mapping[str, Any]]:
    """Each of the media as its `name` and what `decode` makes of name and media.

    One that can't be read is named and skipped, or stops with a `UserError` where `on_bad_file` is
    "stop". Raises `UserError` where none can be read.
    """
    from tasks.media.source import BadFile, name_of

    bad, number = 0, -1
    for number, media in enumerate(given):
        name = name_of(media, number)
        try:
            yield {"name": name, **decode(name, media)}
        except BadFile as problem:
            skip(name, problem, on_bad_file)
            bad += 1
    if bad == number + 1 > 0:
        raise none_can_be_used(bad)


def skip(name: object, problem: "BadFile", on_bad_file: str) -> None:
    """Say that a file is passed over, and why; raise `UserError` where `on_bad_file` is "stop"."""
    if on_bad_file == "stop":
        hint = "`on_bad_file` skip goes on without"
        raise UserError(f"{name}: {problem}", hint=hint) from None
    print_lines(spelled(f"{name}: {problem}; skipped"), file=sys.stderr)


def none_can_be_used(bad: int) -> UserError:
    """Return the error where all of so many files were passed over."""
    return UserError(f"none of {bad:,} files can be used")


def _in_folder(folder: Path, suffixes: Collection[str], what: str) -> Iterator[Path]:
    found = sorted(
        file for file in folder.rglob("*") if file.suffix.lower() in suffixes and file.is_file()
    )
    if not found:
        raise UserError(f"the folder {folder} has no {what} ({_named(suffixes)})")
    yield from found


def _matching(pattern: str, suffixes: Collection[str], what: str) -> Iterator[Path]:
    whole = str(expanded(pattern))
    # Path.glob takes no absolute pattern
    found = sorted(map(Path, glob.glob(whole, recursive=True)))  # noqa: PTH207
    files = [path for path in found if path.is_file()]
    # "*" beside notes and sums: only where nothing else is there are those what was meant.
    files = [path for path in files if path.suffix.lower() in suffixes] or files
    if not files:
        raise UserError(f"no {what} match {pattern}")
    yield from files


def _listed(what: str) -> Iterator[Path]:
    for number, line in enumerate(standard_input.names(what), start=1):
        name = line.removeprefix("\ufeff") if number == 1 else line  # a byte order mark
        if not name:
            continue
        path = expanded(name)
        if not path.is_file():
            raise UserError(f"standard input, line {number}: there is no file {name}")
        yield path


def _named(suffixes: Collection[str]) -> str:
    return ", ".join(suffix.removeprefix(".") for suffix in sorted(suffixes))
