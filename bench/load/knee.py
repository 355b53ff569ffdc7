"""The search for the highest rate that a service keeps."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.load.step import Step

FIRST, LATER = 1.5, 1.15
"""Factors between rates until the knee is between two of them: in a first round, and in one that
begins near the result of the one before."""
LOWEST = 0.2
"""Requests a second below which nothing is looked for."""
MOST = 16
"""Steps of a search."""


@dataclass
class Knee:
    """What a search has found."""

    steps: list[Step] = field(default_factory=list)
    """in the order they were made"""
    kept: Step | None = None
    """the highest rate that was kept"""
    broken: Step | None = None
    """the lowest that was not"""
    is_bracketed: bool = False
    """whether the two are as near to each other as was asked"""
    is_complete: bool = False
    """whether the search has ended by itself, and neither by `goes_on` nor by an exception"""


def search(
    measure: Callable[[float], Step],
    start: float,
    resolution: float,
    factor: float = FIRST,
    goes_on: Callable[[], bool] = lambda: True,
    found: Knee | None = None,
) -> Knee:
    """Return the highest rate that is kept: the rate rises (or falls) by a factor, which is squared
    from step to step, until the knee is between two rates; their geometric middle is tried until
    they differ by `resolution` at most.

    Args:
        measure: makes a step at a rate.
        start: the first rate, in requests a second.
        goes_on: asked before each step but the first; False ends the search.
        found: is filled and returned; so it holds the steps of a search that an exception ends.
    """
    found = Knee() if found is None else found
    rate, jump = start, factor
    while rate >= LOWEST and len(found.steps) < MOST:
        if found.steps and not goes_on():
            return found
        step = measure(rate)
        found.steps.append(step)
        if step.is_kept:
            found.kept = step
        else:
            found.broken = step
        low, high = _rate(found.kept), _rate(found.broken)
        if low is not None and high is not None:
            if high <= low * (1 + resolution):
                found.is_bracketed = True
                break
            rate = math.sqrt(low * high)
        else:
            rate = rate * jump if step.is_kept else rate / jump
            jump = min(jump**2, 2.0)
    found.is_complete = True
    return found


def _rate(step: Step | None) -> float | None:
    return None if step is None else step.rate
