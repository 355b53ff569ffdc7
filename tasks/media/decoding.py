"""Media to arrays: one pass over a split in threads, and the arrays again whenever they are wanted.

What is decoded stays in memory where all of it fits, and is never written to disk. Where it does
not fit, the pass only measures, what it found is kept on disk, and arrays are decoded anew.
"""

import hashlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from tasks.errors import UserError, spelled
from tasks.media import decoding_cache
from tasks.media.array_block import ArrayBlock
from tasks.media.decoding_cache import DecodedSplit
from tasks.media.source import BadFile, name_of
from tasks.printing import print_lines

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

Facts = Mapping[str, float]
"""What a decoder found remarkable in a file, by name; empty for most."""
Decode = Callable[[Mapping[str, Any]], npt.NDArray[Any] | tuple[npt.NDArray[Any], Facts]]
Measure = Callable[[npt.NDArray[Any]], float]

ROWS_A_JOB = 32  # so many tiny images are worth handing to a thread; of large ones few wait
NAMED = 5  # bad files that a message names at most


@dataclass(frozen=True)
class Decoded:
    """The media of one split that could be decoded; numbered from 0 without gaps."""

    kept: npt.NDArray[np.int64]
    """The row of the split that each is, [n], ascending."""
    sizes: npt.NDArray[np.float64]
    """What the measure says of each, [n]."""
    bad: list[tuple[int, str, str]]
    """Row of the split, name and reason of each that could not be decoded."""
    split: "datasets.Dataset" = field(repr=False)
    decode: Decode = field(repr=False)
    block: ArrayBlock | None = field(repr=False, default=None)
    """All arrays, where they fit into memory."""
    facts: Mapping[int, Facts] = field(repr=False, default_factory=dict)
    """What the decoder found remarkable, by row of the split; only rows that it found it in."""
    digests: npt.NDArray[np.uint64] | None = field(repr=False, default=None)
    """Of each array's content, [n]: equal where arrays are; None where they were not wanted."""
    beside: str | None = field(repr=False, default=None)
    """The column that `decode` was given as well."""

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def uniform(self) -> bool:
        """Return whether all arrays are in memory with one shape and dtype, so that `get_many`
        costs a copy and no more."""
        return self.block is not None and self.block.uniform

    def get(self, i: int) -> npt.NDArray[Any]:
        """The array of the `i`-th, the caller's own to write to.

        Raises `UserError` where its file could be decoded before and cannot be any more.
        """
        if self.block is not None:
            return self.block[i]
        row = int(self.kept[i])
        media = self.media(i)
        try:
            return _decode(self.decode, media, row)[0]
        except _Unusable as problem:
            raise UserError(
                f"{name_of(media, row)} could be read when training began, and cannot be any more:"
                f" {problem}"
            ) from None

    def media(self, i: int) -> Mapping[str, Any]:
        """Return what `decode` is given of the `i`-th."""
        row = self.split[int(self.kept[i])]
        found: Mapping[str, Any] = row["media"]
        return found if self.beside is None else {**found, self.beside: row[self.beside]}

    def get_many(self, indices: Sequence[int] | npt.NDArray[np.integer[Any]]) -> npt.NDArray[Any]:
        """The arrays of several, stacked: [len(indices), ...]. They must be of one shape."""
        if self.uniform:
            assert self.block is not None
            return self.block.many(indices)
        return np.stack([self.get(int(i)) for i in indices])


def decode_split(
    split: "datasets.Dataset",
    decode: Decode,
    measure: Measure,
    *,
    on_bad_file: Literal["skip", "stop"],
    cache_key: str,
    memory_limit: int = 2**30,
    threads: int | None = None,
    title: str = "decoding",
    digests: bool = False,
    beside: str | None = None,
) -> Decoded:
    """Decodes every row's `media` once.

    Args:
        decode: an array of a row's {"bytes", "path"}, or that and what is remarkable in it. Raises
            `BadFile` for a file that cannot be used; any other error than one of the operating
            system's is taken for a mistake in it.
        measure: the size of an array in the unit that batches are budgeted in.
        on_bad_file: "skip" leaves bad files out and says so on standard error; "stop" raises.
        cache_key: what the sizes depend on beside the media themselves: the data's fingerprint,
            which stands for the content of files on disk, and the decoder with its limits.
        memory_limit: bytes of arrays to keep; more, and none are kept.
        threads: by default as many as this process may use cores.
        title: of the progress bar, which a terminal sees where it takes a while.
        digests: whether to find out which arrays are equal.
        beside: another column, whose value `decode` finds under its name beside "bytes" and "path".

    Raises `UserError` naming the first bad files ("stop"), or where no file is left.
    """
    read_columns = ["media"] if beside is None else ["media", beside]
    split = split.select_columns(read_columns)
    cache_key = f"{cache_key}/{decoding_cache.digest_of(split)}"
    cache_key = f"{cache_key}/digests" if digests else cache_key
    known = decoding_cache.read(cache_key, split.num_rows)
    if known is not None and known.total_bytes > memory_limit:
        measured, block = known, None
    else:
        measured, block, lasting = _pass(
            split, decode, measure, memory_limit, threads, title, digests, beside
        )
        if block is None and lasting:
            decoding_cache.write(cache_key, split.num_rows, measured)
    _report(measured.bad, split.num_rows, on_bad_file)
    return Decoded(
        measured.kept,
        measured.sizes,
        measured.bad,
        split,
        decode,
        block,
        measured.facts,
        measured.digests if digests else None,
        beside,
    )


class _Unusable(Exception):
    """A file that cannot be used; `lasting` where that is its content's fault."""

    def __init__(self, reason: str, lasting: bool) -> None:
        super().__init__(reason)
        self.lasting = lasting


def _decode(
    decode: Decode, media: Mapping[str, Any] | None, row: int
) -> tuple[npt.NDArray[Any], Facts]:
    """Raises `_Unusable`, or `RuntimeError` with the file's name for a mistake of the decoder's."""
    if media is None or (media["bytes"] is None and media["path"] is None):
        raise _Unusable("there is no file", lasting=True)
    try:
        found = decode(media)
        return found if isinstance(found, tuple) else (found, {})
    except BadFile as problem:
        raise _Unusable(str(problem), lasting=True) from None
    except (UserError, MemoryError):
        raise
    except Exception as problem:
        # Pillow's "cannot identify image file" is an OSError too, but without a number.
        if isinstance(problem, OSError) and problem.errno is not None:
            raise _Unusable(problem.strerror or str(problem), lasting=False) from None
        raise RuntimeError(
            f"{name_of(media, row)}: the decoder failed with {type(problem).__name__}: {problem}"
        ) from problem


class _Budget:
    """The bytes of memory that decoded arrays may fill; threads share it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self.taken = 0
        self.exceeded = False

    def take(self, count: int) -> bool:
        """Count `count` more bytes, and return whether all that was counted so far fits."""
        with self._lock:
            self.taken += count
            self.exceeded = self.exceeded or self.taken > self._limit
            return not self.exceeded


@dataclass
class _Found:
    """The result of one job: what it has decoded of its rows, and which of them are bad."""

    kept: list[int] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    arrays: list[npt.NDArray[Any]] = field(default_factory=list)
    bad: list[tuple[int, str, str]] = field(default_factory=list)
    facts: dict[int, Facts] = field(default_factory=dict)
    digests: list[int] = field(default_factory=list)
    lasting: bool = True  # whether what is bad will be bad again

    def add(self, later: "_Found") -> None:
        """Takes in what a later job has made of its rows, but for the arrays."""
        self.kept += later.kept
        self.sizes += later.sizes
        self.bad += later.bad
        self.facts |= later.facts
        self.digests += later.digests
        self.lasting = self.lasting and later.lasting


def _pass(
    split: "datasets.Dataset",
    decode: Decode,
    measure: Measure,
    memory_limit: int,
    threads: int | None,
    title: str,
    wants_digests: bool,
    beside: str | None,
) -> tuple[DecodedSplit, ArrayBlock | None, bool]:
    """Decode a split once; return what was found, the arrays where they fit into memory, and
    whether the bad files will be bad again."""
    from tqdm import tqdm

    budget = _Budget(memory_limit)
    stored = split.with_format("arrow")

    def job(start: int) -> _Found:
        rows = enumerate(_media_of(stored[start : start + ROWS_A_JOB], beside), start)
        return _decode_rows(rows, decode, measure, budget, wants_digests)

    total = _Found()
    block: ArrayBlock | None = ArrayBlock(split.num_rows, memory_limit)
    with tqdm(
        total=split.num_rows, desc=title, unit="file", delay=1, leave=False, disable=None
    ) as bar:
        starts = range(0, split.num_rows, ROWS_A_JOB)
        for found in _in_threads(job, starts, threads or _cores()):
            total.add(found)
            if budget.exceeded:
                block = None
            if block is not None:
                block.extend(found.arrays)
            bar.update(len(found.kept) + len(found.bad))
    if block is not None:
        block.seal()
    measured = DecodedSplit(
        np.array(total.kept, np.int64),
        np.array(total.sizes, np.float64),
        total.bad,
        budget.taken,
        total.facts,
        np.array(total.digests, np.uint64),
    )
    return measured, block, total.lasting


def _media_of(table: "pa.Table", beside: str | None) -> Iterator[Mapping[str, Any] | None]:
    """Yield what `decode` is given of each row of a table."""
    for row, value in enumerate(table.column("media")):
        media = value.as_py()
        if beside is not None and media is not None:
            media = {**media, beside: table.column(beside)[row].as_py()}
        yield media


def _decode_rows(
    rows: Iterable[tuple[int, Mapping[str, Any] | None]],
    decode: Decode,
    measure: Measure,
    budget: _Budget,
    wants_digests: bool,
) -> _Found:
    """Decodes media, each with its row; the arrays are kept while the budget lasts."""
    found = _Found()
    for row, media in rows:
        try:
            array, facts = _decode(decode, media, row)
            size = measure(array)
        except _Unusable as problem:
            found.bad.append((row, name_of(media or {}, row), str(problem)))
            found.lasting = found.lasting and problem.lasting
            continue
        found.kept.append(row)
        found.sizes.append(size)
        if facts:
            found.facts[row] = facts
        if wants_digests:
            found.digests.append(_digest(array))
        if budget.take(array.nbytes):
            found.arrays.append(array)
        else:
            found.arrays.clear()
    return found


def _digest(array: npt.NDArray[Any]) -> int:
    content = hashlib.blake2b(repr((array.shape, array.dtype.str)).encode(), digest_size=8)
    content.update(array.tobytes())
    return int.from_bytes(content.digest(), "big")


def _in_threads(
    job: Callable[[int], _Found], starts: Sequence[int], threads: int
) -> Iterator[_Found]:
    """The results in order; few wait to be taken, so that few arrays are in memory twice."""
    pending: deque[Future[_Found]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        try:
            for start in starts:
                pending.append(pool.submit(job, start))
                if len(pending) >= 4 * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _report(
    bad: Sequence[tuple[int, str, str]], rows: int, on_bad_file: Literal["skip", "stop"]
) -> None:
    named = "; ".join(f"{name}: {reason}" for _, name, reason in bad[:NAMED])
    more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    if len(bad) == rows:
        raise UserError(
            f"none of {rows:,} files can be used ({named}{more})" if rows else "there are no files"
        )
    if not bad:
        return
    count = f"{len(bad):,} of {rows:,} files cannot be used ({named}{more})"
    if on_bad_file == "stop":
        raise UserError(f"{count}: mend or remove them, or pass `on_bad_file` skip")
    print_lines(spelled(f"warning: {count}, left out"), file=sys.stderr)
