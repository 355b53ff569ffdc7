"""What may be said of a ratio: faster, slower, same, can't tell.

The procedure, and why false claims stay below one in a hundred:

1. The interval of the ratio (99%, `zoo.measure.intervals`) leaves out 1. Between identical arms
   that happens in at most 1% of comparisons, as t over the launches holds its level.
2. The ratio is further from 1 than identical arms were seen to be (`Floor.claim`, 99%): the same
   arm ran in two processes a launch. This guards against launches that agreed by chance, which is
   how 1 fails, and which stopping as soon as the interval is narrow makes likelier. It is found
   from other processes than 1, so that both rarely fail together.

Otherwise the arms are the same where the whole interval lies within the margin: two one-sided
tests by inclusion of the interval (Schuirmann 1987), each at 0.5%. If that fails too, it cannot be
told yet, and how long it would take is reckoned from the scatter of the launches.

The noise floor that is reported (`floor_of_comparison`) is larger than the least claim, as a
difference just as large as that is found every second time only: it is what is found in 95 of 100
comparisons, by the larger scatter of the two, A/A or candidate over baseline.

Simulated (launch-level noise, normal and Student's t with 3 degrees of freedom, standard deviations
from 0.1% to 5% a launch, launches added until the interval is narrow): 1 alone fails in up to 1.2%
of A/A comparisons, 1 and 2 in at most 0.4%; a floor from an earlier, quieter time protects as much
as 1 alone.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from tasks.metrics.intervals import t_quantile
from zoo.measure.intervals import LEVEL, Estimate

POWER = 0.95
MARGIN = 0.03
MOST_LAUNCHES = 200  # what would take more, no one waits for

Word = Literal["faster", "slower", "same", "can't tell"]


@dataclass(frozen=True)
class Floor:
    """How far apart identical arms are (A/A), from the same arm in two processes per launch."""

    spread: float
    """root of the mean square of the launches' logarithmic ratios, whose true mean is 0"""
    launches: int
    """that it was found from: its degrees of freedom"""
    level: float = LEVEL

    def claim(self, launches: int) -> float:
        """Return the least difference, as a share, that a comparison of `launches` launches may
        claim.

        Identical arms differ by more in 1 - level of comparisons.
        """
        return math.expm1(t_quantile(self.launches, self.level) * self.spread / math.sqrt(launches))

    def found(self, launches: int) -> float:
        """Return the noise floor: a difference of this share is found in 95 of 100 comparisons."""
        return _found(self.spread, min(self.launches, launches - 1), launches, self.level)

    def as_json(self) -> dict[str, Any]:
        """Return the fields, and the noise floor of a comparison of as many launches."""
        own = {"spread": self.spread, "launches": self.launches, "level": self.level}
        return own | {"floor": self.found(self.launches) if self.launches > 1 else None}


def floor_of(centers: Sequence[float], level: float = LEVEL) -> Floor:
    """Return the floor from logarithms of the ratio of an arm to itself, one per launch."""
    if not centers:
        raise ValueError("a noise floor needs at least one launch of two processes")
    square = sum(center * center for center in centers) / len(centers)
    return Floor(math.sqrt(square), len(centers), level)


@dataclass(frozen=True)
class Verdict:
    """What can be concluded about a candidate against the baseline."""

    word: Word
    why: str
    """half a sentence"""
    more_seconds: float | None = None
    """of can't tell: how long it would take, if the noise stays; None: no one would wait"""


def judge(
    ratio: Estimate,
    launches: int,
    floor: Floor | None,
    seconds: float,
    margin: float = MARGIN,
) -> Verdict:
    """Return the verdict on a candidate.

    Args:
        ratio: time of the baseline over time of the candidate: above 1 the candidate is faster.
        launches: the number of launches that `ratio` was computed from.
        floor: noise floor of identical arms; without one no difference is claimed, only "same".
        seconds: the time that the comparison has taken so far.
        margin: arms that differ by less than this share are treated as the same.
    """
    center = math.log(ratio.value)
    low, high = math.log(ratio.interval.low), math.log(ratio.interval.high)
    edge = math.log1p(margin)
    shown = f"[{ratio.interval.low:.3f}, {ratio.interval.high:.3f}]"
    if launches < 2:
        return Verdict("can't tell", "one launch says nothing of the next", seconds)
    least = math.inf if floor is None else floor.claim(launches)
    if (low > 0 or high < 0) and math.expm1(abs(center)) >= least:
        word: Word = "faster" if center > 0 else "slower"
        return Verdict(word, f"the interval {shown} leaves out 1; A/A stays below {least:.1%}")
    if -edge < low and high < edge:
        return Verdict("same", f"the interval {shown} lies within {margin:.1%} of 1")
    if not (low > 0 or high < 0):
        why = f"the interval {shown} holds 1 and leaves the margin of {margin:.1%}"
    elif floor is None:
        why = "no noise floor was measured"
    else:
        why = f"the same arm twice differs by up to {least:.1%} as well"
    needed = _launches_needed(ratio, edge, launches, floor)
    more = None if needed is None else (needed - launches) * seconds / launches
    return Verdict("can't tell", why, more)


def floor_of_comparison(ratio: Estimate, launches: int, floor: Floor) -> float:
    """Return the noise floor of a comparison, a share that is found in 95 of 100 comparisons.

    It is that of identical arms, or more if this ratio scatters more: a candidate may be noisier
    than the baseline, and the machine than it was when the floor was measured.
    """
    own = _found(_spread(ratio, launches), launches - 1, launches, ratio.interval.level)
    return max(floor.found(launches), own)


def _found(spread: float, freedom: int, launches: int, level: float) -> float:
    """Return the difference, a share, that a t test over launches finds in 95 of 100
    comparisons."""
    reach = _standard_errors(freedom, level) * spread / math.sqrt(launches) if spread else 0.0
    return math.expm1(min(reach, 700.0))


def _spread(ratio: Estimate, launches: int) -> float:
    """Return the standard deviation of the launches' logarithms, computed from their t interval."""
    low, high = math.log(ratio.interval.low), math.log(ratio.interval.high)
    center, quantile = math.log(ratio.value), t_quantile(launches - 1, ratio.interval.level)
    return max(high - center, center - low) * math.sqrt(launches) / quantile


def _launches_needed(
    ratio: Estimate, edge: float, launches: int, floor: Floor | None
) -> int | None:
    """Return how many launches would give a verdict if the center stayed; None if too many."""
    center, level, spread = math.log(ratio.value), ratio.interval.level, _spread(ratio, launches)

    def claimable(floor: Floor, count: int) -> bool:
        if floor.launches == launches:  # it was found by the way, and grows with the comparison
            floor = dataclasses.replace(floor, launches=count)
        return math.log1p(floor.claim(count)) <= abs(center)

    for count in range(launches + 1, MOST_LAUNCHES + 1):
        reach = t_quantile(count - 1, level) * spread / math.sqrt(count)
        same = abs(center) + reach < edge
        if same or (reach < abs(center) and floor is not None and claimable(floor, count)):
            return count
    return None


@cache
def _standard_errors(freedom: int, level: float) -> float:
    """Return how many standard errors from 0 a mean must be for a t test to find it with POWER."""
    from scipy import special

    if freedom < 1:
        return math.inf
    critical = t_quantile(freedom, level)
    return float(special.nctdtrinc(freedom, 1 - POWER, critical))
