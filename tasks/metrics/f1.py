"""F1: the harmonic mean of precision and recall (van Rijsbergen, Information Retrieval, 1979).

compute(predictions, references, labels=None, pos_label=1, average="binary") -> {"f1": float}, or
float64 [labels] with average=None. Predictions and references are labels [n] or 0/1 rows [n,
labels]; average is binary (of pos_label), micro, macro, weighted or None. A division by zero gives
0.
"""

from collections.abc import Sequence
from typing import Any

import evaluate

from tasks.metrics import arithmetic, information

_URL = "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.f1_score.html"


class F1(evaluate.Metric):  # type: ignore[misc]
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
            arithmetic.f1, predictions, references, labels, pos_label, average
        )
        return {"f1": value}
