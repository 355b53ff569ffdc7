"""Intervals of what was measured in several launches, each of many rounds.

A process keeps what chance gave it at its start: addresses, the order of its threads, the kernel it
compiled. So samples of one launch are no independent samples of the arm (Kalibera and Jones 2013,
"Rigorous Benchmarking in Reasonable Time"), and launches are few. A bootstrap of few clusters is
much too narrow (Cameron, Gelbach and Miller 2008); Student's t over one number a launch holds its
level with as few as two, also where launches scatter unequally (Ibragimov and Mueller 2010, "t-
Statistic Based Correlation and Heterogeneity Robust Inference"). The interval is therefore the
wider of the two, at either end:

- t over the launches, each one the median of its rounds;
- a hierarchical bootstrap: launches are drawn with replacement, then the rounds of each. Samples
  within a block are not drawn again, as their scatter is in that of the rounds already (Davison and
  Hinkley 1997, section 3.8). It matters where the launches agree by chance.

All is computed on logarithms: a ratio and its inverse then have the same interval, inverted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.metrics.intervals import t_half_width

LEVEL = 0.99
RESAMPLES = 1000

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A confidence interval: its ends, its level, and the method that found it."""

    low: float
    high: float
    level: float
    method: str

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON-ready data, as `zoo.store.evidence.fact` takes them."""
        return {"low": self.low, "high": self.high, "level": self.level, "method": self.method}

    @property
    def halfwidth(self) -> float:
        """Half of the relative width of a positive interval, sqrt(high / low) - 1."""
        return math.sqrt(self.high / self.low) - 1 if self.low > 0 else math.inf


@dataclass(frozen=True)
class Estimate:
    """A number, its interval, and the count of samples it was made from."""

    value: float
    interval: Interval
    n: int

    def as_json(self) -> dict[str, Any]:
        """Return value, interval and n, the keywords of `zoo.store.evidence.fact`."""
        return {"value": self.value, "interval": self.interval.as_json(), "n": self.n}


def estimate(
    launches: Sequence[Sequence[float] | Values],
    n: int,
    level: float = LEVEL,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Return exp of the mean over launches of the median over rounds, with its interval.

    Args:
        launches: logarithms, one a round; launches may have unequal numbers of rounds. For a single
            launch the interval is a bootstrap over its rounds, which ignores differences between
            launches.
        n: count of samples to record in the estimate.
        resamples: number of bootstrap resamples; 0 skips the bootstrap.

    Raises ValueError where a launch has no round.
    """
    rounds = [np.asarray(launch, np.float64) for launch in launches]
    if not rounds or any(launch.size == 0 for launch in rounds):
        raise ValueError("an estimate needs launches, and each of them rounds")
    centers = np.array([np.median(launch) for launch in rounds])
    center = float(centers.mean())
    low = high = center
    if len(rounds) > 1:
        half = t_half_width(centers, level)
        low, high = center - half, center + half
    if resamples or len(rounds) == 1:
        drawn = _bootstrap(rounds, seed, resamples or RESAMPLES)
        tail = (1 - level) / 2
        low = min(low, float(np.quantile(drawn, tail)))
        high = max(high, float(np.quantile(drawn, 1 - tail)))
    said = f"bootstrap of the rounds of {len(rounds)} launch"
    if len(rounds) > 1:
        said = f"t over {len(rounds)} launches"
        if resamples:
            said += ", at least as wide as a bootstrap of launches and rounds"
    return Estimate(
        value=math.exp(center),
        interval=Interval(math.exp(low), math.exp(high), level, said),
        n=n,
    )


def median_error(rounds: Sequence[float] | Values) -> float:
    """Return the standard error of a median, from the median absolute deviation.

    It assumes normal noise; sqrt(pi / 2) and 1.4826 are its factors. Infinite for fewer than 3
    rounds.
    """
    values = np.asarray(rounds, np.float64)
    if values.size < 3:
        return math.inf
    deviation = 1.4826 * float(np.median(np.abs(values - np.median(values))))
    return math.sqrt(math.pi / 2) * deviation / math.sqrt(values.size)


def _bootstrap(rounds: Sequence[Values], seed: int, resamples: int) -> Values:
    """Return the centers of hierarchical resamples [resamples]."""
    rng = np.random.default_rng(seed)
    count = len(rounds)
    # Each drawn launch has its own draw of rounds, also where one launch is drawn twice.
    medians = np.stack(
        [
            np.median(launch[rng.integers(launch.size, size=(resamples, count, launch.size))], -1)
            for launch in rounds
        ]
    )  # [launches, resamples, places]
    chosen = rng.integers(count, size=(resamples, count))
    places = np.arange(count)
    drawn: Values = medians[chosen, np.arange(resamples)[:, None], places].mean(-1)
    return drawn
