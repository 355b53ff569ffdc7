"""Several numbers to predict of one input: which columns they are, and how they are told apart.

They are the structs of a column `label` as it is read, {"width": 3, "height": 4}, and lists of
float32 once encoded, in the order of their names, which take the place of the names of labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tasks.data import columns
from tasks.data.columns import find_column
from tasks.errors import UserError

if TYPE_CHECKING:
    import datasets

    from tasks.data.source import Source


def find(source: "Source", asked: str | None, usual: Sequence[str]) -> "tuple[Source, str]":
    """Return the data and the name of its column of labels.

    Where `asked` names several columns with commas between them, that is a new column, of structs
    of theirs. A column whose own name has a comma is taken as it is.

    Raises `UserError` where a column is missing or is named twice.
    """
    names = columns.names_of(source.splits)
    if asked is None or "," not in asked or asked in names:
        return source, find_column(names, asked, usual, "label", source.name)
    parts = [part.strip() for part in asked.split(",")]
    found = [find_column(names, part, (), "label", source.name) for part in parts]
    twice = next((name for name in found if found.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"`label_column` {asked} names the column {twice!r} twice")
    return replace(source, splits=_joined(source.splits, found, asked, source.name)), asked


def _joined(
    splits: "datasets.DatasetDict", parts: Sequence[str], name: str, where: str
) -> "datasets.DatasetDict":
    """Return the splits with one column more, structs of the columns `parts`; of a split without
    them, as of a test, with nothing in them."""
    import datasets
    import pyarrow as pa

    places = {part: f"{name}/{i}" for i, part in enumerate(parts)}
    wanted = set(map(columns.folded, parts))
    known = {
        split_name: split
        for split_name, split in splits.items()
        if wanted & set(map(columns.folded, split.column_names))
    }
    chosen = columns.select(datasets.DatasetDict(known), places, where, places.values())
    joined = {}
    for split_name, split in splits.items():
        values = [pa.nulls(split.num_rows, pa.float64())] * len(parts)
        if split_name in chosen:
            table = chosen[split_name].with_format("arrow")[:]
            values = [table.column(place).combine_chunks() for place in places.values()]
        struct = pa.StructArray.from_arrays(values, list(parts))
        made = datasets.Dataset(pa.table({name: struct}))
        joined[split_name] = datasets.concatenate_datasets([split, made], axis=1)
    return datasets.DatasetDict(joined)


def are_numbers(feature: Any) -> bool:
    """Return whether a column of labels holds several numbers a row: structs, or lists of decimal
    numbers."""
    inner = getattr(getattr(feature, "feature", None), "dtype", "")
    return isinstance(feature, Mapping) or str(inner).startswith("float")


def names_of(split: "datasets.Dataset") -> list[str]:
    """Return the names of the numbers in the column `label`; empty where a row has a single one.

    Numbers in a list have none of their own, and are called label_0, label_1, ...
    """
    feature = split.features["label"]
    if isinstance(feature, Mapping):
        return list(feature)
    if not hasattr(feature, "feature"):
        return []
    first = next((value for value in split["label"] if value is not None), ())
    return [f"label_{i}" for i in range(len(first))] if len(first) > 1 else []


def given(value: Any, names: Sequence[str]) -> list[tuple[str, Any]]:
    """Return names and values of one row, in the order of the names, as they were read.

    Raises ValueError where they are more or fewer.
    """
    if isinstance(value, Mapping):
        known = all(name in value for name in names)
        values = [value[name] for name in names] if known else list(value.values())
    else:
        values = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
    if len(values) != len(names):
        raise ValueError(
            f"the label {value!r} is not {len(names)} numbers, as training has them"
            f" ({', '.join(names)})"
        )
    return list(zip(names, values, strict=True))
