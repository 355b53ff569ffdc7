"""One file of examples to one Arrow table, with the line of whatever is wrong with it."""

import csv
import io
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
        _must_be_a_name(path, name)
    return table


def place_of(path: Path, row: int) -> str:
    """Return where row `row` (from 0) of a file that `read` has read stands: "line 3", "entry 3",
    "row 3"."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return f"row {row + 1}"
    text = text_of(path)
    if suffix in {".csv", ".tsv"}:
        rows = _csv_rows(path, text, "\t" if suffix == ".tsv" else ",")
        return f"line {next(itertools.islice(rows, row + 1, None))[0]}"
    if suffix == ".json" and _is_whole(text):
        return f"entry {row + 1}"
    lines = (number for number, line in enumerate(text.split("\n"), start=1) if line.strip())
    return f"line {next(itertools.islice(lines, row, None))}"


def read_csv(path: Path, delimiter: str = ",") -> "pa.Table":
    """A table of strings: every field is the text that stands there, whatever it looks like.

    Quoting is as `csv.writer` does it: a field in double quotes may hold the delimiter, line ends
    and, doubled, quotes. Blank lines are skipped.
    """
    import pyarrow as pa

    # Texts may be long; the module's own limit is 131072 characters a field.
    csv.field_size_limit(2**31 - 1)
    text = text_of(path)
    first = text.lstrip("\r\n").partition("\n")[0].rstrip("\r")
    _must_be_separated(path, first, delimiter)
    rows = _csv_rows(path, text, delimiter)
    _, header = next(rows, (0, []))
    if not header:
        raise UserError(f"{path} is empty")
    # A table saved with its row numbers has a column without a name.
    names = [name or f"Unnamed: {place}" for place, name in enumerate(header)]
    for name in names:
        _must_be_a_name(path, name)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"{path} has two columns called {twice[0]!r}")
    records = []
    for line, row in rows:
        if len(row) != len(names):
            raise UserError(
                f"{path}, line {line}, has {_count(len(row), 'field')}, but the header has"
                f" {len(names)} ({', '.join(names)}){_doubt(first, delimiter)}"
            )
        records.append(row)
    if not records:
        raise UserError(f"{path} has a header ({', '.join(names)}) and no rows below it")
    columns = [_chunks([row[place] for row in records]) for place in range(len(names))]
    return pa.table(columns, names=names)


DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars (|)"}


def _must_be_separated(path: Path, line: str, delimiter: str) -> None:
    """Raises `UserError` where the first line of a table is one field by its delimiter, and several
    by another.
    """
    other = _other_delimiter(line)
    if _fields(line, delimiter) > 1 or other in (None, delimiter):
        return
    name = {",": " or call it .csv", "\t": " or call it .tsv"}.get(str(other), "")
    raise UserError(
        f"{path} has one column only, {line[:60]!r}, for its fields are separated by"
        f" {DELIMITERS[str(other)]}: save it with {DELIMITERS[delimiter]}{name}"
    )


def _doubt(line: str, delimiter: str) -> str:
    """A question to ask where rows have not the fields of the header."""
    other = _other_delimiter(line)
    if other in (None, delimiter):
        return ""
    return f": are they separated by {DELIMITERS[str(other)]}? Save it with {DELIMITERS[delimiter]}"


def _other_delimiter(line: str) -> str | None:
    """Return the delimiter that cuts a line into the most fields; None where none does."""
    counts = {sign: _fields(line, sign) for sign in DELIMITERS}
    best = max(counts, key=lambda sign: counts[sign])
    return best if counts[best] > 1 else None


def _fields(line: str, delimiter: str) -> int:
    """Return how many fields a line has; 1 where its quotes do not fit the delimiter."""
    try:
        return len(next(csv.reader([line], delimiter=delimiter, strict=True), [""]))
    except csv.Error:
        return 1


def _csv_rows(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not blank, with the line it begins on (1 is the first)."""
    # newline="": line ends inside quotes belong to the text and stay as they are.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            reason = str(problem)
            if "unexpected end" in reason:
                reason = "a quote is opened and never closed"
            raise UserError(f"{path}, line {line}, is broken: {reason}") from None
        if row:
            yield line, row


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
        _must_be_a_name(path, name)
        try:
            arrays.append(_chunks(values))
        except UnicodeEncodeError as problem:
            pairs = zip(values, places, strict=True)
            place = next((where for value, where in pairs if not _is_unicode(value)), places[0])
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


def _must_be_a_name(path: Path, name: str) -> None:
    """Raises `UserError` for a column's name with half a character or a zero byte in it."""
    if not _is_unicode(name):
        raise UserError(f"{path} has a column {name!r}, which is no whole text (Unicode)")
    if "\0" in name:
        raise UserError(
            f"{path} has a column {name[:60]!r}, with a zero byte in its name, as UTF-16 has them:"
            " save the file as UTF-8"
        )


def _is_unicode(value: Any) -> bool:
    """Return whether all texts in a JSON value are valid Unicode, at any depth."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_one_type(values: list[Any]) -> bool:
    import pyarrow as pa

    try:
        pa.array(values)
    except (pa.ArrowException, OverflowError):
        return False
    return True


def text_of(path: Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark."""
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        # utf-8-sig counts from behind the mark
        start = problem.start + (3 if content.startswith(b"\xef\xbb\xbf") else 0)
        line = content.count(b"\n", 0, start) + 1
        kind = " (it looks like UTF-16)" if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else ""
        raise UserError(
            f"{path}, line {line}, is not UTF-8{kind}: save the file as UTF-8"
        ) from None


def _chunks(values: list[Any]) -> "pa.ChunkedArray":
    """Many short arrays: one array of strings cannot hold more than 2 GB."""
    import pyarrow as pa

    size = 50_000
    first = pa.array(values[:size])
    if len(values) <= size:
        return pa.chunked_array([first])
    whole = [pa.array(values[start : start + size]) for start in range(0, len(values), size)]
    one_type = pa.unify_schemas(
        [pa.schema([("column", part.type)]) for part in whole], promote_options="permissive"
    ).field(0)
    return pa.chunked_array([part.cast(one_type.type) for part in whole])


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


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


Readers = Mapping[str, Callable[[Path], "pa.Table"]]
"""What reads a file, by the suffix of its name in small letters."""

READERS: Readers = {
    ".csv": read_csv,
    ".tsv": lambda path: read_csv(path, "\t"),
    ".json": read_json,
    ".jsonl": read_json,
    ".parquet": read_parquet,
}
