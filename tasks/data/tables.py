"""One file of examples to one Arrow table, with the line of whatever is wrong with it."""

import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.data import delimited, xlsx
from tasks.data.cells import chunks, is_unicode, must_be_a_name, text_of
from tasks.data.parquet import must_fit, read_parquet
from tasks.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa


def read(path: Path, readers: "Readers | None" = None) -> "pa.Table":
    """The table in a file whose suffix is one of `readers` (`READERS`); it has at least one row.

    Raises `UserError` naming the file, and the line where there is one.
    """
    try:
        if path.stat().st_size == 0:
            raise UserError(f"{path} is empty")
        table = (readers or READERS)[path.suffix.lower()](path)
    except OSError as problem:
        raise UserError(f"{path} cannot be read: {problem.strerror or problem}") from None
    if not table.num_rows:
        raise UserError(f"{path} has no rows")
    for name in table.column_names:  # of any format: a parquet of others may have such names too
        must_be_a_name(path, name)
    return table


def place_of(path: Path, row: int) -> str:
    """Return where row `row` (from 0) of a file that `read` has read stands: "line 3", "entry 3",
    "row 3"."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return f"row {row + 1}"
    if suffix == ".xlsx":
        return f"row {next(itertools.islice(xlsx.rows_of(path), row + 1, None))[0]}"
    text = text_of(path)
    if suffix in {".csv", ".tsv"}:
        rows = delimited.rows_of(path, text)
        return f"line {next(itertools.islice(rows, row + 1, None))[0]}"
    if suffix == ".json" and _is_whole(text):
        return f"entry {row + 1}"
    lines = (number for number, line in enumerate(text.split("\n"), start=1) if line.strip())
    return f"line {next(itertools.islice(lines, row, None))}"


def read_json(path: Path) -> "pa.Table":
    """Objects in an array, columns in an object, or an object on each line."""
    text = text_of(path)
    if path.suffix.lower() == ".json" and text.lstrip()[:1] in {"[", "{"}:
        try:
            whole = json.loads(text)
        except json.JSONDecodeError as problem:
            lines = text.splitlines()
            # Objects on lines of their own carry this suffix too.
            if not (lines and _is_object(lines[0])):
                raise UserError(
                    f"{path}, line {problem.lineno}, is not valid JSON: {problem.msg}"
                ) from None
        except (ValueError, RecursionError) as problem:
            raise UserError(f"{path} is no table: {_reason(problem)}") from None
        else:
            return _from_json(path, whole)
    return _from_lines(path, text)


def _from_json(path: Path, whole: Any) -> "pa.Table":
    if isinstance(whole, dict):
        lengths = {len(value) if isinstance(value, list) else -1 for value in whole.values()}
        if whole and len(lengths) == 1 and -1 not in lengths:
            return _table(path, whole, list(range(1, lengths.pop() + 1)), "entry")
        whole = [whole]
    for place, record in enumerate(whole, start=1):
        if not isinstance(record, dict):
            raise UserError(f"{path}, entry {place}, is {json.dumps(record)[:40]}, not an object")
    return _from_records(path, whole, list(range(1, len(whole) + 1)), "entry")


def _from_lines(path: Path, text: str) -> "pa.Table":
    records, lines = [], []
    for number, line in enumerate(text.split("\n"), start=1):  # splitlines() also cuts at U+2028
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as problem:
            raise UserError(f"{path}, line {number}, is not valid JSON: {problem.msg}") from None
        except (ValueError, RecursionError) as problem:
            raise UserError(f"{path}, line {number}, is no row: {_reason(problem)}") from None
        if not isinstance(record, dict):
            raise UserError(f"{path}, line {number}, is {line.strip()[:40]}, not an object")
        records.append(record)
        lines.append(number)
    return _from_records(path, records, lines, "line")


def _reason(problem: Exception) -> str:
    """Why JSON that is well formed can't be read."""
    if isinstance(problem, RecursionError):
        return "it is nested too deep"
    return str(problem).partition(";")[0]  # a number of thousands of digits


def _from_records(
    path: Path, records: list[dict[str, Any]], places: list[int], unit: str
) -> "pa.Table":
    names = list(dict.fromkeys(name for record in records for name in record))
    must_fit(path, 8 * len(names) * len(records))
    columns = {name: [record.get(name) for record in records] for name in names}
    return _table(path, columns, places, unit)


def _table(path: Path, columns: dict[str, list[Any]], places: list[int], unit: str) -> "pa.Table":
    """Columns of Python values, each of one type; `places` are the rows' lines or entries."""
    import pyarrow as pa

    if not places:
        raise UserError(f"{path} has no rows")
    if not columns:
        raise UserError(f"{path} has rows without any fields")
    arrays = []
    for name, values in columns.items():
        must_be_a_name(path, name)
        try:
            arrays.append(chunks(values))
        except UnicodeEncodeError as problem:
            pairs = zip(values, places, strict=True)
            place = next((where for value, where in pairs if not is_unicode(value)), places[0])
            half = problem.object[problem.start]
            raise UserError(
                f"{path}, {unit} {place}: {name!r} holds half a character ({half!r}, a lone"
                " surrogate), as where a text is cut in the middle of one: write it whole or leave"
                " it out"
            ) from None
        except (pa.ArrowException, OverflowError):
            place = next(
                (
                    where
                    for end, where in enumerate(places, start=1)
                    if not _is_one_type(values[:end])
                ),
                places[0],
            )
            raise UserError(
                f"{path}, {unit} {place}: {name!r} holds a value of another type than the rows"
                " above it"
            ) from None
    return pa.table(arrays, names=list(columns))


def _is_one_type(values: list[Any]) -> bool:
    import pyarrow as pa

    try:
        pa.array(values)
    except (pa.ArrowException, OverflowError):
        return False
    return True


def _is_whole(text: str) -> bool:
    """Return whether a text is one JSON value rather than one value on each line."""
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except json.JSONDecodeError:
        return False


Readers = Mapping[str, Callable[[Path], "pa.Table"]]
"""What reads a file, by the suffix of its name in small letters."""

READERS: Readers = {
    ".csv": delimited.read,
    ".tsv": delimited.read,
    ".json": read_json,
    ".jsonl": read_json,
    ".parquet": read_parquet,
    ".xlsx": xlsx.read,
}
