"""Percentiles of latency, where there are samples enough for them.

The rule: a percentile is given only where its own interval exists, that is where order statistics
of the samples enclose it with 95% certainty whatever the distribution (David and Nagaraja 2003,
"Order Statistics", section 7.1). p90 takes 36 samples then, p95 72 and
p99 368. Samples of one process depend on each other, so this is the least and not plenty.
"""

import math
from collections.abc import Sequence

import numpy as np

from zoo.measure.intervals import Estimate, Interval

LEVEL = 0.95
SHARES = (0.90, 0.95, 0.99)


def percentile(seconds: Sequence[float], share: float) -> Estimate | None:
    """Return the quantile `share` of times in seconds; None if they are too few for its
    interval."""
    from scipy import special

    n = len(seconds)
    # Between order statistics low and high (counted from 1) it lies where at least `low` and fewer
    # than `high` of n samples are below it: a binomial count.
    counts = np.arange(n + 1)
    below = special.bdtr(counts, n, share) if n else np.zeros(1)  # P(count <= k)
    tail = (1 - LEVEL) / 2
    low = int(np.searchsorted(below, tail, side="right"))  # P(count < low) <= tail
    high = int(np.searchsorted(below, 1 - tail)) + 1  # P(count >= high) <= tail
    if low < 1 or high > n:
        return None
    ordered = np.sort(np.asarray(seconds, np.float64))
    value = float(ordered[math.ceil(share * n) - 1])
    interval = Interval(
        float(ordered[low - 1]), float(ordered[high - 1]), LEVEL, "order statistics"
    )
    return Estimate(value, interval, n)
