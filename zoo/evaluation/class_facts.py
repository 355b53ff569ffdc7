"""What is known of each class: how many rows it has to learn from, and how well it is told."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.base import Examples, HasClasses, Task
from zoo.machine import terminal
from zoo.store import evidence

if TYPE_CHECKING:
    from tasks.metrics.classification import ClassificationMetric
    from tasks.preflight import Finding

MOST_CLASSES = 50
"""Of more classes none is recorded: every fact is a line of the evidence."""
SCORES = ("precision", "recall", "f1")


Row = tuple[str, dict[str, float], int]
"""Of a class its label, its scores in 0..1 by name, and how many rows of the split it has (of a
type of spans: how many spans)."""


def rows_of(task: Task, accumulator: "ClassificationMetric") -> list[Row]:
    """Return label, scores and number of samples of each class in the split.

    Precision is left out for a class that was never predicted. Empty without classes, or with more
    than MOST_CLASSES.
    """
    if not isinstance(task, HasClasses) or not 0 < len(task.classes) <= MOST_CLASSES:
        return []
    counts = accumulator.by_class()
    rows = []
    for label, hits, predicted, actual in zip(
        task.classes, *(column.tolist() for column in counts[:3]), strict=True
    ):
        if not actual:
            continue
        scores = {"recall": hits / actual, "f1": 2 * hits / (predicted + actual)}
        if predicted:
            scores["precision"] = hits / predicted
        rows.append((label, scores, actual))
    return rows


def of_classes(rows: Sequence[Row], **common: Any) -> list[evidence.Fact]:
    """Return precision, recall and F1 of each class as facts; `common` are fields that all have."""
    return [
        evidence.fact("class", name, scores[name], "1", n=n, label=label, **common)
        for label, scores, n in rows
        for name in SCORES
        if name in scores
    ]


def show(rows: Sequence[Row]) -> None:
    """Print a table of the classes, if there are any."""
    cells = [
        (label, *(f"{scores[name]:.4f}" if name in scores else "-" for name in SCORES), f"{n:,}")
        for label, scores, n in rows
    ]
    if cells:
        terminal.table(("class", *SCORES, "n"), cells, "each class", after_gap=True)


def of_data(
    task: Task, examples: Examples, findings: "Sequence[Finding]", common: Mapping[str, Any]
) -> list[evidence.Fact]:
    """Return the counts of the check before training, and the rows of each class in train, as
    facts."""
    rows = {name: len(split) for name, split in examples.splits.items()}
    counted = [
        evidence.fact(
            "data",
            each.measure,
            each.count,
            "1",
            n=rows[each.split] if each.split else sum(rows.values()),
            split=each.split,
            **common,
        )
        for each in findings
        if each.measure
    ]
    if not isinstance(task, HasClasses) or not task.of_rows:
        return counted
    if not 0 < len(task.classes) <= MOST_CLASSES:
        return counted
    given = examples.splits["train"]["label"]
    codes = np.array([code for label in given for code in np.atleast_1d(label)], np.int64)
    counts = np.bincount(codes, minlength=len(task.classes))
    return counted + [
        evidence.fact(
            "data", "rows", int(count), "1", n=rows["train"], split="train", label=label, **common
        )
        for label, count in zip(task.classes, counts, strict=True)
    ]
