"""Checks of a table before training: what is suspicious is a warning, what cannot work an error."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tasks.data import label_checks
from tasks.data.columns import values_of
from tasks.data.label_checks import rows, warning
from tasks.preflight import Finding
from tasks.tabular.column import PREFIX, Column

if TYPE_CHECKING:
    import datasets

    from tasks.tabular.table_classification import TableClassification

MOSTLY_MISSING = 0.5
"""Share of the rows without a value, from which on a column is told."""
SURE = 0.999
"""Share of the rows in which a column's value tells the label, from which on it is the label."""
FEWEST = 20
"""Rows below which nothing is said of what values tell: any column tells few rows apart."""


def check(splits: "datasets.DatasetDict", task: "TableClassification") -> list[Finding]:
    """Return what is wrong or suspicious in the rows and their labels, errors first.

    Args:
        splits: rows with the columns `column/NAME` and label: an integer, for multi-label a list of
            them, for regression a float or a list of them.
        task: bound for training.
    """
    train = splits["train"]
    target = train["label"][:]
    findings: list[Finding] = []
    for column in task.schema:
        values = values_of(train, PREFIX + column.name).to_pylist()
        findings += _column(column, values, target, task.single_label)
    findings += _repeats(splits, task.schema, task.problem_type != "regression")
    labels = {name: one["label"][:] for name, one in splits.items()}
    if task.problem_type == "regression" and task.labels:  # as the loss counts them
        scale = task.target_std
        labels = {name: [_scaled(row, scale) for row in of] for name, of in labels.items()}
    findings += label_checks.check(labels, task.labels)
    return sorted(findings, key=lambda finding: finding.level != "error")


def _column(
    column: Column, values: Sequence[Any], target: Sequence[Any], single_label: bool
) -> Iterator[Finding]:
    """Yield what is suspicious in one column of train."""
    present = [value for value in values if value is not None]
    different = set(present)
    if missing := len(values) - len(present):
        share = missing / len(values)
        if share > MOSTLY_MISSING:
            yield warning(f"train: {column.name} has no value in {share:.0%} of the rows")
    if len(different) == 1 and not missing:
        yield warning(
            f"train: {column.name} is {present[0]!r} in every row, so it says nothing: leave it out"
            " with `ignore_columns`"
        )
        return
    if len(values) < FEWEST:
        return
    whole = column.kind == "number" and all(float(value).is_integer() for value in present)
    if whole and not missing and len(different) == len(values) and _even(present):
        yield warning(
            f"train: {column.name} is another whole number in every row, as an id or a row's number"
            " is: if it is one, leave it out with `ignore_columns`"
        )
    elif single_label and len(different) <= len(values) // 4 and _tells(values, target):
        yield warning(
            f"train: {column.name} alone tells the label in every row, as the label under another "
            "name does: if it would not be known before the label is, leave it out with "
            "`ignore_columns`"
        )


def _even(numbers: Sequence[float]) -> bool:
    """Return whether different whole numbers lie close together, as those of rows do."""
    return max(numbers) - min(numbers) < 2 * len(numbers)


def _tells(values: Sequence[Any], target: Sequence[Any]) -> bool:
    """Return whether as good as every value goes with one label, and labels are not all one."""
    by_value: dict[Any, dict[Any, int]] = {}
    for value, label in zip(values, target, strict=True):
        counts = by_value.setdefault(value, {})
        counts[label] = counts.get(label, 0) + 1
    right = sum(max(counts.values()) for counts in by_value.values())
    return len(set(target)) > 1 and right >= SURE * len(target)


def _scaled(row: Sequence[float], scale: Sequence[float]) -> list[float]:
    return [number / one for number, one in zip(row, scale, strict=True)]


def _repeats(
    splits: "datasets.DatasetDict", columns: Sequence[Column], has_classes: bool
) -> Iterator[Finding]:
    """Yield rows of other splits that stand in train too, and equal rows of different classes."""
    seen: dict[bytes, str] = {}
    conflicts = 0
    for name in sorted(splits, key=lambda one: one != "train"):
        split = splits[name]
        keys = _keys(split, columns)
        labels = list(map(repr, split["label"][:]))
        if name == "train":
            for key, label in zip(keys, labels, strict=True):
                conflicts += seen.setdefault(key, label) != label
            continue
        shared = [row for row, key in enumerate(keys) if key in seen]
        if shared:
            yield warning(
                f"{rows(len(shared))} of {name} also in train: what is measured there is too good; "
                f"the first is row {shared[0] + 1}",
                "shared_with_train",
                name,
                len(shared),
            )
    if conflicts and has_classes:
        yield warning(
            f"train: {rows(conflicts)} with another label than an equal row before",
            "contradictory",
            None,
            conflicts,
        )


def _keys(split: "datasets.Dataset", columns: Sequence[Column]) -> list[bytes]:
    """Return a digest of each row's columns."""
    given = [values_of(split, PREFIX + one.name).to_pylist() for one in columns]
    return [
        hashlib.blake2b(repr(row).encode(), digest_size=16).digest()
        for row in zip(*given, strict=True)
    ]
