"""Matthews' correlation coefficient (1975), for any number of classes (Gorodkin 2004).

compute(predictions, references) -> {"matthews_correlation": float in [-1, 1]}, of labels [n]; 0
where predictions or references are constant.
"""

from typing import Any

import evaluate
import numpy as np

from tasks.metrics import arithmetic
from tasks.metrics.modules import information

_URL = "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.matthews_corrcoef.html"


class MatthewsCorrelation(evaluate.Metric):  # type: ignore[misc]
    """Matthews' correlation for `evaluate`; the module says how it counts."""

    def _info(self) -> Any:
        return information.of_labels(__doc__, _URL, rows=False)

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        p, r, labels = arithmetic.encode(*arithmetic.as_labels(predictions, references))
        counts = arithmetic.count_codes(p, r, len(labels), np.ones(len(p), np.int64))
        return {"matthews_correlation": float(arithmetic.matthews_correlation(counts))}
