"""Parquet to Arrow: in pieces, no further than its size allows, and told where it is damaged."""

from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

MOST_EXPANDED = 2**30
"""Bytes that a table may always take in memory, however small its file is."""
LARGEST_RATIO = 100
"""Of a larger table to its file: compressed texts take a tenth, not a thousandth."""
ROWS_AT_ONCE, FIRST_ROWS = 1000, 8
BYTES_AT_ONCE = 64 * 2**20


def read_parquet(path: Path) -> "pa.Table":
    """The table with the types it was written with.

    Raises `UserError` for one that expands out of all proportion: values that repeat take no room
    in a file.
    """
    import pyarrow as pa
    import pyarrow.parquet

    try:
        with pa.OSFile(str(path), "rb") as source:
            schema = pyarrow.parquet.ParquetFile(source).schema_arrow
            packed = [field.name for field in schema if _is_bytes(field.type)]
            file = pyarrow.parquet.ParquetFile(source, read_dictionary=packed)
            must_fit(path, _least_size(file.metadata, schema))
            batches, size, before = [], 0, 0
            for batch in file.iter_batches(batch_size=rows_at_once(file)):
                size += sum(map(expanded_size, batch.columns))
                must_fit(path, size)
                columns = []
                for column, field in zip(batch.columns, schema, strict=True):
                    columns.append(_unpacked(column, field.type))
                    must_be_utf8(path, field.name, columns[-1], before)
                batches.append(pa.RecordBatch.from_arrays(columns, schema=schema))
                before += batch.num_rows
            return pa.Table.from_batches(batches, schema=schema)
    except (pa.ArrowException, OSError) as problem:
        raise unreadable(path, problem) from None


def unreadable(path: Path, problem: Exception) -> UserError:
    """Return the error to raise for a parquet file that can't be read."""
    if isinstance(problem, OSError) and problem.errno is not None:
        return UserError(f"{path} cannot be read: {problem.strerror}")
    # of content that is damaged pyarrow raises an OSError too, without a number
    reason = (str(problem).splitlines() or [type(problem).__name__])[0].rstrip(".")
    return UserError(f"{path} is not a readable parquet file: {reason}")


def must_be_utf8(path: Path, name: str, values: "pa.Array", before: int) -> None:
    """Raises `UserError` for texts of a parquet file that are none: writers need not look at them.

    Args:
        before: rows that stand before the values.
    """
    import pyarrow as pa

    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        pieces = values.cast(pa.large_binary() if pa.types.is_large_string(values.type) else
                             pa.binary()).to_pylist()  # fmt: skip
        row = next(i for i, piece in enumerate(pieces) if piece and not _is_utf8(piece))
        raise UserError(
            f"{path}, row {before + row + 1}: {name!r} holds what is not UTF-8: write the file anew"
        ) from None


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def must_fit(path: Path, size: int) -> None:
    """Raises `UserError` where a table takes out of all proportion more memory than its file.

    Args:
        size: bytes of the table, or of what has been read of it.
    """
    own = path.stat().st_size
    if size > MOST_EXPANDED and size > LARGEST_RATIO * own:
        raise UserError(
            f"{path} has {own:,} bytes and would take more than {MOST_EXPANDED >> 20:,} MiB of"
            " memory, which no table of examples does: look at what it repeats, or write it as csv"
            " or jsonl"
        )


def _least_size(about: "pa.parquet.FileMetaData", schema: "pa.Schema") -> int:
    """Return the least number of bytes that the values of a parquet file take, by its own
    metadata."""
    import pyarrow as pa

    widths = [
        field.type.bit_width / 8 if pa.types.is_primitive(field.type) else 4 for field in schema
    ]
    size = about.num_rows * sum(widths)
    # pyarrow ends the process where what a column says of itself is damaged: only lists are asked
    if any(pa.types.is_nested(field.type) for field in schema):
        groups = [about.row_group(place) for place in range(about.num_row_groups)]
        size += sum(4 * g.column(i).num_values for g in groups for i in range(g.num_columns))
    return int(size)


def rows_at_once(file: "pa.parquet.ParquetFile") -> int:
    """Return how many rows of a parquet file to read together, by the size of the first few."""
    first = next(file.iter_batches(batch_size=FIRST_ROWS), None)
    if first is None:
        return 1
    size = sum(map(expanded_size, first.columns)) / max(first.num_rows, 1)
    return max(1, min(ROWS_AT_ONCE, int(BYTES_AT_ONCE / max(size, 1))))


def expanded_size(values: "pa.Array") -> int:
    """Return the bytes of an array; of a dictionary's array, once it is unpacked.

    Raises `pyarrow.ArrowInvalid` for a damaged one, whose indices its dictionary does not have.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(values.type):
        return int(values.nbytes)
    places = np.asarray(pc.drop_null(values.indices), np.int64)
    if len(places) and not 0 <= places.min() <= places.max() < len(values.dictionary):
        raise pa.ArrowInvalid("an index is out of bounds of its dictionary")
    if not _is_bytes(values.type.value_type):
        return int(values.nbytes)
    lengths = np.asarray(pc.fill_null(pc.binary_length(values.dictionary), 0), np.int64)
    return int(lengths[places].sum()) + 8 * len(values)


def _is_bytes(stored: "pa.DataType") -> bool:
    import pyarrow as pa

    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary)
    return any(is_kind(stored) for is_kind in (*kinds, pa.types.is_large_binary))


def _unpacked(values: "pa.Array", wanted: "pa.DataType") -> "pa.Array":
    import pyarrow as pa

    if pa.types.is_dictionary(values.type) and not pa.types.is_dictionary(wanted):
        return values.dictionary_decode().cast(wanted)
    return values.cast(wanted)
