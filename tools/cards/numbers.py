"""How a measured number reads on a card, and the comment that names its fact."""

import math
import re

from bench.record.markdown import safe
from zoo.machine.formatting import NOT_MEASURED, decimals_of, fixed
from zoo.store.evidence import Fact

MARK = re.compile(r"<!-- e:([0-9a-f]{16}) -->")
REASONS = {
    "wrong": "wrong",
    "oom": "out of memory",
    "unavailable": "not available",
    "ok": NOT_MEASURED,
}
SCALES = {  # unit of the evidence: (least value, factor, unit that is shown), the largest first
    "s": ((1.0, 1.0, " s"), (1e-3, 1e3, " ms"), (0.0, 1e6, " µs")),
    "bytes": ((1e9, 1e-9, " GB"), (1e6, 1e-6, " MB"), (0.0, 1e-3, " kB")),
}


def reference(fact: Fact) -> str:
    """A fact's id as cards write it: one that is all digits would be a number to YAML."""
    return f"e:{fact.id}"


def mark(fact: Fact) -> str:
    """The comment behind a number: readers of the page do not see it."""
    return f"<!-- {reference(fact)} -->"


def format_fact(fact: Fact | None, *, interval: bool = True, unit: str | None = None) -> str:
    """A fact as a card says it: the number, rounded to what its interval lets one tell, the
    interval, and the comment with its id. A fact without a number says why.

    Args:
        unit: what to write behind the number instead of the evidence's unit.
    """
    if fact is None:
        return NOT_MEASURED
    return text(fact, interval=interval, unit=unit) + mark(fact)


def text(fact: Fact, *, interval: bool = True, unit: str | None = None) -> str:
    """Return a fact as a card says it, without the comment that names it: the number, rounded to
    what its interval lets one tell, and the interval. A fact without a number says why."""
    if fact.value is None or fact.status != "ok":
        return REASONS[fact.status]
    factor, suffix = _scale(fact)
    if unit is not None:
        suffix = unit
    value = fact.value * factor
    sign = "+" if fact.name.endswith("_drop") else ""
    if fact.interval is None:
        return _plain(value, fact, sign) + suffix
    low, high = fact.interval["low"] * factor, fact.interval["high"] * factor
    decimals = decimals_of(high - low)
    said = fixed(value, decimals, sign) + suffix
    if interval:
        said += f" ({fixed(low, decimals, sign)} to {fixed(high, decimals, sign)})"
    return said


def _scale(fact: Fact) -> tuple[float, str]:
    if fact.name.startswith("speedup"):
        return 1.0, "×"
    if fact.unit == "1":
        return 1.0, ""
    for least, factor, suffix in SCALES.get(fact.unit, ()):
        if abs(fact.value or 0) >= least:
            return factor, suffix
    return 1.0, f" {safe(fact.unit)}"


def _plain(value: float, fact: Fact, sign: str) -> str:
    """A number without an interval: a count as it is, anything else to three digits."""
    if isinstance(fact.value, int) and fact.unit == "1":
        return f"{fact.value:,}"
    if value == 0 or not 1e-4 <= abs(value) < 1e15:
        return f"{value:{sign}.3g}"
    return fixed(value, max(0, 2 - math.floor(math.log10(abs(value)))), sign)
