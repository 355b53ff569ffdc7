"""Pearson's product-moment correlation (1895).

compute(predictions, references) -> {"pearsonr": float in [-1, 1]}, of numbers [n]; nan where it is
undefined (fewer than two samples, constant or not finite values).
"""

from typing import Any

import evaluate
import numpy as np

from tasks.metrics import arithmetic
from tasks.metrics.modules import information

_URL = "https://docs.scipy.org/doc/scipy/reference/generated/scipy.stats.pearsonr.html"


class PearsonR(evaluate.Metric):  # type: ignore[misc]
    """Pearson's correlation for `evaluate`; the module says how it counts."""

    def _info(self) -> Any:
        return information.of_numbers(__doc__, _URL)

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        p, r = np.asarray(predictions, np.float64), np.asarray(references, np.float64)
        return {"pearsonr": arithmetic.pearsonr(p, r)}
