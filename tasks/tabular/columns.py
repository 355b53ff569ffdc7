"""Columns of a table: which are numbers and which categories, what training learns of each, and the
vectors that rows become."""

import math
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tasks.data.columns import find_column, values_of
from tasks.errors import UserError, spelled
from tasks.printing import print_lines
from tasks.tabular import cells
from tasks.tabular.column import PREFIX, Column, ColumnArgs, Kind

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

MOSTLY = 0.9
"""Share of the values of a text column that are numbers, from which on the others are mistakes."""
NAMED = 5
"""Columns that a message names at most."""


def choose(
    split: "datasets.Dataset", labels: Collection[str], args: ColumnArgs, where: str
) -> dict[str, Kind]:
    """Return the columns to read, by the name they have in the split, and the kind of each.

    Args:
        split: the rows of train, as they were read.
        labels: columns of the label.
        where: the data's name, for errors.

    Raises `UserError` for a column that is not there, for numbers with a text among them (naming
    the row), and where nothing is left to read.
    """
    names = [name for name in split.column_names if name not in labels]
    asked, ignored, categories = (
        [find_column(names, one, (), what, where) for one in given]
        for what, given in (
            ("column to read", args.columns),
            ("column to ignore", args.ignore_columns),
            ("column of categories", args.category_columns),
        )
    )
    if both := set(ignored) & {*asked, *categories}:
        raise UserError(f"`ignore_columns` has {min(both)!r}, which is to be read, too")
    found: dict[str, Kind] = {}
    left_out = []
    for name in asked or names:
        if name in ignored:
            continue
        values = values_of(split, name)
        kind: Kind | None = "category"
        if name not in categories:
            kind = _kind_of(values, name, where)
        if kind == "category" and not {name} & {*asked, *categories}:
            kind = None if _hardly_repeats(values) else kind
        if kind is not None:
            found[name] = kind
        elif name in asked:
            raise UserError(
                f"`columns` has {name!r} of {where}: neither numbers nor texts that are categories;"
                " make numbers of dates, such as the year and the month, or name it in"
                " `category_columns`"
            )
        else:
            left_out.append(name)
    if left_out:
        more = f" and {len(left_out) - NAMED} more" if len(left_out) > NAMED else ""
        names_left_out = ", ".join(left_out[:NAMED]) + more
        text = (
            f"note: {where}: not read are {names_left_out}, which are empty, dates, neither numbers"
            " nor texts, or texts that hardly repeat; `columns` names all to read, and"
            " `category_columns` those that are categories all the same"
        )
        print_lines(spelled(text), file=sys.stderr)
    if not found:
        raise UserError(f"{where} has no column to read beside the label")
    return found


def _kind_of(values: "pa.ChunkedArray", name: str, where: str) -> Kind | None:
    """Return what a column holds; None where it is nothing that is read."""
    import pyarrow as pa

    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if values.null_count == len(values):
        return None
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_boolean(kind):
        return "category"
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return None
    words, codes = cells.distinct(values)
    counts = Counter(codes[codes >= 0].tolist())
    present = {c: n for c, n in counts.items() if not cells.is_missing(words[c], number=True)}
    total = sum(present.values())
    numbers = {c: n for c, n in present.items() if cells.is_number(words[c])}
    if all(cells.is_date(words[c]) for c in present):  # or there are none
        return None
    if len(numbers) == len(present):
        return "number"
    signs = {c for c in present if cells.has_other_signs(words[c])}
    if signs and len(signs) + len(numbers) == len(present) and not _hardly_repeats(values):
        row = next(i for i, c in enumerate(codes.tolist()) if c in signs)
        raise UserError(
            f"{where}, row {row + 1}: {name} is {words[codes[row]]!r}, and numbers are taken with a"
            " point for the fraction and no other signs: write them so, or name the column in "
            "`category_columns`"
        )
    if sum(numbers.values()) < MOSTLY * total:
        return "category"
    row = next(i for i, c in enumerate(codes.tolist()) if c in present and c not in numbers)
    raise UserError(
        f"{where}, row {row + 1}: {name} is {words[codes[row]]!r}, and "
        f"{sum(numbers.values()):,} of its {total:,} values are numbers: mend it, leave it empty, "
        f"or name the column in `category_columns`"
    )


def _hardly_repeats(values: "pa.ChunkedArray") -> bool:
    """Return whether texts are names of rows or free texts: as good as each row has its own."""
    words, codes = cells.distinct(values)
    return len(words) > 20 and len(words) > 0.5 * int((codes >= 0).sum())


def typed(
    split: "datasets.Dataset", kinds: Mapping[str, Kind], name: str
) -> "dict[str, pa.ChunkedArray]":
    """Return the columns of a split as float64 or text, null where there is no value.

    Args:
        split: its columns have the prefix, as the result has.
        name: of the split, for errors.

    Raises `UserError` for what is no number in a column of numbers, naming the row.
    """
    import pyarrow as pa

    found = {}
    for column, kind in kinds.items():
        values = values_of(split, PREFIX + column)
        if kind == "category":
            words, codes = cells.distinct(values)
            texts = [None if cells.is_missing(one) else cells.text_of(one) for one in words]
            found[PREFIX + column] = pa.chunked_array(
                [pa.array([texts[c] if c >= 0 else None for c in codes.tolist()], pa.string())]
            )
            continue
        numbers, wrong = cells.numbers(values)
        if wrong is not None:
            raise UserError(
                f"{name}, row {wrong + 1}: {column} is {values[wrong].as_py()!r}, "
                "and training takes finite numbers there: mend it or leave it empty"
            )
        found[PREFIX + column] = pa.chunked_array([pa.array(numbers, mask=np.isnan(numbers))])
    return found


def learn(split: "datasets.Dataset", kinds: Mapping[str, Kind], most: int) -> tuple[Column, ...]:
    """Return what a split, as `typed` gives it, tells of each column.

    Args:
        most: categories of a column at most; rarer ones count as one.
    """
    found = []
    for name, kind in kinds.items():
        values = values_of(split, PREFIX + name)
        missing = values.null_count > 0
        if kind == "number":
            numbers = values.drop_null().to_numpy()
            mean = float(numbers.mean()) if len(numbers) else 0.0
            std = float(numbers.std()) if len(numbers) else 0.0
            usable = math.isfinite(std) and std > 1e-12 * max(1.0, abs(mean))
            column = Column(name, kind, mean, std if usable else 1.0, has_missing=missing)
        else:
            counts = Counter(one for one in values.to_pylist() if one is not None)
            ranked = sorted(counts, key=lambda one: (-counts[one], one))
            column = Column(
                name,
                kind,
                values=tuple(ranked[:most]),
                has_others=len(ranked) > most,
                has_missing=missing,
            )
        found.append(column)
    return tuple(found)


def vectors(
    columns: Sequence[Column], values: Mapping[str, Sequence[Any] | npt.NDArray[np.float64]]
) -> npt.NDArray[np.float32]:
    """Return what a network sees of rows, float32 [n, the sum of the columns' widths].

    A number less its mean, over its standard deviation; a missing one is 0, the mean. A category is
    1 in its own place; one that training never saw counts as a rare one, and is all 0 where
    training saw none. Where training saw rows without a value, the last place of a column says so.

    Args:
        values: of each column: numbers float64 [n], NaN where there is none, or texts, None where
            there is none.
    """
    parts: list[npt.NDArray[np.float32]] = []
    for column in columns:
        given = values[column.name]
        if column.kind == "number":
            numbers = np.asarray(given, np.float64)
            missing = np.isnan(numbers)
            scaled = np.where(missing, 0.0, (numbers - column.mean) / column.std)
            parts.append(scaled[:, None].astype(np.float32))
        else:
            places = {value: place for place, value in enumerate(column.values)}
            hot = np.zeros((len(given), len(column.values) + column.has_others), np.float32)
            missing = np.array([one is None for one in given], np.bool_)
            for row, one in enumerate(given):
                place = places.get(one, len(column.values))
                if one is not None and place < hot.shape[1]:
                    hot[row, place] = 1
            parts.append(hot)
        if column.has_missing:
            parts.append(missing[:, None].astype(np.float32))
    return np.concatenate(parts, axis=1)
