"""After how many calls a deployment that starts later than another one is ahead of it.

Both have answered n calls after `start + (n - 1) * call` seconds, where `start` is import, load and
first call. The two lines meet at n = 1 + (later start) / (seconds saved a call).
"""

import math
from dataclasses import dataclass
from typing import Literal

from bench.record.results import Value
from bench.report.data import bounds

Word = Literal["at once", "after", "until", "never", "can't tell"]


@dataclass(frozen=True)
class BreakEven:
    """The number of calls after which a deployment has paid off against the baseline."""

    word: Word
    """until: it is ahead at first, and then the baseline is"""
    calls: float | None = None
    """where the two lines meet"""
    low: float | None = None
    high: float | None = None
    """by the intervals of the times of a call; a start has none"""

    def __str__(self) -> str:
        return self.word if self.calls is None else f"{self.word} {math.ceil(self.calls):,} calls"

    def interval(self) -> str:
        """Return the interval of the number of calls in words; empty where there is none."""
        if self.low is None or self.high is None:
            return ""
        return f"{math.ceil(self.low):,} to {math.ceil(self.high):,}"


def break_even(start: float, call: Value, base_start: float, base_call: Value) -> BreakEven:
    """Return after how many calls a deployment is ahead of a baseline.

    Where the intervals of the two calls overlap, there is no telling when it has paid off.

    Args:
        start, base_start: seconds until the first answer.
        call, base_call: seconds of a call behind it, with their intervals.
    """
    later = start - base_start
    low, high = bounds(call)
    base_low, base_high = bounds(base_call)
    faster, slower = high < base_low, low > base_high
    if later <= 0 and not slower:
        return BreakEven("at once")
    if later > 0 and not faster:
        return BreakEven("never" if slower else "can't tell")
    if call.value == base_call.value:  # a median may lie outside its bootstrap interval
        return BreakEven("can't tell")
    nearest, farthest = sorted((abs(base_high - low), abs(base_low - high)), reverse=True)
    meet = abs(later) / abs(base_call.value - call.value)
    return BreakEven(
        "after" if faster else "until",
        1 + meet,
        1 + abs(later) / nearest,
        1 + abs(later) / farthest,
    )
