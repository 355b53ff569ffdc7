"""The difference of a metric between two ways of computing the same samples, with its interval."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVEL = 0.95


@dataclass(frozen=True)
class Drop:
    """How much worse a deployment is than its source, in the metric's unit: positive is worse."""

    value: float
    low: float
    high: float
    n: int
    method: str = "paired, Student's t"
    level: float = LEVEL


def drop(source: Any, found: Any, greater_is_better: bool) -> Drop:
    """The drop between two tallies over the same samples.

    Each sample's part in the metric (`contributions`, whose mean the metric is) is subtracted from
    its other, and the interval is Student's t over the differences (Student 1908): both ways see
    the same samples, so what is hard in them cancels out.

    Raises ValueError where the samples are not the same.
    """
    ids, ours = source.contributions()
    others, theirs = found.contributions()
    if not np.array_equal(ids, others):
        raise ValueError("the two evaluations are not of the same samples")
    difference = (ours - theirs) if greater_is_better else (theirs - ours)
    n, mean = len(difference), float(np.mean(difference))
    if n < 2:
        return Drop(mean, -math.inf, math.inf, n)
    from scipy.special import stdtrit

    error = float(np.std(difference, ddof=1)) / math.sqrt(n)
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * error
    return Drop(mean, mean - half, mean + half, n)
