"""Accuracy: the share of samples that are right (0/1 rows: right in every label).

compute(predictions, references) -> {"accuracy": float}. Predictions and references are labels [n]
or 0/1 rows [n, labels].
"""

from typing import Any

import evaluate

from tasks.metrics import arithmetic
from tasks.metrics.modules import information

_URL = "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.accuracy_score.html"


class Accuracy(evaluate.Metric):  # type: ignore[misc]
    """Accuracy for `evaluate`; the module says how it counts."""

    def _info(self) -> Any:
        return information.of_labels(__doc__, _URL)

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        return {"accuracy": arithmetic.accuracy(*arithmetic.as_labels(predictions, references))}
