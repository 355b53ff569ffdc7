"""How a measured number is written: in tables of the terminal, in reports, on cards.

Metrics have four decimals, times and ratios four significant digits; the ends of an interval stand
behind. What nobody measured is "-" in a table of the terminal, and "not measured" elsewhere.
"""

import math
import unicodedata
from collections.abc import Mapping
from typing import Any, Protocol

NOTHING = "-"
NOT_MEASURED = "not measured"
BYTES = {"GB": 1e9, "MB": 1e6, "kB": 1e3, "GiB": 2.0**30, "MiB": 2.0**20}
SCALES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k"))
"""From where on a tick is written with which letter; k from 10,000 on."""
PLAIN = (1e-4, 1e12)
"""Between them numbers are written without an exponent."""


class HasInterval(Protocol):
    """A number with an interval, such as `zoo.measure.Estimate` and
    `bench.record.results.Value`."""

    @property
    def value(self) -> float: ...

    @property
    def interval(self) -> Any:
        """The interval's `low` and `high`, as a mapping or as attributes; None if it is unknown."""


def interval(low: float, high: float, form: str = ".4f") -> str:
    """Return an interval as "0.8100 to 0.9034"; a dash if it is undefined."""
    return NOTHING if math.isnan(low) else f"{low:{form}} to {high:{form}}"


def seconds(estimate: HasInterval | None, bare: bool = False) -> str:
    """Return a duration with its interval, in ms below a second: "14.41 ms [9.39, 22.13]"; `bare`
    omits the interval."""
    if estimate is None:
        return NOTHING
    scale, unit = (1.0, " s") if estimate.value >= 1 else (1e3, " ms")
    return _in_brackets(estimate, scale, unit, bare)


def ratio(estimate: HasInterval) -> str:
    """Return a number without a unit and its interval: "1.831 [1.254, 2.702]"."""
    return _in_brackets(estimate, 1.0, "", False)


def _in_brackets(estimate: HasInterval, scale: float, unit: str, bare: bool) -> str:
    text = f"{scale * estimate.value:.4g}{unit}"
    if bare or estimate.interval is None:
        return text
    ends = estimate.interval if isinstance(estimate.interval, Mapping) else vars(estimate.interval)
    return f"{text} [{scale * ends['low']:.4g}, {scale * ends['high']:.4g}]"


def duration(seconds: float) -> str:
    """Return a span of time as people say it: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def milliseconds(value: float | None, decimals: int = 2) -> str:
    """Return a duration in seconds as "14.41 ms"."""
    return NOTHING if value is None else f"{1e3 * value:.{decimals}f} ms"


def size(count: float | None, unit: str | None = None, decimals: int = 1) -> str:
    """Return bytes as "1,234.5 MB": in a unit of `BYTES`, or for None in GB, MB, kB or bytes,
    whichever fits."""
    if count is None:
        return NOTHING
    if unit is None:
        unit = next((each for each in ("GB", "MB", "kB") if count >= BYTES[each]), None)
    return f"{count} bytes" if unit is None else f"{count / BYTES[unit]:,.{decimals}f} {unit}"


def short(value: float) -> str:
    """Return a number in short form: 1234.5678 as 1235, 12345.6 as 12,346, and an integer in
    full."""
    if isinstance(value, int) or abs(value) >= 1e4:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def significant(value: float, digits: int = 4) -> str:
    """Return a number with `digits` significant digits: 1234.5678 as 1,235; 0.0123456 as 0.01235;
    1.2345e-7 as 1.234e-07 (with four)."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    if not PLAIN[0] <= abs(value) < PLAIN[1]:
        return f"{value:.{digits - 1}e}"
    rounded = float(f"{value:.{digits - 1}e}")
    places = digits - 1 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:,.{max(0, places)}f}"


def tick(value: float) -> str:
    """Return a short label for an axis tick: 0.5, 20, 1,000, 50k, 2M."""
    for least, letter in SCALES:
        if abs(value) >= least:
            return f"{value / min(least, 1e3 if letter == 'k' else least):g}{letter}"
    return f"{value:,g}"


def decimals_of(width: float) -> int:
    """Return the number of decimals that shows an interval of this width to two significant
    digits."""
    return min(6, max(0, 1 - math.floor(math.log10(width)))) if width > 0 else 4


def fixed(value: float, decimals: int, sign: str = "") -> str:
    """Return a number with a fixed number of decimals: 1234.5 as 1,234.50 (with two). A result of 0
    has no minus.

    Args:
        sign: "+" where positive numbers have one.
    """
    text = f"{value:{sign},.{decimals}f}"
    return text.replace("-", "") if not any(digit in text for digit in "123456789") else text


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes: a Chinese character takes two, and what
    is written above or below the character before it none."""
    return sum(
        0
        if unicodedata.category(each) in ("Mn", "Me", "Cf")
        else 2
        if unicodedata.east_asian_width(each) in "WF"
        else 1
        for each in text
    )
