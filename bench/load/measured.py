"""What was measured of one service over its rounds, and how that is summed up."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.load.arms import LoadArm
from bench.load.knee import Knee
from bench.load.process_tree import MemorySeen
from bench.load.step import Step
from zoo.measure.intervals import Estimate, Interval, estimate

LEVEL = 0.95


@dataclass
class Round:
    """A launch of a service, and the steps that were made with it."""

    number: int
    steps: list[Step] = field(default_factory=list)
    knee: Knee | None = None
    """where the highest rate was looked for"""
    start_s: float | None = None
    """seconds from its start until it had answered once"""
    memory: MemorySeen = field(default_factory=MemorySeen)
    seconds: float = 0.0
    """that it took, the start and the end of the service included"""

    def as_json(self) -> dict[str, Any]:
        """Return the raw numbers as JSON-ready data."""
        return {
            "round": self.number,
            "start_s": self.start_s,
            "memory": vars(self.memory),
            "is_bracketed": None if self.knee is None else self.knee.is_bracketed,
            "steps": [step.as_json() for step in self.steps],
        }


@dataclass
class ArmLoad:
    """A service and all its rounds."""

    arm: LoadArm
    rounds: list[Round] = field(default_factory=list)
    fault: str = ""
    """why there is no number, or why there are no more rounds"""
    is_wrong: bool = False
    """whether its answers are others than those of the first service"""

    def tops(self) -> dict[int, Step]:
        """Return the step with the highest rate that was kept, by round."""
        found = {}
        for one in self.rounds:
            kept = [step for step in one.steps if step.is_kept and step.rate is not None]
            if kept:
                found[one.number] = max(kept, key=lambda step: step.rate or 0.0)
        return found

    def searches(self) -> dict[int, Knee]:
        """Return what was found where the highest rate was looked for, by round."""
        return {one.number: one.knee for one in self.rounds if one.knee is not None}

    def without_rate(self) -> int:
        """Return how many searches came to their end, and no rate was kept."""
        tops = self.tops()
        return sum(
            found.is_complete and number not in tops for number, found in self.searches().items()
        )

    def too_short(self) -> int:
        """Return how many searches kept a rate, and ended before the highest was known as exactly
        as was asked: it may be higher."""
        tops = self.tops()
        return sum(
            number in tops and not found.is_bracketed for number, found in self.searches().items()
        )

    def capacity(self) -> Estimate | None:
        """Return the highest rate that was kept in requests a second; None where none was, its
        answers are wrong, or a whole search kept none: the mean of the others would say too
        much."""
        tops = self.tops()
        if not tops or self.is_wrong or self.without_rate():
            return None
        rates = [step.rate or 0.0 for step in tops.values()]
        return over_rounds(rates, sum(step.requests for step in tops.values()))

    def steps(self) -> list[Step]:
        """Return the steps of all rounds."""
        return [step for one in self.rounds for step in one.steps]

    def told(self) -> list[Step]:
        """Return the steps that latency and costs are told of: of each round that with the highest
        rate that was kept; where none was, all if they had the same load, and else none."""
        steps = self.steps()
        is_one_load = len({(step.rate, step.clients) for step in steps}) == 1
        return list(self.tops().values()) or (steps if is_one_load else [])

    def at(self, rate: float | None) -> list[Step]:
        """Return the steps at one rate (None: of a closed loop), of all rounds."""
        return [step for step in self.steps() if step.rate == rate]

    def peak_memory(self) -> int | None:
        """Return the largest PSS in bytes; None where it can't be read."""
        return max((one.memory.peak for one in self.rounds if one.memory.peak), default=None)


def over_rounds(values: Sequence[float], n: int) -> Estimate | None:
    """Return the geometric mean of one number a round, with Student's t over the rounds; the
    interval of a single round is not known: it is the number itself, and its method says so. None
    where there is no number, or a zero among them.

    Args:
        n: count of requests to record.
    """
    if not values or min(values) <= 0:
        return None
    if len(values) == 1:
        return Estimate(values[0], Interval(values[0], values[0], LEVEL, "one round: unknown"), n)
    return estimate([[math.log(value)] for value in values], n, LEVEL, resamples=0)


def times_as_many(base: ArmLoad, other: ArmLoad) -> Estimate | None:
    """Return how many times as many requests one service holds as another, by the rounds that both
    have; None where there is none, or one of the two has no capacity."""
    ours, theirs = base.tops(), other.tops()
    shared = sorted(ours.keys() & theirs.keys())
    if base.capacity() is None or other.capacity() is None:
        return None
    ratios = [(theirs[each].rate or 0.0) / (ours[each].rate or math.inf) for each in shared]
    return over_rounds(ratios, len(shared))
