"""Rows of a batch as columns: `collate` takes these, and to make each row would take longer than a
small step."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

Row = dict[str, Any]


class ColumnRows(Sequence[Row]):
    """Rows that are made of columns when somebody asks for them, and are then a list of dicts."""

    def __init__(self, columns: Mapping[str, Any], count: int) -> None:
        """
        Args:
            columns: values of the rows by name: lists of `count`, or numpy's arrays [count, ...].
        """
        self._columns, self._count = columns, count
        self._rows: list[Row] | None = None

    def __len__(self) -> int:
        """Return how many rows there are."""
        return self._count

    def __iter__(self) -> Iterator[Row]:
        """Iterate over the rows."""
        return iter(self._made())

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        """Return a row, or a list of some."""
        return self._made()[place]

    def column(self, name: str) -> Any:
        """Return the values of a name as they were given, or None; once rows were made, theirs."""
        if self._rows is not None:
            return _column(self._rows, name)
        values = self._columns.get(name)
        return None if not self._count or values is None or values[0] is None else values

    def _made(self) -> list[Row]:
        if self._rows is None:
            names = list(self._columns)
            values = zip(*self._columns.values(), strict=True)
            self._rows = [dict(zip(names, each, strict=True)) for each in values]
        return self._rows


def column(rows: Sequence[Mapping[str, Any]], name: str) -> Any:
    """Return what rows have under a name: a list, or numpy's array [rows, ...] of `ColumnRows`;
    None where the first of them has nothing."""
    return rows.column(name) if isinstance(rows, ColumnRows) else _column(rows, name)


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> list[Any] | None:
    if not rows or rows[0].get(name) is None:
        return None
    return [row[name] for row in rows]
