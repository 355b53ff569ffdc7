"""Files that stand twice: in several splits, in one, or under different labels."""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.data.label_checks import rows, warning
from tasks.preflight import Finding

if TYPE_CHECKING:
    import datasets

Place = tuple[str, int]
"""A split and a row of it."""
PIECE = 65_536
"""Bytes of a file on disk that are read at its start, middle and end: to read all of a large data
set once more only for this would take as long as to decode it."""
BATCH = 32
"""Rows that are in memory together."""


def duplicates(
    splits: "datasets.DatasetDict", noun: str, label: str | None = None
) -> Iterator[Finding]:
    """Equal files within and across splits.

    Args:
        splits: rows with `media`; what can't be read is left to others.
        noun: what a message calls several of them: "sounds".
        label: the column that equal files should agree in.
    """
    places: dict[bytes, list[Place]] = {}
    for name, split in splits.items():
        for row, media in enumerate(_media(split)):
            key = digest(media)
            if key is not None:
                places.setdefault(key, []).append((name, row))

    def given(name: str, row: int) -> str | None:
        return repr(splits[name][row][label]) if label in splits[name].column_names else None

    yield from of_groups(splits, places.values(), noun, "a file", given)


def of_groups(
    splits: "datasets.DatasetDict",
    groups: Iterable[Sequence[Place]],
    noun: str,
    thing: str,
    given: Callable[[str, int], str | None],
) -> Iterator[Finding]:
    """What stands twice in a split, stands in several, or has different labels.

    Args:
        groups: the places of equal things, each in the order of the splits.
        noun: what a message calls several of them: "sounds".
        thing: and one that is repeated: "a file".
        given: what a place says of the label; None: nothing.
    """
    again: dict[str, list[int]] = {}
    leaks: dict[tuple[str, str], list[int]] = {}
    conflicts = []
    for places in groups:
        if len(places) == 1:
            continue
        here: dict[str, list[int]] = {}
        for name, row in places:
            here.setdefault(name, []).append(row)
        for name, there in here.items():
            again.setdefault(name, []).extend(there[1:])
        for first, second in itertools.combinations(here, 2):
            leaks.setdefault((first, second), []).append(here[second][0])
        if len({given(*place) for place in places} - {None}) > 1:
            conflicts.append(places[0])
    for name in splits:
        if repeated := again.get(name):
            yield warning(
                f"{name}: {rows(len(repeated))} repeat {thing} of the same split, the first is"
                f" {_named(splits, name, min(repeated))}",
                "repeated",
                name,
                len(repeated),
            )
    for (first, second), leaked in leaks.items():
        harm = ": what is measured there is too good" if first == "train" else ""
        yield warning(
            f"{_counted(leaked, noun)} of {second} also in {first}{harm}; the first is"
            f" {_named(splits, second, min(leaked))}",
            f"shared_with_{first}",
            second,
            len(leaked),
        )
    if conflicts:
        name, row = conflicts[0]
        yield warning(
            f"{_counted(conflicts, noun)} with different labels in different rows, the first is"
            f" {_named(splits, name, row)} of {name}",
            "contradictory",
            None,
            len(conflicts),
        )


def _named(splits: "datasets.DatasetDict", name: str, row: int) -> str:
    from tasks.media.source import name_of

    return name_of(splits[name][row]["media"], row)


def digest(media: Mapping[str, Any] | None) -> bytes | None:
    """Return a digest of a file's bytes (of a large file on disk: of its size and three pieces of
    it); None where there is nothing to read."""
    if media is None:
        return None
    if media["bytes"] is not None:
        return hashlib.blake2b(media["bytes"], digest_size=16).digest()
    if not media["path"]:
        return None
    try:
        with Path(media["path"]).open("rb") as file:
            size = file.seek(0, 2)
            total = hashlib.blake2b(size.to_bytes(8, "big"), digest_size=16)
            starts = range(0, size, PIECE) if size <= 3 * PIECE else (0, size // 2, size - PIECE)
            for start in starts:
                file.seek(start)
                total.update(file.read(PIECE))
            return total.digest()
    except (OSError, ValueError):
        return None


def _counted(found: Sequence[object], noun: str) -> str:
    return f"1 {noun.removesuffix('s')}" if len(found) == 1 else f"{len(found):,} {noun}"


def _media(split: "datasets.Dataset") -> Iterator[Mapping[str, Any] | None]:
    """Yield the media of a split, a few at a time: a split may be larger than memory."""
    for batch in split.select_columns(["media"]).iter(BATCH):
        yield from batch["media"]
