"""Files that stand twice: in several splits, in one, or under different labels."""

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.data.label_checks import rows, warning
from tasks.preflight import Finding

if TYPE_CHECKING:
    import datasets

Equal = Sequence[Sequence[tuple[str, int]]]
"""Groups of equal files, each by split and row, in the order of the splits."""
PIECE = 65_536
"""Bytes of a file on disk that are read at its start, middle and end: to read all of a large data
set once more only for this would take as long as to decode it."""


def duplicates(
    splits: "datasets.DatasetDict", noun: str, label: str | None = None
) -> Iterator[Finding]:
    """Equal files within and across splits.

    Args:
        splits: rows with `media`; what can't be read is left to others.
        noun: what a message calls several of them: "sounds".
        label: the column that equal files should agree in.
    """
    places: dict[bytes, list[tuple[str, int]]] = {}
    for name, split in splits.items():
        for row, media in enumerate(_media(split)):
            key = digest(media)
            if key is not None:
                places.setdefault(key, []).append((name, row))
    equal = [found for found in places.values() if len(found) > 1]
    yield from _within(splits, equal)
    yield from _across(splits, equal, noun)
    conflicts = [found for found in equal if _disagree(splits, found, label)]
    if conflicts:
        name, row = conflicts[0][0]
        yield warning(
            f"{_counted(conflicts, noun)} with different labels in different rows, the first is"
            f" {_named(splits, name, row)} of {name}",
            "contradictory",
            None,
            len(conflicts),
        )


def _within(splits: "datasets.DatasetDict", equal: Equal) -> Iterator[Finding]:
    again: dict[str, list[int]] = {name: [] for name in splits}
    for found in equal:
        seen = set()
        for name, row in found:
            if name in seen:
                again[name].append(row)
            seen.add(name)
    for name, repeated in again.items():
        if repeated:
            yield warning(
                f"{name}: {rows(len(repeated))} repeat a file of the same split, the first is"
                f" {_named(splits, name, min(repeated))}",
                "repeated",
                name,
                len(repeated),
            )


def _across(splits: "datasets.DatasetDict", equal: Equal, noun: str) -> Iterator[Finding]:
    leaks: dict[tuple[str, str], list[int]] = {}
    for found in equal:
        first_rows = dict(reversed(found))  # of each split
        there = [name for name in splits if name in first_rows]
        for first, second in itertools.combinations(there, 2):
            leaks.setdefault((first, second), []).append(first_rows[second])
    for (first, second), leaked in leaks.items():
        harm = ": what is measured there is too good" if first == "train" else ""
        yield warning(
            f"{_counted(leaked, noun)} of {second} also in {first}{harm}; the first is"
            f" {_named(splits, second, min(leaked))}",
            f"shared_with_{first}",
            second,
            len(leaked),
        )


def _disagree(
    splits: "datasets.DatasetDict", found: Sequence[tuple[str, int]], label: str | None
) -> bool:
    given = {
        repr(splits[name][row][label]) for name, row in found if label in splits[name].column_names
    }
    return len(given) > 1


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
    """Yield the media of a split one by one: a split may be larger than memory."""
    for row in split.select_columns(["media"]):
        yield row["media"]
