"""The difference of a metric between two ways of computing the same samples, with its interval."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tasks.metrics.intervals import paired_bootstrap, percentile, t_half_width
from tasks.metrics.spec import MetricSpec
from zoo.machine.formatting import interval

LEVEL = 0.95
UNDEFINED = "none: too few samples, or a metric that is undefined on them"


@dataclass(frozen=True)
class MetricDrop:
    """How much worse a deployment is than its source, on the metric's scale: positive is worse."""

    value: float
    low: float  # nan, as `high`, where there is no interval
    high: float
    n: int
    method: str
    level: float = LEVEL

    def interval(self) -> dict[str, Any] | None:
        """Return the interval as evidence stores it, or None if there is none."""
        if not math.isfinite(self.low) or not math.isfinite(self.high):
            return None
        return {"low": self.low, "high": self.high, "level": self.level, "method": self.method}

    def __str__(self) -> str:
        if self.interval() is None:
            return f"{self.value:+.4f}"
        return f"{self.value:+.4f} ({interval(self.low, self.high, '+.4f')})"


def drop(source: Any, found: Any, metric: MetricSpec) -> MetricDrop:
    """Return the drop of a metric between two accumulators over the same samples.

    Both ways see the same samples, so what is hard in them cancels out. The interval of a metric
    that is a mean is over the differences of the samples: for right and wrong that of Agresti & Min
    2005 for paired proportions (Wald's, after half a sample is added to each kind of pair, so that
    it has a width where none differ), else Student's t. That of any other metric (F1, correlations,
    error rates) is the percentile interval of a paired bootstrap over samples; there is none where
    every draw has the same difference.

    Raises ValueError where the samples are not the same.
    """
    ours, theirs = (accumulator.sample_statistics(metric.name) for accumulator in (source, found))
    if not np.array_equal(ours.ids, theirs.ids):
        raise ValueError("the two evaluations are not of the same samples")
    n = len(ours.ids)
    value = float(_lost(metric, _value(source, metric.name), _value(found, metric.name)))
    if not n or not math.isfinite(value):
        return MetricDrop(value, math.nan, math.nan, n, UNDEFINED)
    if not metric.is_mean or metric.scale == "relative":
        draws = paired_bootstrap(ours, theirs, partial(_lost, metric))
        bounds = percentile(metric.name, value, n, draws, LEVEL)
        return MetricDrop(value, bounds.low, bounds.high, n, "paired bootstrap over samples")
    difference = _lost(metric, ours.rows[:, 0], theirs.rows[:, 0])
    if set(np.unique(np.concatenate([ours.rows, theirs.rows]))) <= {0.0, 1.0}:
        low, high = _paired_proportions(int((difference > 0).sum()), int((difference < 0).sum()), n)
        return MetricDrop(value, low, high, n, "paired proportions, Agresti & Min")
    if n < 2:
        return MetricDrop(value, math.nan, math.nan, n, UNDEFINED)
    half = t_half_width(difference, LEVEL)
    return MetricDrop(value, value - half, value + half, n, "paired, Student's t")


def _lost(metric: MetricSpec, before: Any, after: Any) -> Any:
    """Return how much worse `after` is than `before`, on the metric's scale."""
    lost = before - after if metric.greater_is_better else after - before
    if metric.scale == "absolute":
        return lost
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(lost, np.abs(before))


def _value(accumulator: Any, metric: str) -> float:
    return float(next(m.value for m in accumulator.compute(draws=0) if m.name == metric))


def rows_to_show(max_drop: float) -> float:
    """Return how many samples it takes at least to show that right and wrong answers drop by no
    more than `max_drop`, above 0: with fewer, the interval of `drop` reaches beyond it even where
    not one answer differs."""
    return math.ceil(_z() / max_drop - 2.0) if max_drop > 0 else math.inf


def most_unseen(n: int) -> float:
    """Return the drop that `n` samples leave possible where not one answer differs: the upper end
    of the interval of `drop`."""
    return _paired_proportions(0, 0, n)[1]


def _z() -> float:
    from scipy.special import ndtri

    return float(ndtri((1 + LEVEL) / 2))


def _paired_proportions(worse: int, better: int, n: int) -> tuple[float, float]:
    """Return the confidence interval of (worse - better) / n."""
    b, c, total = worse + 0.5, better + 0.5, n + 2.0
    mean = (b - c) / total
    half = _z() * math.sqrt((b + c) - (b - c) ** 2 / total) / total
    return mean - half, mean + half
