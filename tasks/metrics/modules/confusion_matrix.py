"""Confusion matrix: how often each class (row) was taken for each class (column).

compute(predictions, references, labels=None) -> {"confusion_matrix": int64 [labels, labels]}, of
labels [n]. The classes are those that occur, sorted; or `labels`, in their order, without the
samples of other classes.
"""

from collections.abc import Sequence
from typing import Any

import evaluate
import numpy as np

from tasks.metrics import arithmetic
from tasks.metrics.modules import information

_URL = "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.confusion_matrix.html"


class ConfusionMatrix(evaluate.Metric):  # type: ignore[misc]
    """Confusion matrix for `evaluate`; the module says how it counts."""

    def _info(self) -> Any:
        return information.of_labels(__doc__, _URL, rows=False)

    def _compute(
        self, predictions: Any, references: Any, labels: Sequence[int] | None = None
    ) -> dict[str, Any]:
        p, r, present = arithmetic.encode(*arithmetic.as_labels(predictions, references))
        matrix = arithmetic.confusion(p, r, len(present))
        if labels is not None:
            place = {int(label): i for i, label in enumerate(present)}
            places = [place.get(int(label), len(present)) for label in labels]
            matrix = np.pad(matrix, (0, 1))[
                np.ix_(places, places)
            ]  # the last one: a class not seen
        return {"confusion_matrix": matrix}
