"""Precision: of the samples predicted to have a label, the share that has it.

compute(predictions, references, labels=None, pos_label=1, average="binary") -> {"precision":
float}, or float64 [labels] with average=None. Predictions and references are labels [n] or 0/1 rows
[n, labels]; average is binary (of pos_label), micro, macro, weighted or None. A division by zero
gives 0.
"""

from collections.abc import Sequence
from typing import Any

import evaluate

from tasks.metrics import arithmetic, information

_URL = "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.precision_score.html"


class Precision(evaluate.Metric):  # type: ignore[misc]
    """See the module."""

    def _info(self) -> Any:
        return information.of_labels(__doc__, _URL)

    def _compute(
        self,
        predictions: Any,
        references: Any,
        labels: Sequence[int] | None = None,
        pos_label: int = 1,
        average: str | None = "binary",
    ) -> dict[str, Any]:
        value = arithmetic.label_score(
            arithmetic.precision, predictions, references, labels, pos_label, average
        )
        return {"precision": value}
