"""What a data set is, in 64 characters: equal examples, equal fingerprint."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

FILES_A_JOB = 256  # small enough to balance, large enough that handing over costs little


def sha256(path: Path) -> str:
    """The sha256 (hex) of one file, read in pieces. Raises `OSError` where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state_of(path: Path) -> list[int]:
    """Return what changes with every write to a file: device, inode, size, and the times of the
    last write and the last change of status (ns). Nobody can set the last one."""
    state = path.stat()
    return [state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns]


def of_files(files: Iterable[tuple[str, Path]]) -> str:
    """Sha256 (hex) over (relative path, bytes) of every file, sorted by path.

    Each path stands with its length and each file as its own digest, so that no two different
    folders run into the same stream of bytes. Raises `OSError` where a file cannot be read.
    """
    total = hashlib.sha256()
    ordered = sorted(files)
    for (relative, _), digest in zip(ordered, _digests([path for _, path in ordered]), strict=True):
        name = relative.encode("utf-8", "surrogateescape")
        total.update(len(name).to_bytes(8, "big") + name)
        total.update(bytes.fromhex(digest))
    return total.hexdigest()


def _digests(paths: Sequence[Path]) -> Iterator[str]:
    """The sha256 of every file in order; many are read by several threads."""
    if len(paths) <= FILES_A_JOB:
        yield from map(sha256, paths)
        return
    from concurrent.futures import ThreadPoolExecutor

    from tqdm import tqdm

    jobs = [paths[start : start + FILES_A_JOB] for start in range(0, len(paths), FILES_A_JOB)]
    with (
        ThreadPoolExecutor() as pool,
        tqdm(
            total=len(paths), desc="reading", unit="file", delay=2, leave=False, disable=None
        ) as bar,
    ):
        try:
            for done in pool.map(lambda job: [sha256(path) for path in job], jobs):
                bar.update(len(done))
                yield from done
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def of_examples(splits: "datasets.DatasetDict") -> str:
    """Sha256 (hex) over the names, features and rows of every split, in the order of their names.

    Rows are taken as they are stored: an image counts by its bytes and is not decoded.
    """
    total = hashlib.sha256()
    for name in sorted(splits):
        split = splits[name]
        head = [name, split.num_rows, split.features.to_dict()]
        total.update(json.dumps(head, sort_keys=True, default=str).encode())
        for batch in split.with_format("arrow").iter(batch_size=1000):
            for row in batch.to_pylist():
                line = json.dumps(row, sort_keys=True, ensure_ascii=False, default=_digest)
                total.update(line.encode("utf-8", "surrogatepass") + b"\n")
    return total.hexdigest()


def of_strings(rows: "datasets.Dataset", rows_at_once: int = 10_000) -> str:
    """Sha256 (hex) over columns of strings or bytes, or of structs or lists of them, whatever
    chunks they lie in.

    Each value stands with its length, and a missing one is told from an empty one.
    """
    import pyarrow as pa

    total = hashlib.sha256(json.dumps(rows.column_names).encode())
    for batch in rows.with_format("arrow").iter(batch_size=rows_at_once):
        for column in batch.columns:
            chunks = [_parts(chunk) for chunk in column.chunks]
            for parts in zip(*chunks, strict=True):
                # an array of strings holds 2 GB at most
                _add(total, pa.concat_arrays([part.cast(pa.large_binary()) for part in parts]))
    return total.hexdigest()


def _parts(values: "pa.Array") -> "list[pa.Array]":
    """The arrays of strings that an array is made of; the lengths of lists as strings."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_struct(values.type):
        fields: list[pa.Array] = values.flatten()
        return fields
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        return [pc.list_value_length(values).cast(pa.string()), values.flatten()]
    return [values]


def _add(total: "hashlib._Hash", values: "pa.LargeBinaryArray") -> None:
    import numpy as np
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.binary_length(values), -1)
    total.update(np.asarray(lengths, np.int64).tobytes())
    present = pc.drop_null(values)
    _, offsets, content = present.buffers()
    if len(present) and content is not None:
        ends = np.frombuffer(offsets, np.int64)[present.offset :]
        total.update(memoryview(content)[int(ends[0]) : int(ends[len(present)])])


def _digest(value: object) -> str:
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else repr(value)
