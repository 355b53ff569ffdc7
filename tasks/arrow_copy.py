"""Arrow tables on disk: whole or not there, and opened without being read into memory.

A data set that lies on disk gives `Dataset.map` a cache of its own; one in memory does not.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa


def write(final: Path, table: "pa.Table") -> None:
    """An Arrow stream, under its final name only when it is whole. Raises `OSError`."""
    import tempfile

    import pyarrow as pa

    final.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=final.parent, suffix=".partial")
    os.close(handle)
    partial = Path(name)
    try:
        with pa.OSFile(name, "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table, max_chunksize=1000)
        partial.replace(final)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def read(copy: Path, split: str, fingerprint: str) -> "datasets.Dataset":
    """The data set in a file of `write`; `fingerprint` stands for its content.

    The fingerprint that `datasets` would make holds the copy's time and place.
    """
    import datasets

    table = datasets.table.MemoryMappedTable.from_file(str(copy))
    return datasets.Dataset(table, split=datasets.Split(split), fingerprint=fingerprint)
