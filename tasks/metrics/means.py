"""The mean over samples of one number each, such as the bits per dimension of an image."""

from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.metrics import intervals
from tasks.metrics.accumulator import Answer
from tasks.metrics.intervals import DRAWS, MetricEstimate, SampleStatistics
from tasks.metrics.ratios import Ratio, RatioMetric

_Array = npt.NDArray[Any]


class MeanMetric(RatioMetric):
    """The mean of one non-negative number a sample, with Student's interval."""

    def __init__(self, name: str, constant: tuple[str, float] | None = None) -> None:
        """Start with no samples.

        Args:
            name: of the metric.
            constant: an answer that needs no model, and the number that every sample has with it.
        """
        super().__init__([Ratio(name, 0, 1)])
        self._answer = constant

    def count(self, ids: _Array, values: _Array) -> None:
        """Count a batch: integers [b], and the number of each sample [b]."""
        self.update(ids, np.stack([values, np.ones(len(values))], 1))

    def compute(self, level: float = 0.95, draws: int = DRAWS) -> list[MetricEstimate]:
        """Return the mean with its interval."""
        _, sums = self._columns()
        (ratio,) = self.ratios
        mean = float(ratio.of(sums.sum(0)))
        return [intervals.student_t(ratio.name, mean, sums[:, 0], level)]

    def sample_statistics(self, metric: str) -> SampleStatistics:
        """Return the number of each sample."""
        ids, sums = self._columns()
        return SampleStatistics.of_mean(ids, sums[:, 0])

    def _constant(self) -> tuple[Answer, Any] | None:
        if self._answer is None:
            return None
        ids, sums = self._columns()
        answer, value = self._answer
        return answer, (ids, np.stack([np.full(len(ids), value), sums[:, 1]], 1))
