"""Which column of a data set holds what."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from tasks.errors import UserError

if TYPE_CHECKING:
    import datasets


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
