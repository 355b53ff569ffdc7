"""The difference of a metric between two ways of computing the same samples, with its interval."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.metrics import greater_is_better

LEVEL = 0.95
NOT_A_MEAN = "none: the metric is no mean over samples"


@dataclass(frozen=True)
class Drop:
    """How much worse a deployment is than its source, in the metric's unit: positive is worse."""

    value: float
    low: float  # nan, as `high`, where the metric is no mean over samples
    high: float
    n: int
    method: str
    level: float = LEVEL

    def interval(self) -> dict[str, Any] | None:
        """As evidence has it; None where there is none."""
        if not math.isfinite(self.low) or not math.isfinite(self.high):
            return None
        return {"low": self.low, "high": self.high, "level": self.level, "method": self.method}

    def __str__(self) -> str:
        if self.interval() is None:
            return f"{self.value:+.4f}"
        return f"{self.value:+.4f} ({self.low:+.4f} to {self.high:+.4f})"


def drop(source: Any, found: Any, metric: str) -> Drop:
    """The drop of a metric between two tallies over the same samples.

    Both ways see the same samples, so what is hard in them cancels out. Where the metric is the
    mean of each sample's part in it (`contributions`), the interval is over the differences of the
    parts: for right and wrong that of Agresti & Min 2005 for paired proportions (Wald's, after half
    a sample is added to each kind of pair, so that it has a width where none differ), else
    Student's t. Other metrics (f1, correlations) have no interval here.

    Raises ValueError where the samples are not the same.
    """
    ids, ours = source.contributions()
    others, theirs = found.contributions()
    if not np.array_equal(ids, others):
        raise ValueError("the two evaluations are not of the same samples")
    n, sign = len(ids), 1 if greater_is_better(metric) else -1
    before, after = _value(source, metric), _value(found, metric)
    value = sign * (before - after)
    is_mean = n and np.isclose(np.mean(ours), before) and np.isclose(np.mean(theirs), after)
    if not is_mean:
        return Drop(value, math.nan, math.nan, n, NOT_A_MEAN)
    difference = sign * (ours - theirs)
    if set(np.unique(np.concatenate([ours, theirs]))) <= {0.0, 1.0}:
        low, high = _paired_proportions(int((difference > 0).sum()), int((difference < 0).sum()), n)
        return Drop(value, low, high, n, "paired proportions, Agresti & Min")
    if n < 2:
        return Drop(value, math.nan, math.nan, n, "paired, Student's t")
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * float(np.std(difference, ddof=1)) / n**0.5
    return Drop(value, value - half, value + half, n, "paired, Student's t")


def _value(tally: Any, metric: str) -> float:
    return float(next(m.value for m in tally.compute(draws=0) if m.name == metric))


def _paired_proportions(worse: int, better: int, n: int) -> tuple[float, float]:
    """The interval of (worse - better) / n."""
    from scipy.special import ndtri

    b, c, total = worse + 0.5, better + 0.5, n + 2.0
    mean = (b - c) / total
    half = float(ndtri((1 + LEVEL) / 2)) * math.sqrt((b + c) - (b - c) ** 2 / total) / total
    return mean - half, mean + half
