"""Spearman's rank correlation (1904), ties at their mean rank.

compute(predictions, references) -> {"spearmanr": float in [-1, 1]}, of numbers [n]; nan where it is
undefined (fewer than two samples, constant values, nan).
"""

from typing import Any

import evaluate
import numpy as np

from tasks.metrics import arithmetic
from tasks.metrics.modules import information

_URL = "https://docs.scipy.org/doc/scipy/reference/generated/scipy.stats.spearmanr.html"


class SpearmanR(evaluate.Metric):  # type: ignore[misc]
    """Spearman's rank correlation for `evaluate`; the module says how it counts."""

    def _info(self) -> Any:
        return information.of_numbers(__doc__, _URL)

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        p, r = np.asarray(predictions, np.float64), np.asarray(references, np.float64)
        return {"spearmanr": arithmetic.spearmanr(p, r)}
