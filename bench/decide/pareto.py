"""The Pareto front of options: who is not beaten by another one in everything.

Latencies are compared by their intervals, and by those of how many times as fast as eager an option
was in the same rounds, which what slowed a whole round does not widen. Two that overlap in both are
a tie, and a tie beats nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.decide.token_times import TokenTime, TokenTimes
from zoo.machine.formatting import milliseconds, size
from zoo.measure import Estimate


@dataclass(frozen=True)
class OptionCost:
    """The costs of an option: less is better in each."""

    name: str
    drop: float
    """of the task's metric, against eager fp32"""
    seconds: Estimate
    """of a call"""
    p95: float | None
    """seconds"""
    memory: float | None
    """bytes at most above the libraries'; None: not measured"""
    size: float
    """bytes on disk"""
    speedup: Estimate | None = None
    """times as fast as eager, in rounds of both; None of eager itself"""
    tokens: TokenTimes | None = None
    """of the texts that it writes; None: not measured"""


@dataclass(frozen=True)
class Limits:
    """The limits that a winner has to keep; None: no limit."""

    p95_s: float | None = None
    max_drop: float | None = None
    memory: float | None = None
    ttft_s: float | None = None
    """to the first token, that 95 of 100 texts keep"""
    tpot_s: float | None = None
    """per further token, that 95 of 100 texts keep"""

    def broken_by(self, point: OptionCost) -> str:
        """Why an option is out of question; empty where it is not."""
        if self.max_drop is not None and point.drop > self.max_drop:
            return f"loses {point.drop:+.4f}"
        if self.p95_s is not None and point.p95 is None:
            return "too few samples for a p95"
        if self.p95_s is not None and point.p95 is not None and point.p95 > self.p95_s:
            return f"p95 of {milliseconds(point.p95, 1)}"
        if self.memory is not None and point.memory is None:
            return "its memory is not measured"
        if self.memory is not None and point.memory is not None and point.memory > self.memory:
            return f"takes {size(point.memory, 'MB', 0)}"
        ttft, tpot = (point.tokens.ttft, point.tokens.tpot) if point.tokens else (None, None)
        limited = (("TTFT", self.ttft_s, ttft), ("TPOT", self.tpot_s, tpot))
        return next(filter(None, (_late(*each) for each in limited)), "")


def _late(name: str, limit: float | None, measured: TokenTime | None) -> str:
    """Return why 95 of 100 texts do not keep a limit in seconds; empty where they do, or where
    there is none."""
    if limit is None:
        return ""
    if measured is None:
        return f"its {name} is not measured"
    if measured.p95 is None:
        return f"too few texts ({measured.median.n}) for a p95 of {name}"
    if measured.p95.value > limit:
        return f"p95 of {name} {milliseconds(measured.p95.value)}"
    return ""


def surely_faster(one: OptionCost, other: OptionCost) -> bool:
    """Return whether the whole interval of one option's latency lies below that of the other, or
    that of its speedup above."""
    if one.seconds.interval.high < other.seconds.interval.low:
        return True
    if one.speedup is None or other.speedup is None:
        return False
    return one.speedup.interval.low > other.speedup.interval.high


def tied(one: OptionCost, other: OptionCost) -> bool:
    """Return whether the latencies of two options can't be told apart."""
    return not surely_faster(one, other) and not surely_faster(other, one)


def beats(one: OptionCost, other: OptionCost) -> bool:
    """Return whether one option is better in something and worse in nothing."""
    if surely_faster(other, one) or one.drop > other.drop or one.size > other.size:
        return False
    known = one.memory is not None and other.memory is not None
    if known and one.memory > other.memory:  # type: ignore[operator]
        return False
    return (
        surely_faster(one, other)
        or one.drop < other.drop
        or one.size < other.size
        or (known and one.memory < other.memory)  # type: ignore[operator]
    )


def front(points: Sequence[OptionCost]) -> list[OptionCost]:
    """Return the options that none beats, the fastest first."""
    left = [one for one in points if not any(beats(other, one) for other in points)]
    return sorted(left, key=lambda point: point.seconds.value)


def winner(points: Sequence[OptionCost], limits: Limits) -> OptionCost | None:
    """The fastest within the limits; among those tied with it, the one that loses least, and of
    these the smallest."""
    allowed = [point for point in points if not limits.broken_by(point)]
    if not allowed:
        return None
    fastest = min(allowed, key=lambda point: point.seconds.value)
    alike = [point for point in allowed if tied(point, fastest)]
    return min(alike, key=lambda point: (point.drop, point.size))
