"""A measured number with its interval, and the formulas of the intervals."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import atanh, isfinite, sqrt, tanh
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.metrics.arithmetic import Floats, Ints

DRAWS = 1000  # bootstrap resamples
SEED = 0  # of the bootstrap: the same counts give the same interval
_BLOCK = 2**22  # weights held at once: 32 MiB

_NAN = float("nan")


@dataclass(frozen=True, kw_only=True)
class MetricEstimate:
    """A metric over a set of samples, with its interval.

    `method` names how the interval was made: "wilson", "bootstrap", "bootstrap-normal", "fisher-z",
    "student-t", "jackknife", or "undefined": then low and high are nan. The value is nan as well
    where the metric itself is undefined (no samples, a constant input to a correlation, values that
    are not finite).
    """

    name: str
    value: float
    n: int  # distinct samples
    low: float
    high: float
    level: float = 0.95
    method: str


def undefined(name: str, value: float, n: int, level: float) -> MetricEstimate:
    """A measurement without an interval."""
    return MetricEstimate(
        name=name, value=value, n=n, low=_NAN, high=_NAN, level=level, method="undefined"
    )


def wilson(name: str, value: float, n: int, level: float) -> MetricEstimate:
    """The score interval of a share `value` of n samples (Wilson 1927). Undefined where n is 0."""
    if n == 0:
        return undefined(name, _NAN, n, level)
    z = _z(level)
    centre = (value + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * sqrt(value * (1 - value) / n + z**2 / (4 * n**2))
    # At the ends centre and half are equal, but for rounding.
    low = 0.0 if value == 0 else centre - half
    high = 1.0 if value == 1 else centre + half
    return MetricEstimate(
        name=name, value=value, n=n, low=low, high=high, level=level, method="wilson"
    )


def fisher_z(name: str, value: float, n: int, level: float, scale: float = 1.0) -> MetricEstimate:
    """The interval of a correlation by Fisher's transformation (1921).

    It is tanh(atanh(r) -+ z sqrt(scale / (n - 3))), where `scale` is 1 for Pearson's r and 1 + r^2
    / 2 for Spearman's (Bonett & Wright 2000). Below four samples there is neither value nor
    interval (two or three points say nothing); at r = -1 or 1 there is no interval.
    """
    if n < 4 or not isfinite(value):
        return undefined(name, _NAN, n, level)
    if abs(value) == 1:
        return undefined(name, value, n, level)
    half = _z(level) * sqrt(scale / (n - 3))
    low, high = tanh(atanh(value) - half), tanh(atanh(value) + half)
    return MetricEstimate(
        name=name, value=value, n=n, low=low, high=high, level=level, method="fisher-z"
    )


def student_t(name: str, value: float, samples: Floats, level: float) -> MetricEstimate:
    """The interval of a mean of non-negative samples [n] (Student 1908), cut off at 0.

    Undefined below two samples, and where all samples are equal.
    """
    n, half = len(samples), t_half_width(samples, level)
    if not isfinite(value) or not isfinite(half) or half == 0:
        return undefined(name, value, n, level)
    return MetricEstimate(
        name=name,
        value=value,
        n=n,
        low=max(0.0, value - half),
        high=value + half,
        level=level,
        method="student-t",
    )


def t_half_width(values: Floats | Sequence[float], level: float) -> float:
    """Return how far the interval of the mean of independent values [n] reaches to either side, by
    Student's t (1908). Not a number below two values, or where they are too far apart."""
    n = len(values)
    if n < 2:
        return _NAN
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = float(np.std(values, ddof=1))
    return t_quantile(n - 1, level) * deviation / sqrt(n)


def t_quantile(freedom: int, level: float) -> float:
    """Return how many standard errors a two-sided interval of this level reaches, by Student's t
    with so many degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))


def percentile(name: str, value: float, n: int, draws: Floats, level: float) -> MetricEstimate:
    """The percentile interval of bootstrap draws [draws] (Efron 1979).

    Undefined where all draws are equal: samples without one mistake, or a constant prediction, show
    no spread to resample, and an interval of width 0 would claim certainty.
    """
    if not isfinite(value) or not len(draws) or draws.min() == draws.max():
        return undefined(name, value, n, level)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return MetricEstimate(
        name=name,
        value=value,
        n=n,
        low=float(low),
        high=float(high),
        level=level,
        method="bootstrap",
    )


def bootstrap(
    values: Mapping[str, float],
    scores: Callable[[Ints], Mapping[str, Floats]],
    counts: Ints,
    level: float,
    draws: int,
) -> list[MetricEstimate]:
    """Metrics with percentile intervals of resamples of their samples (Efron 1979).

    Args:
        values: the metrics of the samples themselves, by name.
        scores: the metrics [draws] where each cell counts so often, int64 [draws, cells]; what is
            not finite is left out.
        counts: samples of each cell, int64 [cells]; the samples of a cell are alike.
        draws: how many resamples; with 0 there is no interval.
    """
    drawn = {name: [np.empty(0)] for name in values}
    for weights in resamples(counts, draws):
        for name, found in scores(weights).items():
            drawn[name].append(found[np.isfinite(found)])
    n = int(counts.sum())
    return [
        percentile(name, value, n, np.concatenate(drawn[name]), level)
        for name, value in values.items()
    ]


@dataclass(frozen=True)
class SampleStatistics:
    """The numbers that one metric is computed from, a row a sample; samples of equal rows are alike
    to it.

    `ids`, int64 [n], are sorted; `rows` is [n, columns]. `score` takes rows [m, columns] and how
    often each counts, int64 [draws, m]; it returns the metric, float64 [draws], nan where it is
    undefined. Of a metric that is a mean, the only column has the numbers whose mean it is.
    """

    ids: Ints
    rows: npt.NDArray[Any]
    score: Callable[[npt.NDArray[Any], Ints], Floats]

    @classmethod
    def of_mean(cls, ids: Ints, values: npt.NDArray[Any]) -> "SampleStatistics":
        """Return the statistics of a metric that is the mean of one number a sample, [n]."""
        return cls(ids, values.astype(np.float64)[:, None], _mean)


def _mean(rows: npt.NDArray[Any], weights: Ints) -> Floats:
    mean: Floats = (weights * rows[:, 0]).sum(-1) / weights.sum(-1)
    return mean


def paired_bootstrap(
    first: SampleStatistics,
    second: SampleStatistics,
    difference: Callable[[Floats, Floats], Floats],
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Floats:
    """Differences of a metric between two ways of computing the same samples (Efron & Tibshirani
    1993, chapter 16), over resamples of the samples; each draw is the same for both.

    Draws where either is undefined are left out. Samples alike to both ways are one cell with a
    count. Memory stays below about 400 MiB for up to 4 million samples of a few columns.

    Args:
        difference: of the two metrics, float64 [draws] each.
    """
    rows = np.concatenate([first.rows, second.rows], axis=1)
    if rows.dtype.kind == "f":  # hardly any two are alike
        cells, counts = rows, np.ones(len(rows), np.int64)
    else:
        cells, counts = np.unique(rows, axis=0, return_counts=True)
    width = first.rows.shape[1]
    found = [np.empty(0)]
    for weights in resamples(counts, draws, seed):
        ours = first.score(cells[:, :width], weights)
        found.append(difference(ours, second.score(cells[:, width:], weights)))
    values = np.concatenate(found)
    return values[np.isfinite(values)]


def resamples(counts: Ints, draws: int = DRAWS, seed: int = SEED) -> Iterator[Ints]:
    """Multinomial resamples of counts [cells]: blocks int64 [block, cells], `draws` rows in all.

    To resample n samples with replacement is to draw Multinomial(n, counts / n). Memory stays below
    about 100 MiB for up to 4 million cells.
    """
    rng = np.random.default_rng(seed)
    n, cells = int(counts.sum()), len(counts)
    if n == 0:
        return
    block = max(1, _BLOCK // cells)
    # Take the cheaper: numpy's multinomial costs 45 ns a cell, drawing samples 4 ns a sample.
    by_sample = 10 * cells > n
    owner = np.repeat(np.arange(cells), counts) if by_sample else None
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        if owner is None:
            yield rng.multinomial(n, counts / n, size=rows)
        else:
            weights = np.empty((rows, cells), np.int64)
            for row in weights:
                row[:] = np.bincount(owner[rng.integers(n, size=n)], minlength=cells)
            yield weights


def _z(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)
