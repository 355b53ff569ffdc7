"""Parquet that holds the files themselves: binary, or Hugging Face's {"bytes", "path"}.

Read in pieces into the Arrow copy, so that no split need fit into memory.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.data import parquet
from tasks.errors import UserError
from tasks.media import rows

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

    from tasks.media.source import Companion, MediaKind


class _OnlyPaths(Exception):
    """Some rows have no bytes but a path."""


def load(
    root: Path,
    by_split: Mapping[str, Sequence[Path]],
    kind: "MediaKind",
    asked: str | None,
    companion: "Companion | None" = None,
) -> "tuple[datasets.DatasetDict, str] | None":
    """The splits and their fingerprint, or None where the tables hold paths and not the bytes: of
    the media, or of their companions."""
    import datasets
    import pyarrow as pa

    every = [path for paths in by_split.values() for path in paths]
    if any(path.suffix.lower() != ".parquet" for path in every):
        return None
    columns: dict[str, str] = {}
    besides: dict[str, str] = {}
    features: dict[str, datasets.Features] = {}
    for split, paths in by_split.items():
        schema = schema_of(paths[0])
        found = datasets.Features.from_arrow_schema(schema)
        columns[split] = rows.find(found, kind, asked, str(paths[0]))
        features[split] = rows.features_of(found, columns[split], str(paths[0]))
        if not rows.holds_bytes(schema.field(columns[split]).type):
            return None
        second = companion and rows.find_companion(schema.names, columns[split], companion)
        if second and not pa.types.is_null(schema.field(second).type):  # as of no value at all
            stored = schema.field(second).type
            if rows.is_text(stored) or not rows.holds_bytes(stored):
                return None
            besides[split] = second
    digest = rows.digest_of(root, every)
    copies = rows.Copies(digest, "bytes", columns, list(by_split), *([besides] if besides else []))
    if not copies.has(by_split):
        try:
            for split, paths in by_split.items():
                batches = _batches(paths, columns[split], features[split], besides.get(split))
                copies.write(split, features[split].arrow_schema, batches)
        except _OnlyPaths:
            return None
    return copies.read(list(by_split)), digest


def schema_of(path: Path) -> "pa.Schema":
    """The types that a parquet file was written with. Raises `UserError`."""
    import pyarrow as pa
    import pyarrow.parquet

    try:
        with pa.OSFile(str(path), "rb") as file:
            return pyarrow.parquet.read_schema(file)
    except (pa.ArrowException, OSError) as problem:
        raise parquet.unreadable(path, problem) from None


def _batches(
    paths: Sequence[Path], column: str, features: "datasets.Features", beside: str | None
) -> "Iterator[pa.RecordBatch]":
    """The rows of all files of a split, with `media` for the column. Raises `_OnlyPaths` where
    this one, or that of the companion, names a file."""
    import pyarrow as pa
    import pyarrow.parquet

    schema = features.arrow_schema
    wanted = [column if name == rows.MEDIA else name for name in schema.names]
    for path in paths:
        there = schema_of(path).names
        if set(there) != set(wanted):
            raise UserError(
                f"{path} has the columns {', '.join(there)}, but {paths[0]} of the same split has"
                f" {', '.join(wanted)}"
            )
        try:
            with pa.OSFile(str(path), "rb") as source:
                file = pyarrow.parquet.ParquetFile(source)
                if not file.metadata.num_rows:
                    raise UserError(f"{path} has no rows")
                taken, before = 0, 0
                for batch in file.iter_batches(batch_size=parquet.rows_at_once(file)):
                    taken += sum(map(parquet.expanded_size, batch.columns))
                    parquet.must_fit(path, taken)
                    for name, values in zip(batch.schema.names, batch.columns, strict=True):
                        parquet.must_be_utf8(path, name, values, before)
                    before += batch.num_rows
                    if beside is not None:
                        _must_have_bytes(rows.structs(batch.column(beside)))
                    yield _converted(batch, wanted, column, schema)
        except (pa.ArrowException, OSError) as problem:
            raise parquet.unreadable(path, problem) from None


def _converted(
    batch: "pa.RecordBatch", wanted: Sequence[str], column: str, schema: "pa.Schema"
) -> "pa.RecordBatch":
    import pyarrow as pa

    arrays = []
    for name, field in zip(wanted, schema, strict=True):
        values = batch.column(name)
        if name == column:
            values = rows.structs(values)
            _must_have_bytes(values)
        arrays.append(values.cast(field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _must_have_bytes(values: "pa.StructArray") -> None:
    import pyarrow.compute as pc

    only_path = pc.and_(values.field("bytes").is_null(), values.field("path").is_valid())
    if pc.any(only_path).as_py():
        raise _OnlyPaths
