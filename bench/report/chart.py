"""A chart as data: what `svg` draws for the page and `pictures` for files."""

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LOG_FROM = 8.0
"""A spread (largest over smallest) from which on an axis is logarithmic."""
FAR_FROM_ZERO = 0.3
"""Smallest over largest number from which an axis from 0 would waste its beginning."""
FARTHEST = 3.0
"""An interval is drawn to the edge of a chart where it goes on beyond so many times its value."""


@dataclass(frozen=True)
class Axis:
    """The horizontal or the vertical axis of a chart."""

    title: str
    log: bool = False
    """else it begins at 0, or below the smallest number"""
    from_zero: bool = True
    """whether it begins at 0, where it is not logarithmic"""
    marks: tuple[float, ...] = ()
    """the only places to have ticks at, where something was measured at few; else they are round
    numbers"""


@dataclass(frozen=True)
class ChartPoint:
    """A number that was measured, with the ends of its intervals."""

    x: float
    y: float
    row: str
    """name of the row it is of: its command reproduces it"""
    says: tuple[str, ...]
    """lines for who asks what it is"""
    x_ends: tuple[float, float] | None = None
    y_ends: tuple[float, float] | None = None
    is_hollow: bool = False
    """less important than others"""


@dataclass(frozen=True)
class Series:
    """The points of one deployment."""

    name: str
    points: tuple[ChartPoint, ...]
    line: tuple[tuple[float, float], ...] = ()
    """x, y; drawn under the points"""
    is_dashed: bool = False


@dataclass(frozen=True)
class Guide:
    """A line that was not measured point by point: a front, a ceiling."""

    line: tuple[tuple[float, float], ...]
    label: str = ""
    """written at its end"""
    rows: tuple[str, ...] = ()
    """names of the rows it goes through"""


@dataclass(frozen=True)
class Chart:
    """A chart: series in two axes."""

    name: str
    """letters, digits and dashes: of its file"""
    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    guides: tuple[Guide, ...] = ()

    def xs(self) -> list[float]:
        """Return all horizontal values that have to fit into the chart: points, ends of intervals,
        lines."""
        ends = [end for point in self.points() for end in _reach(point.x, point.x_ends)]
        return [*(point.x for point in self.points()), *ends, *(x for x, _ in self._lines())]

    def ys(self) -> list[float]:
        """Return all vertical values that have to fit into the chart: points, ends of intervals,
        lines."""
        ends = [end for point in self.points() for end in _reach(point.y, point.y_ends)]
        return [*(point.y for point in self.points()), *ends, *(y for _, y in self._lines())]

    def points(self) -> list[ChartPoint]:
        """Return the points of all series."""
        return [point for series in self.series for point in series.points]

    def _lines(self) -> list[tuple[float, float]]:
        lines = [*(series.line for series in self.series), *(guide.line for guide in self.guides)]
        return [place for line in lines for place in line]


def _reach(value: float, ends: tuple[float, float] | None) -> tuple[float, ...]:
    """Return the part of an interval that an axis shows: a very wide one would leave no room for
    the rest."""
    if ends is None:
        return ()
    return max(ends[0], value / FARTHEST), min(ends[1], value * FARTHEST)


@dataclass(frozen=True)
class Group:
    """Charts of one workload, which share a legend."""

    title: str
    charts: tuple[Chart, ...]
    absent: tuple[str, ...] = ()
    """what can't be drawn, and why"""

    def names(self) -> list[str]:
        """Return the names of the series of all charts, each once."""
        return list(dict.fromkeys(series.name for chart in self.charts for series in chart.series))


@dataclass(frozen=True)
class Section:
    """A part of the page that answers one question, with its charts."""

    name: str
    title: str
    text: str
    """how to read it"""
    groups: tuple[Group, ...]
    nothing: str
    """what to say where there is no group"""


def missing(absent: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return what can't be drawn: the names of each reason together.

    Args:
        absent: name and reason of each.
    """
    by_reason: dict[str, list[str]] = {}
    for name, reason in absent:
        by_reason.setdefault(reason, []).append(name)
    return tuple(
        f"{', '.join(dict.fromkeys(names))} ({reason})" for reason, names in by_reason.items()
    )


def spans_decades(values: Iterable[float]) -> bool:
    """Return whether numbers are better seen on a logarithmic axis."""
    known = [value for value in values if value > 0]
    return bool(known) and max(known) / min(known) >= LOG_FROM


def slug(*words: str) -> str:
    """Return words as a part of a file's name: letters, digits and dashes."""
    text = "-".join(words).lower()
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in text)
    return "-".join(part for part in kept.split("-") if part)


@dataclass(frozen=True)
class Scale:
    """A map from numbers to places on a page."""

    low: float
    high: float
    log: bool
    begin: float
    end: float

    @classmethod
    def fit(cls, values: Sequence[float], axis: Axis, begin: float, end: float) -> "Scale":
        """Return a scale that holds all values, with some room at the ends. Logarithmic axes leave
        out what is not above 0; an axis that need not begin at 0 does where that costs little."""
        if axis.log:
            logs = [math.log(value) for value in values if value > 0] or [0.0]
            room = 0.07 * (max(logs) - min(logs)) or 0.5
            low = max(math.exp(min(logs) - room), sys.float_info.min)  # not rounded to 0
            return cls(low, math.exp(max(logs) + room), True, begin, end)
        if not axis.from_zero and values and min(values) > FAR_FROM_ZERO * max(values):
            room = 0.1 * (max(values) - min(values)) or 0.05 * max(values)
            return cls(min(values) - room, max(values) + room, False, begin, end)
        return cls(0.0, 1.1 * max(values, default=1.0) or 1.0, False, begin, end)

    def __call__(self, value: float) -> float:
        """Return the place of a number; a number outside the scale has the place of the nearest
        end."""
        value = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    def ticks(self, most: int = 6) -> list[float]:
        """Round numbers between the ends, at most so many."""
        if not self.log:
            return self._even(most)
        exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for digits in ((1, 2, 5), (1, 3), (1,)):
            found = [d * 10.0**k for k in exponents for d in digits]
            found = [value for value in found if self.low <= value <= self.high]
            if len(found) <= most:
                return found if len(found) > 1 else self._even(most)
        return found[:: math.ceil(len(found) / most)]

    def _even(self, most: int) -> list[float]:
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
        first = math.ceil(self.low / step)
        return [
            float(f"{step * k:.10g}") for k in range(first, math.floor(self.high / step + 1e-9) + 1)
        ]
