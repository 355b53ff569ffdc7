"""Arrow tables on disk: whole or not there, and opened without being read into memory.

A data set that lies on disk gives `Dataset.map` a cache of its own; one in memory does not.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import atomic
from tasks.data.cells import tell

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa


def write(final: Path, table: "pa.Table") -> None:
    """An Arrow stream, under its final name only when it is whole. Raises `OSError`."""
    write_batches(final, table.schema, table.to_batches(max_chunksize=1000))


def write_batches(final: Path, schema: "pa.Schema", batches: "Iterable[pa.RecordBatch]") -> None:
    """Write a table to an Arrow file, whole or not at all, batch by batch: they need not all be in
    memory at once."""
    import pyarrow as pa

    final.parent.mkdir(parents=True, exist_ok=True)
    with atomic.replacing(final) as file, pa.ipc.new_stream(file, schema) as stream:
        for batch in batches:
            stream.write_batch(batch)


@contextlib.contextmanager
def disk_errors() -> Iterator[None]:
    """Raises as OSError what went wrong on the disk where `datasets` raises what came of it: that a
    file is closed which the first error had closed."""
    try:
        yield
    except ValueError as error:
        first: BaseException | None = error
        while first is not None and not isinstance(first, OSError):
            first = first.__context__
        if first is None:
            raise
        raise OSError(first.errno, first.strerror) from error


def read(copy: Path, split: str, fingerprint: str) -> "datasets.Dataset":
    """The data set in a file of `write`; `fingerprint` stands for its content.

    The fingerprint that `datasets` would make holds the copy's time and place.
    """
    import datasets

    table = datasets.table.MemoryMappedTable.from_file(str(copy))
    tell(table)
    return datasets.Dataset(table, split=datasets.Split(split), fingerprint=fingerprint)
