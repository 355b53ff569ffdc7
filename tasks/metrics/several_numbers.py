"""The accumulator of a regression with several numbers a sample: their mean, and each by itself."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.metrics import arithmetic, intervals
from tasks.metrics.accumulator import Answer
from tasks.metrics.arithmetic import Floats, Ints
from tasks.metrics.classification import ALIKE, ClassificationMetric
from tasks.metrics.intervals import DRAWS, MetricEstimate, SampleStatistics

_Array = npt.NDArray[Any]

_RESAMPLED: Mapping[str, Callable[[Floats, Floats, Ints], Floats]] = {
    "pearsonr": arithmetic.resampled_pearsonr,
    "spearmanr": arithmetic.resampled_spearmanr,
}


class SeveralNumbersMetric(ClassificationMetric):
    """Predictions and references of one evaluation, float64 [b, numbers] each, and what is computed
    from them: each metric of a regression, averaged over the numbers.

    `update` takes ids int64 [b] and numbers [b, numbers]; see `ClassificationMetric`.
    """

    def __init__(self, numbers: int) -> None:
        super().__init__("regression", numbers)

    def compute(self, level: float = 0.95, draws: int = DRAWS) -> list[MetricEstimate]:
        """Return pearsonr, spearmanr (bootstrap) and mse (Student t), each the mean of what
        `of_each` has. A correlation that is undefined for one of the numbers is undefined.

        Args:
            draws: resamples of the bootstrap; with 0 the correlations have no interval.
        """
        ids, predictions, references = self._columns()
        n, each = len(ids), self.of_each()
        values = {
            name: float(
                np.mean([one.value for scores in each for one in scores if one.name == name])
            )
            for name in _RESAMPLED
        }
        # two or three points say nothing, as in `intervals.fisher_z`
        defined = {name: value for name, value in values.items() if n > 3 and np.isfinite(value)}
        rows = {name: _RESAMPLED_INPUT[name](predictions, references) for name in defined}

        def resampled(weights: Ints) -> dict[str, Floats]:
            return {name: _mean_score(name, rows[name], weights) for name in defined}

        counts = np.ones(n, np.int64)
        drawn = intervals.bootstrap(defined, resampled, counts, level, draws) if defined else []
        known = {one.name: one for one in drawn}
        undefined = intervals.undefined
        found = [known.get(name) or undefined(name, float("nan"), n, level) for name in values]
        errors = self._errors(predictions, references)
        mean = arithmetic.mse(predictions.ravel(), references.ravel())
        return [*found, intervals.student_t("mse", mean, errors, level)]

    def of_each(self, level: float = 0.95) -> list[list[MetricEstimate]]:
        """Return the metrics that each number has by itself, in the order of the numbers."""
        return [alone.compute(level) for alone in self.each()]

    def each(self) -> list[ClassificationMetric]:
        """Return an accumulator of each number by itself, in the order of the numbers."""
        ids, predictions, references = self._columns()
        found = [ClassificationMetric("regression") for _ in range(self.num_labels)]
        for i, alone in enumerate(found):
            alone.update(ids, predictions[:, i], references[:, i])
        return found

    def only_answer(self) -> Answer | None:
        """Return the numbers that every sample got, as far as they hardly differ; None where one
        of them does, or has one reference only."""
        _, predictions, references = self._columns()
        if len(references) < 2 or not np.isfinite(predictions).all():
            return None
        spread, least = np.ptp(predictions, axis=0), ALIKE * np.std(references, axis=0)
        return tuple(predictions.mean(axis=0).tolist()) if (spread < least).all() else None

    def _constant(self) -> tuple[Answer, tuple[_Array, ...]]:
        """Return the mean of each number, and the columns with these as every prediction."""
        ids, _, references = self._columns()
        means = references.mean(axis=0)
        return tuple(means.tolist()), (ids, np.tile(means, (len(ids), 1)), references)

    def sample_statistics(self, metric: str) -> SampleStatistics:
        """Return what one of the metrics of `compute` is computed from, sample by sample."""
        ids, predictions, references = self._columns()
        if metric == "mse":
            return SampleStatistics.of_mean(ids, self._errors(predictions, references))
        rows = _RESAMPLED_INPUT[metric](predictions, references)
        return SampleStatistics(ids, rows, lambda rows, n: _mean_score(metric, rows, n))

    @staticmethod
    def _errors(predictions: Floats, references: Floats) -> Floats:
        """Return the squared error of each sample, the mean over its numbers, float64 [n]."""
        errors = arithmetic.squared_errors(predictions.ravel(), references.ravel())
        means: Floats = errors.reshape(predictions.shape).mean(axis=1)
        return means

    def _empty(self) -> _Array:
        return np.empty((0, self.num_labels), np.float64)

    def _compact(self, values: _Array, ids: _Array, what: str) -> _Array:
        values = np.asarray(values)
        shape = (len(ids), self.num_labels)
        if values.shape != shape:
            raise ValueError(f"{what}s are {list(values.shape)}, not {list(shape)}")
        if values.size and values.dtype.kind not in "iubf":
            raise ValueError(f"{what}s of type {values.dtype} are no numbers")
        return values.astype(np.float64)


def _side_by_side(predictions: Floats, references: Floats) -> Floats:
    """Return predictions and references in one array, [n, 2 * numbers]."""
    return np.column_stack([predictions, references])


def _ranked(predictions: Floats, references: Floats) -> Floats:
    """Return the same, each number replaced by the level of its column."""
    both = _side_by_side(predictions, references)
    return np.column_stack([arithmetic.levels(column) for column in both.T])


_RESAMPLED_INPUT: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "pearsonr": _side_by_side,
    "spearmanr": _ranked,
}
"""The rows that a correlation is resampled from."""


def _mean_score(metric: str, rows: Floats, weights: Ints) -> Floats:
    """Return a correlation, the mean over the numbers, of each resample, float64 [draws]."""
    width = rows.shape[1] // 2
    pairs = [(rows[:, i], rows[:, width + i]) for i in range(width)]
    scores = [_RESAMPLED[metric](x, y, weights) for x, y in pairs]
    mean: Floats = np.mean(scores, axis=0)
    return mean
