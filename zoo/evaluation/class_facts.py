"""What is known of each class: how many rows it has to learn from, and how well it is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.base import Examples, HasClasses, Task
from zoo.machine import terminal
from zoo.machine.formatting import NOTHING
from zoo.store import evidence

if TYPE_CHECKING:
    from tasks.metrics.classification import ClassificationMetric
    from tasks.metrics.detection import DetectionMetric
    from tasks.metrics.intervals import MetricEstimate
    from tasks.metrics.spans import SpanMetric
    from tasks.preflight import Finding

MOST_CLASSES = 50
"""Of more classes none is recorded: every fact is a line of the evidence."""
SCORES = ("precision", "recall", "f1", "iou", "map", "map_50")


@dataclass(frozen=True)
class ClassScores:
    """How well one class (of spans: one type) was told in a split."""

    label: str
    n: int  # rows of the split that have it, or spans, objects, pixels
    predicted: int  # rows, spans, boxes or pixels that were predicted to have it
    scores: "Mapping[str, MetricEstimate]"
    """Those of `SCORES` that are known of it by name, in 0..1; precision only where it was
    predicted, none where n is 0."""


def rows_of(
    task: Task, accumulator: "ClassificationMetric | SpanMetric | DetectionMetric"
) -> list[ClassScores]:
    """Return the scores of each class, those without rows as well.

    Empty without classes, or with more than MOST_CLASSES.
    """
    if not isinstance(task, HasClasses) or not 0 < len(task.classes) <= MOST_CLASSES:
        return []
    counts, scores = accumulator.by_class(), accumulator.class_estimates()
    return [
        ClassScores(label, int(actual), int(predicted), found)
        for label, actual, predicted, found in zip(
            task.classes, counts.actual, counts.predicted, scores, strict=True
        )
    ]


def of_classes(rows: Sequence[ClassScores], **common: Any) -> list[evidence.Fact]:
    """Return the scores of each class as facts; `common` are fields that all have."""
    return [
        evidence.fact(
            "class",
            name,
            one.value,
            "1",
            n=row.n,
            interval=evidence.interval_of(one),
            label=row.label,
            **common,
        )
        for row in rows
        for name in SCORES
        if (one := row.scores.get(name)) is not None
    ]


def show(rows: Sequence[ClassScores]) -> None:
    """Print a table of the classes, and a line of those without rows, if there are any."""
    names = [name for name in SCORES if any(name in row.scores for row in rows)]
    cells = [
        (row.label, *(_cell(row.scores.get(name)) for name in names), f"{row.n:,}")
        for row in rows
        if row.n
    ]
    if cells:
        terminal.table(("class", *names, "n"), cells, "each class", after_gap=True)
    if absent := [f"{row.label!r} (predicted {row.predicted:,})" for row in rows if not row.n]:
        terminal.lines(f"without any row: {', '.join(absent)}")


def _cell(score: "MetricEstimate | None") -> str:
    if score is None:
        return NOTHING
    known = score.low == score.low
    return f"{score.value:.4f}" + (f" [{score.low:.2f}, {score.high:.2f}]" if known else "")


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
    given = examples.splits["train"]["label"][:]
    codes = np.array([code for label in given for code in np.atleast_1d(label)], np.int64)
    counts = np.bincount(codes, minlength=len(task.classes))
    return counted + [
        evidence.fact(
            "data", "rows", int(count), "1", n=rows["train"], split="train", label=label, **common
        )
        for label, count in zip(task.classes, counts, strict=True)
    ]
