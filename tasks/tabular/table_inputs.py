"""Rows to predict for: from the command line, a file, or standard input."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import json_files, standard_input
from tasks.data.columns import find_column
from tasks.errors import UserError
from tasks.printing import print_lines
from tasks.tabular.column import Column

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 1_000  # of a table that become Python values together


@dataclass(frozen=True)
class Inputs:
    """What is to be predicted."""

    row: tuple[str, ...] = ()
    """rows as JSON objects of columns and values: '{"age": 3, "city": "Rome"}'; null where a value
    is not known"""
    file: Path | None = None
    """table to predict for: csv, tsv, xlsx, json, jsonl or parquet with the columns of the
    training, in any order, whose other columns are kept; - or nothing reads a row a line of
    standard input, as --row has them"""


def read(inputs: Inputs, columns: Sequence[Column]) -> Iterator[Mapping[str, Any]]:
    """Items one by one: `values` by the names of the columns, and `others`, the whole row as it was
    given, a `pyarrow.RecordBatch`. What was missing or never seen in training is told at the end.

    Raises `UserError` for a file that can't be read, and in its turn for a row that can't.
    """
    if inputs.row and inputs.file:
        raise UserError("give `row` or `file`, not both")
    strange = Strange(columns)
    if inputs.row:
        rows = _objects(inputs.row, "`row`")
    elif inputs.file is None or str(inputs.file) == "-":
        lines = standard_input.opened("rows, a JSON object a line,")
        rows = _objects((line for line in lines if line.strip()), "standard input, line")
    else:
        rows = _in_file(inputs.file, columns)
    for place, row, others in rows:
        try:
            values = values_of(row, columns)
        except UserError as error:
            raise UserError(f"{place}: {error}") from None
        strange.add(place, values)
        yield {"values": values, "others": others}
    strange.tell()


def _objects(texts: Any, what: str) -> "Iterator[tuple[str, Mapping[str, Any], pa.RecordBatch]]":
    import pyarrow as pa

    for number, text in enumerate(texts, start=1):
        place = f"{what} {number}"
        try:
            row = json_files.parse(text, strict=True)
        except ValueError as error:
            raise UserError(
                f"{place} is no JSON ({error})", "row", 'such as {"age": 3, "city": "Rome"}'
            ) from None
        if not isinstance(row, dict):
            raise UserError(f"{place} is {json.dumps(row)[:40]}, and not an object of columns")
        plain = {
            name: [one if not isinstance(one, dict | list) else json.dumps(one)]
            for name, one in row.items()
        }
        yield place, row, pa.RecordBatch.from_pydict(plain)


def _in_file(
    file: Path, columns: Sequence[Column]
) -> "Iterator[tuple[str, Mapping[str, Any], pa.RecordBatch]]":
    from tasks.data import cells as table_cells
    from tasks.data import files, tables

    if not file.exists():
        raise UserError(f"`file` {file}: there is no such file")
    if file.suffix.lower() not in tables.READERS or not file.is_file():
        raise UserError(f"`file` {file} is no table ({files.FORMATS})")
    table = tables.read(file)
    table_cells.tell(table)
    names = {
        one.name: find_column(table.column_names, one.name, (), "input", str(file))
        for one in columns
    }
    done = 0
    for batch in table.to_batches(max_chunksize=ROWS):
        for i, given in enumerate(batch.select(list(dict.fromkeys(names.values()))).to_pylist()):
            row = {own: given[theirs] for own, theirs in names.items()}
            place = f"{file}, row {done + i + 1}"
            yield place, row, batch.slice(i, 1)
        done += batch.num_rows


def values_of(item: Any, columns: Sequence[Column]) -> dict[str, Any]:
    """Return the value of each column in a row: a float, NaN where there is none, or a text, None
    where there is none.

    Args:
        item: what `read` gives, a mapping of columns to values, or that as the `row` of another.

    Raises `UserError` for a column that is not there, and for what is no number.
    """
    if not isinstance(item, Mapping):
        raise UserError(
            f"a row is {type(item).__name__}, and not a mapping of columns to values",
            hint="of a pandas frame give frame.to_dict('records')",
        )
    if "others" in item and "values" in item:
        return dict(item["values"])
    if list(item) == ["row"] and isinstance(item["row"], Mapping):
        item = item["row"]
    from tasks.tabular import cells

    found: dict[str, Any] = {}
    for column in columns:
        if column.name in item:
            value = item[column.name]
        else:
            own = find_column([*map(str, item)], column.name, (), "input", "the row")
            value = item[own]
        if column.kind == "category":
            found[column.name] = None if cells.is_missing(value) else cells.text_of(value)
            continue
        try:
            found[column.name] = cells.number_of(value)
        except ValueError:
            raise UserError(
                f"{column.name} is {value!r}, and training has numbers there; null where it is not"
                " known"
            ) from None
    return found


class Strange:
    """Counts what training never saw, to be told once."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._known = {one.name: set(one.values) for one in columns if one.kind == "category"}
        self._full = [one.name for one in columns if not one.has_missing]
        self._unseen: dict[str, tuple[int, str]] = {}
        self._missing: dict[str, tuple[int, str]] = {}

    def add(self, place: str, values: Mapping[str, Any]) -> None:
        """Count what is strange in a row."""
        for name, known in self._known.items():
            value = values[name]
            if value is not None and value not in known:
                count, first = self._unseen.get(name, (0, f"{value!r} in {place}"))
                self._unseen[name] = count + 1, first
        for name in self._full:
            value = values[name]
            if value is None or value != value:  # NaN
                count, first = self._missing.get(name, (0, place))
                self._missing[name] = count + 1, first

    def tell(self) -> None:
        """Say what was found on standard error."""
        lines = [
            f"note: {name}: {count:,} values that the training has not, or hardly; they count as"
            f" unknown; the first is {first}"
            for name, (count, first) in self._unseen.items()
        ]
        lines += [
            f"note: {name}: no value in {count:,} rows, and training had one in each; "
            f"{'no category' if name in self._known else 'the mean of training'} takes its place; "
            f"the first is {first}"
            for name, (count, first) in self._missing.items()
        ]
        if lines:
            print_lines(*lines, file=sys.stderr)
