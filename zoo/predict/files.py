"""Predictions as jsonl, csv or parquet: the input, its other columns, and what was predicted.

A column of the input that is called as a part of the prediction is (`label`, say) is written as
`input_label`.
"""

import base64
import csv
import datetime
import json
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from tasks.errors import UserError
from tasks.printing import for_terminal
from zoo.machine import output_file

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("csv", "jsonl", "parquet")
PREFIX = "input_"
ROW_GROUP = 10_000  # predictions that a parquet file takes together


@dataclass(frozen=True)
class Written:
    """A prediction with the input that it belongs to."""

    shown: Mapping[str, str]
    """the input as people read it: its text, or the name of its file"""
    others: "pa.RecordBatch | None"
    """the other columns of the input's row, where it was one"""
    prediction: Mapping[str, Any]

    def names(self) -> list[str]:
        """Return the output names of the input's other columns, in order; a name already taken gets
        a prefix."""
        taken = {*self.shown, *self.prediction}
        found: list[str] = []
        for name in [] if self.others is None else self.others.schema.names:
            new = name
            while new in taken:
                new = PREFIX + new
            taken.add(new)
            found.append(new)
        return found

    def plain(self) -> dict[str, Any]:
        """Return all columns by name, as values that JSON can hold."""
        values = [] if self.others is None else list(self.others.to_pylist()[0].values())
        others = {name: _plain(value) for name, value in zip(self.names(), values, strict=True)}
        return {**self.shown, **others, **self.prediction}


class Sink(Protocol):
    """A destination that predictions are written to."""

    def write(self, one: Written) -> None:
        """Write the next prediction."""
        ...


@contextmanager
def open_sink(path: Path, flag: str, form: str) -> Iterator[Sink]:
    """Context manager that yields a file of predictions, which appears once it is complete
    (`output_file.replacing`).

    Raises `UserError` if it can't be written, or if parquet can't hold the predictions.
    """
    if form == "parquet":
        with output_file.replacing(path, flag) as binary:
            sink = _Parquet(binary, f"{flag} {path}")
            yield sink
            sink.close()
    else:
        with output_file.replacing_text(path, flag) as text:
            yield _Csv(text) if form == "csv" else _JsonLines(text)


@contextmanager
def open_stdout(form: str) -> Iterator[Sink]:
    """Context manager that writes each prediction to standard output at once, in the terminal's
    encoding."""
    if sys.stdout is None:  # as `>&-` leaves it
        raise UserError("standard output is closed: name a file with `output`")
    stream = for_terminal(sys.stdout)
    yield _Csv(stream) if form == "csv" else _JsonLines(stream)


class _JsonLines:
    """Writes one JSON object a line."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, one: Written) -> None:
        """Write a line; characters outside the file's encoding are written as JSON escapes."""
        line = json.dumps(one.plain(), ensure_ascii=False)
        try:
            line.encode(_encoding(self._file))
        except UnicodeEncodeError:
            line = json.dumps(one.plain())
        self._file.write(line + "\n")
        self._file.flush()


class _Csv:
    """Writes a table with a header; lists and objects are written as JSON, missing values as
    nothing."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._table = csv.writer(_Encodable(file))
        self._begun = False

    def write(self, one: Written) -> None:
        """Write a row, and the header before the first one.

        Raises `UserError` for a character that the terminal's encoding does not have.
        """
        line = one.plain()
        if not self._begun:
            self._table.writerow(line)
            self._begun = True
        self._table.writerow(map(_cell, line.values()))
        self._file.flush()


class _Encodable:
    """A text file whose `write` raises `UserError` for characters outside its encoding."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """Write a text; raises `UserError` for a character outside the encoding."""
        encoding, text = _encoding(self._file), _utf8(text)
        try:
            text.encode(encoding)
        except UnicodeEncodeError as error:
            raise UserError(
                f"standard output is {encoding}, which has no {text[error.start]!r}: set"
                " PYTHONIOENCODING=utf-8, or name a file with `output`"
            ) from None
        return self._file.write(text)


def _encoding(file: IO[str]) -> str:
    return getattr(file, "encoding", None) or "utf-8"


def _cell(value: Any) -> str | float:
    if value is None:
        return ""
    if isinstance(value, str | float):
        return value
    return json.dumps(value, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Return a table's value as JSON can hold it: dates as ISO 8601, bytes as base64, NaN and
    infinities as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value)  # decimals, durations


class _Parquet:
    """Writes a parquet table; the input's columns keep their types.

    `scores` is a list of label and score, the best first.
    """

    def __init__(self, file: IO[bytes], where: str) -> None:
        self._file, self._where = file, where
        self._waiting: list[Written] = []
        self._writer: Any = None

    def write(self, one: Written) -> None:
        """Add a prediction; predictions are written in groups."""
        self._waiting.append(one)
        if len(self._waiting) >= ROW_GROUP:
            self._write_waiting()

    def close(self) -> None:
        """Write the pending predictions and the end of the file."""
        import pyarrow as pa
        from pyarrow import parquet

        if self._waiting or self._writer is None:
            self._write_waiting()
        if self._writer is None:  # no input, no column
            parquet.write_table(pa.table({}), self._file)
        else:
            self._writer.close()

    def _write_waiting(self) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        rows, self._waiting = self._waiting, []
        if not rows:
            return
        try:
            table = _table(rows)
            if self._writer is None:
                self._writer = parquet.ParquetWriter(self._file, table.schema)
            self._writer.write_table(table.cast(self._writer.schema))
        except (pa.ArrowException, TypeError):
            raise UserError(
                f"{self._where}: the predictions are not all of one type, as parquet wants them:"
                " write jsonl"
            ) from None


def _table(rows: list[Written]) -> "pa.Table":
    import pyarrow as pa

    first = rows[0]
    columns: dict[str, Any] = {
        name: pa.array([_utf8(row.shown[name]) for row in rows], pa.string())
        for name in first.shown
    }
    if first.others is not None:
        whole = pa.Table.from_batches([row.others for row in rows])
        columns |= dict(zip(first.names(), whole.columns, strict=True))
    for name in first.prediction:
        values = [row.prediction[name] for row in rows]
        if name == "scores":
            values = [
                [{"label": label, "score": score} for label, score in each.items()]
                for each in values
            ]
        columns[name] = pa.array(values, _type(name, values))
    return pa.table(columns)


def _type(name: str, values: list[Any]) -> "pa.DataType | None":
    """Return the type of a column of predictions, which may have only empty lists; None: to be
    inferred."""
    import pyarrow as pa

    scored = pa.list_(pa.struct({"label": pa.string(), "score": pa.float64()}))
    known = {"label": pa.string(), "score": pa.float64(), "text": pa.string(), "scores": scored}
    plain = known.get(name)
    if plain is None or name == "scores":
        return plain
    return pa.list_(plain) if isinstance(values[0], list) else plain


def _utf8(text: str) -> str:
    """Return the text with bytes of a file name that are not UTF-8 escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
