"""Tables of Excel and LibreOffice (.xlsx): the first sheet that is not hidden, its first row the
names of the columns."""

import datetime
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.data.cells import NOTE, chunks, must_differ
from tasks.data.parquet import must_fit
from tasks.errors import UserError, foreign

if TYPE_CHECKING:
    import pyarrow as pa

Row = tuple[int, list[Any]]
"""The number of a row in its sheet (1 is the first), and its values."""


def read(path: Path) -> "pa.Table":
    """Return the table of the first sheet; other sheets with rows are named in a note.

    A column of whole numbers, of numbers, or of yes and no keeps its type; any other is text, with
    dates as ISO 8601 has them. Of a formula the value counts that was saved with it. An empty cell
    is a missing value, and a row of them is no row.

    Raises `UserError` for a file that is damaged or would take too much memory, and where openpyxl,
    which reads it, is not installed.
    """
    import pyarrow as pa

    rows, sheets = _rows(path)
    _, names = next(rows)
    records = list(rows)
    for number, row in records:
        beyond = next(
            (i for i, value in enumerate(row) if value is not None and i >= len(names)), 0
        )
        if beyond:
            raise UserError(
                f"{path}, row {number}, has a value in column {beyond + 1}, and the header has"
                f" {len(names)} ({', '.join(names)})"
            )
    if not records:
        raise UserError(f"{path} has a header ({', '.join(names)}) and no rows below it")
    places = range(len(names))
    empty = [i for i in places if all(i >= len(row) or row[i] is None for _, row in records)]
    if empty and (formula := _formula(path, sheets[0], records[0][0], empty)):
        raise UserError(
            f"{path} has the formula {formula} and no value of it, as programs write them: open it"
            " in Excel or LibreOffice, and save it"
        )
    columns = {
        name: _column([row[place] if place < len(row) else None for _, row in records])
        for place, name in enumerate(names)
    }
    table = pa.table({name: chunks(values) for name, values in columns.items()})
    chosen, *more = sheets
    if more:
        note = (
            f"note: of the sheets of {path} the first, {chosen!r}, is read, and not"
            f" {', '.join(map(repr, more))}: save another as a file of its own to use it"
        )
        table = table.replace_schema_metadata({NOTE: note})
    return table


def _formula(path: Path, title: str, number: int, places: list[int]) -> str | None:
    """Return a formula that stands in a row of a sheet at one of these places; None where none
    does."""
    import openpyxl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        book = openpyxl.load_workbook(path, read_only=True)
        row = next((values for at, values in _filled(book[title]) if at == number), [])
        book.close()
    found = [str(row[i]) for i in places if i < len(row) and str(row[i]).startswith("=")]
    return found[0] if found else None


def rows_of(path: Path) -> Iterator[Row]:
    """Yield each row that has a value, the header first."""
    return _rows(path)[0]


def _rows(path: Path) -> tuple[Iterator[Row], list[str]]:
    """Return the rows of the first sheet, the header as names; and all sheets with rows, that one
    first."""
    try:
        import openpyxl
    except ModuleNotFoundError:
        raise UserError(
            f"{path} is an Excel table, and openpyxl, which reads those, is not installed: pip"
            " install openpyxl, or save the table as csv"
        ) from None
    try:
        with zipfile.ZipFile(path) as archive:
            must_fit(path, sum(member.file_size for member in archive.infolist()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and validations that it does not know
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            sheets = {
                sheet.title: _filled(sheet)
                for sheet in book.worksheets
                if sheet.sheet_state == "visible"
            }
            book.close()
    except (OSError, UserError):
        raise
    except Exception as problem:  # it raises anything for a damaged file: KeyError, ParseError, ...
        raise UserError(f"{path} is not a readable xlsx file: {foreign(problem)}") from None
    filled = [title for title, rows in sheets.items() if rows]
    if not filled:
        raise UserError(f"{path} has no rows in any sheet")
    (first, header), *rows = sheets[filled[0]]
    names = _names(path, header)
    return iter([(first, names), *rows]), filled


def _filled(sheet: Any) -> list[Row]:
    """The rows of a sheet that have a value, without the empty cells at their end."""
    sheet.reset_dimensions()  # what a file claims of its size need not be true
    found = []
    for number, row in enumerate(sheet.iter_rows(values_only=True), start=1):
        values = list(row)
        while values and values[-1] is None:
            values.pop()
        if values:
            found.append((number, values))
    return found


def _names(path: Path, header: list[Any]) -> list[str]:
    """The names of the columns; one without a name, as of the rows' numbers, gets one."""
    names = [
        f"Unnamed: {place}" if name is None else _text(name) for place, name in enumerate(header)
    ]
    must_differ(path, names)
    return names


def _column(values: list[Any]) -> list[Any]:
    """Values of one type: as they are where they are numbers or truths, else texts."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and float in kinds:
        return [None if value is None else float(value) for value in values]
    if len(kinds) <= 1 and kinds <= {int, bool}:
        return values
    return [None if value is None else _text(value) for value in values]


def _text(value: Any) -> str:
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
