"""What is taken for what: the confusion matrix of a task with one label an example, its picture,
and its record."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.base import HasConfusionMatrix, Task
from zoo.store import evidence

if TYPE_CHECKING:
    import numpy as np

    from tasks.metrics.classification import ClassificationMetric

MOST_CLASSES = 50
"""Of more classes no matrix is recorded: every row of it is a line of the evidence."""


def matrix_of(task: Task, accumulator: "ClassificationMetric") -> "np.ndarray | None":
    """Return the confusion matrix, counts int64 [labels, labels] with the truth in rows; None for
    a task without one."""
    if isinstance(task, HasConfusionMatrix) and task.single_label:
        return task.confusion_matrix(accumulator)
    return None


def top_confusions(matrix: "np.ndarray", labels: Sequence[str]) -> list[tuple[str, str, int]]:
    """Return (true label, predicted label, count) of the errors, the most frequent first.

    Args:
        matrix: counts int64 [labels, labels], rows the truth.
    """
    pairs = [
        (labels[i], labels[j], int(count))
        for i, row in enumerate(matrix)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(pairs, key=lambda pair: -pair[2])


def picture(folder: Path, matrix: "np.ndarray", labels: Sequence[str]) -> Path:
    """Draw a confusion matrix to `plots/confusion_matrix.png` and return its path."""
    from zoo.machine import plots

    path = folder / "plots" / "confusion_matrix.png"
    plots.confusion_matrix(path, matrix, labels)
    return path


def facts(task: Task, accumulator: "ClassificationMetric", **common: Any) -> list[evidence.Fact]:
    """Return the rows of the confusion matrix as facts: of each true label how many of its `n`
    examples were recognised (the value), and what they were all taken for (`counts`).

    Args:
        common: fields that all have.
    """
    matrix = matrix_of(task, accumulator)
    if matrix is None or not 0 < len(task.labels) <= MOST_CLASSES:
        return []
    return [
        evidence.fact(
            "class",
            "recognised",
            int(row[i]),
            "1",
            n=int(row.sum()),
            label=task.labels[i],
            counts={task.labels[j]: int(count) for j, count in enumerate(row) if count},
            **common,
        )
        for i, row in enumerate(matrix)
        if row.any()
    ]
