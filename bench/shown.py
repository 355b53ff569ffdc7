"""Numbers as tables show them: four digits, and the ends of the interval in brackets."""

from bench.results import Value
from zoo.measure.intervals import Estimate

NOTHING = "-"


def seconds(found: Value | Estimate | None, bare: bool = False) -> str:
    """In ms below a second: "14.41 ms [9.39, 22.13]"; bare is without the interval."""
    if found is None:
        return NOTHING
    value = Value.of(found, "s") if isinstance(found, Estimate) else found
    scale, unit = (1.0, "s") if value.value >= 1 else (1e3, "ms")
    text = f"{scale * value.value:.4g} {unit}"
    if bare or value.interval is None:
        return text
    low, high = (scale * value.interval[name] for name in ("low", "high"))
    return f"{text} [{low:.4g}, {high:.4g}]"


def ratio(found: Estimate) -> str:
    """A number without a unit: "1.831 [1.254, 2.702]"."""
    return f"{found.value:.4g} [{found.interval.low:.4g}, {found.interval.high:.4g}]"
