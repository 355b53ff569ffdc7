"""What was found of a case: one result a measure, with its numbers and the raw samples."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

from bench.cases.case import Case
from zoo.measure.intervals import Estimate

Status = Literal["ok", "wrong", "oom", "unavailable", "error", "not_measured", "left_out"]
STATUSES: tuple[str, ...] = get_args(Status)


@dataclass(frozen=True)
class Value:
    """A measured number with its unit and interval."""

    value: float
    unit: str  # "s", "bytes", "samples/s", "1"
    n: int = 1
    """how many samples it was made of"""
    interval: Mapping[str, Any] | None = None
    """low, high, level, method; None where it is counted and not sampled"""

    @classmethod
    def of(cls, estimate: Estimate, unit: str) -> Self:
        """Return an estimate as a value with a unit."""
        return cls(estimate.value, unit, estimate.n, estimate.interval.as_json())


@dataclass(frozen=True)
class MeasureResult:
    """The result of one measure: its numbers, or why there are none."""

    values: Mapping[str, Value] = field(default_factory=dict)
    status: Status = "ok"
    reason: str = ""
    """why the status is not ok; or what to know of the numbers"""
    violations: tuple[str, ...] = ()
    """what happened in timed regions that must not"""
    samples: Mapping[str, Any] = field(default_factory=dict)
    """raw, as JSON"""


@dataclass(frozen=True)
class Result:
    """A line of a results file: a measure of a case, and where it was taken."""

    key: str
    """of the case: see `Case.key`"""
    case: Case
    measure: str
    found: MeasureResult
    seconds: float
    """that measuring took"""
    work: Mapping[str, float]
    """what a call handles: samples, and tokens, pixels or seconds, padding not counted"""
    origin: Mapping[str, Any]
    """subject, machine, versions, commit, dirty, source, command, time"""

    def to_json(self) -> dict[str, Any]:
        """Return the result as the mapping that `from_json` reads."""
        own = {"key": self.key, "case": self.case.to_json(), "measure": self.measure}
        found = dataclasses.asdict(self.found)
        return own | found | {"seconds": self.seconds, "work": dict(self.work), **self.origin}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Raises KeyError, TypeError, ValueError, `UserError` for what `to_json` did not write.

        Every field is of its type afterwards, numbers are finite, and texts can be written.
        """
        json.dumps(content, ensure_ascii=False).encode()  # a ValueError for half a character
        rest = dict(content)
        measure = _checked("measure", rest.pop("measure"), str)
        values = _checked("values", rest.pop("values"), dict)
        reasons = _checked("violations", rest.pop("violations"), list)
        found = MeasureResult(
            values={name: _value(measure, name, each) for name, each in values.items()},
            status=rest.pop("status"),
            reason=_checked("reason", rest.pop("reason"), str),
            violations=tuple(_checked("violations", each, str) for each in reasons),
            samples=_checked("samples", rest.pop("samples"), dict),
        )
        if found.status not in STATUSES:
            raise ValueError(f"status {found.status!r}")
        work = _checked("work", rest.pop("work"), dict)
        for name, kinds in ORIGIN.items():
            _all_of(name, rest.get(name), kinds)
        return cls(
            _checked("key", rest.pop("key"), str),
            Case.from_json(_checked("case", rest.pop("case"), dict)),
            measure,
            found,
            _number("seconds", rest.pop("seconds"), least=0.0),
            {name: _number(f"work.{name}", each, least=0.0) for name, each in work.items()},
            rest,
        )


GPU_NUMBERS = (
    *("gpu_count", "gpu_memory_bytes"),
    *("gpu_clock_mhz", "gpu_memory_clock_mhz", "gpu_power_limit_w"),
)
MACHINE: Mapping[str, type] = {
    "isa": list,
    **dict.fromkeys(("memory_bytes", "cores", *GPU_NUMBERS), int),
}
"""Fields of a machine that are not texts; None where it does not tell."""
ORIGIN: Mapping[str, Mapping[str, type] | type] = {
    "machine": MACHINE,
    "versions": {},
    "commit": str,
    "dirty": bool,
    "time": str,
}
"""What is read of an origin: its type, or those of its fields, which are texts where none is
said."""
POSITIVE = ("latency", "throughput")
"""Measures whose numbers are above 0: ratios of them are taken."""
LEAST, MOST = 1e-30, 1e30
"""What is measured lies between: seconds, bytes, FLOP/s and their ratios all have room there."""
MOST_DECIBELS = 5_000.0
"""A ratio of two doubles cannot be more."""


def _all_of(name: str, content: Any, kinds: Mapping[str, type] | type) -> None:
    """Raises TypeError where a part of an origin is of another type; None stands for not told."""
    if content is None:
        return
    if isinstance(kinds, type):
        _checked(name, content, kinds)
        return
    for key, each in _checked(name, content, dict).items():
        kind = kinds.get(key, str)
        if kind is int:
            if each is not None:
                _number(f"{name}.{key}", each, least=0.0)
        elif each is not None:
            _checked(f"{name}.{key}", each, kind)


def _checked(name: str, content: Any, kind: type) -> Any:
    if not isinstance(content, kind):
        raise TypeError(f"{name} is {type(content).__name__}, not {kind.__name__}")
    return content


def _number(name: str, content: Any, least: float | None = None) -> float:
    """A finite number, which a program may divide or take the root of without a thought."""
    if isinstance(content, bool) or not isinstance(content, int | float):
        raise TypeError(f"{name} is {type(content).__name__}, not a number")
    if not abs(content) <= MOST:
        raise ValueError(f"{name} is no number that was measured")
    if least is not None and content < least:
        raise ValueError(f"{name} is {content:g}, less than {least:g}")
    return float(content)


def _value(measure: str, name: str, content: Any) -> Value:
    found = Value(**_checked(name, content, dict))
    _checked(f"{name}.unit", found.unit, str)
    least = LEAST if measure in POSITIVE else None
    _number(name, found.value, least)
    if found.unit == "dB" and abs(found.value) > MOST_DECIBELS:
        raise ValueError(f"{name} is {found.value:g} dB, which no two numbers differ by")
    if isinstance(found.n, bool) or not isinstance(found.n, int) or found.n < 0:
        raise ValueError(f"{name}.n is {found.n!r}, not a count")
    if found.interval is not None:
        interval = _checked(f"{name}.interval", found.interval, dict)
        low = _number(f"{name}.interval.low", interval["low"], least)
        if low > _number(f"{name}.interval.high", interval["high"]):
            raise ValueError(f"{name}.interval ends before it begins")
        if "level" in interval:
            _number(f"{name}.interval.level", interval["level"], least=0.0)
    return found
