"""Mean squared error.

compute(predictions, references) -> {"mse": float}, of numbers [n]; nan where a value is not finite.
"""

from typing import Any

import evaluate
import numpy as np

from tasks.metrics import arithmetic
from tasks.metrics.modules import information

_URL = "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.mean_squared_error.html"


class MSE(evaluate.Metric):  # type: ignore[misc]
    """Mean squared error for `evaluate`."""

    def _info(self) -> Any:
        return information.of_numbers(__doc__, _URL)

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        p, r = np.asarray(predictions, np.float64), np.asarray(references, np.float64)
        return {"mse": arithmetic.mse(p, r)}
