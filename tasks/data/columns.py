"""Which column of a data set holds what."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from tasks.errors import UserError

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa


def names_of(splits: "datasets.DatasetDict") -> list[str]:
    """The columns of train, or of the first split where there is none."""
    split = splits["train"] if "train" in splits else next(iter(splits.values()))
    names: list[str] = split.column_names
    return names


def folded(name: str) -> str:
    """Return a column's name as it is compared: without case, and without blanks at its ends, which
    nobody sees in a spreadsheet."""
    return name.strip().casefold()


def select(
    splits: "datasets.DatasetDict",
    columns: Mapping[str, str],
    where: str,
    may_miss: Collection[str] = ("label",),
) -> "datasets.DatasetDict":
    """The splits with the columns named, under new names, and no other.

    Args:
        columns: new name by the name it has in train (see `names_of`); another split may write it
            in other letters' case, or with blanks at its ends.
        where: the data's name, for the error.
        may_miss: new names of columns that some splits need not have (the labels of a test split);
            every value is None there.

    Raises `UserError` where a split lacks another column.
    """
    import datasets

    made = {}
    for name, split in splits.items():
        by_folded = {folded(column): column for column in reversed(split.column_names)}
        found = {}
        for old, new in columns.items():
            column = old if old in split.column_names else by_folded.get(folded(old))
            if column is not None:
                found[column] = new
            elif new not in may_miss:
                raise UserError(
                    f"{name} of {where} has no column {old!r}, as its other splits have; its"
                    f" columns are {', '.join(split.column_names)}"
                )
        split = split.select_columns(list(found))
        split = split.rename_columns({old: new for old, new in found.items() if old != new})
        for old, new in columns.items():
            if new not in found.values():
                features = datasets.Features({new: _feature_of(splits, old)})
                empty = datasets.Dataset.from_dict({new: [None] * split.num_rows}, features)
                split = datasets.concatenate_datasets([split, empty], axis=1)
        made[name] = split
    return datasets.DatasetDict(made)


def values_of(split: "datasets.Dataset", column: str) -> "pa.ChunkedArray":
    """Return the values of a column in the order of the split's rows."""
    values: pa.ChunkedArray = split.data.column(column)
    return values if split._indices is None else values.take(split._indices.column(0))


def with_column(
    split: "datasets.Dataset", column: str, values: "pa.Array | pa.ChunkedArray"
) -> "datasets.Dataset":
    """Return the split with other values in a column, which moves behind the others, or with a new
    one.

    The rows of a split that was cut from another one stay where they are: `datasets` would write
    all of them once more, pictures and sounds too, before it joins a column to them.
    """
    import datasets
    import numpy as np
    import pyarrow as pa
    from datasets.fingerprint import Hasher

    split = split.remove_columns(column) if column in split.column_names else split
    chosen = split._indices
    if chosen is None:
        added = datasets.Dataset(pa.table({column: values}))
        return datasets.concatenate_datasets([split, added], axis=1)
    rows = chosen.column(0).to_numpy()
    places = np.full(split.data.num_rows, -1)
    places[rows] = np.arange(len(rows))
    assert np.array_equal(places[rows], np.arange(len(rows))), "a row was chosen twice"
    spread = values.take(pa.array(places, mask=places < 0))  # nothing in the rows of other splits
    whole = datasets.Dataset(split.data, split.info.copy(), fingerprint=split._fingerprint)
    joined = with_column(whole, column, spread)
    named = Hasher.hash([joined._fingerprint, split._fingerprint])
    return datasets.Dataset(joined.data, joined.info, indices_table=chosen, fingerprint=named)


def _feature_of(splits: "datasets.DatasetDict", column: str) -> object:
    """Return the feature of a column, as the first split that has it declares it."""
    return next(s.features[column] for s in splits.values() if column in s.column_names)


def find_column(
    names: Sequence[str], asked: str | None, usual: Sequence[str], what: str, where: str
) -> str:
    """The name of the column that was asked for, or the first usual one there is.

    Args:
        names: the columns there are.
        asked: the user's choice; an exact match wins over one that differs in case or blanks.
        usual: names to try where nothing was asked for, best first, compared as `folded`.
        what: what the column holds, for the error ("text", "label").
        where: the data's name, for the error.

    Raises `UserError` naming the columns there are and the nearest.
    """
    import difflib

    by_folded = {folded(name): name for name in reversed(names)}
    wanted = [asked] if asked is not None else list(usual)
    for name in wanted:
        if name in names:
            return name
        if folded(name) in by_folded:
            return by_folded[folded(name)]
    near = [
        by_folded[match]
        for name in wanted
        for match in difflib.get_close_matches(folded(name), list(by_folded), n=1)
    ]
    there = ", ".join(names) or "none at all"
    if asked is not None:
        problem = f"{where} has no column {asked!r} for the {what}"
    else:
        problem = f"{where} has no {what} column that is plain from its name"
        problem += f" (tried {', '.join(usual)})" if usual else ""
    hint = f"the nearest is {near[0]!r}" if near else None
    raise UserError(f"{problem}; its columns are {there}", hint=hint)
