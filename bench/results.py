"""What was found of a case: one result a measure, with its numbers and the raw samples."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

from bench.case import Case
from zoo.measure.intervals import Estimate

Status = Literal["ok", "wrong", "oom", "unavailable", "error", "not_measured"]
STATUSES: tuple[str, ...] = get_args(Status)


@dataclass(frozen=True)
class Value:
    """A number that was measured."""

    value: float
    unit: str  # "s", "bytes", "samples/s", "1"
    n: int = 1
    """how many samples it was made of"""
    interval: Mapping[str, Any] | None = None
    """low, high, level, method; None where it is counted and not sampled"""

    @classmethod
    def of(cls, found: Estimate, unit: str) -> Self:
        """An estimate with its unit."""
        return cls(found.value, unit, found.n, found.interval.as_json())


@dataclass(frozen=True)
class Found:
    """What one measure found."""

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
    found: Found
    seconds: float
    """that measuring took"""
    work: Mapping[str, float]
    """what a call handles: samples, and tokens, pixels or seconds, padding not counted"""
    origin: Mapping[str, Any]
    """subject, machine, versions, commit, dirty, source, command, time"""

    def to_json(self) -> dict[str, Any]:
        """As `from_json` reads it."""
        own = {"key": self.key, "case": self.case.to_json(), "measure": self.measure}
        found = dataclasses.asdict(self.found)
        return own | found | {"seconds": self.seconds, "work": dict(self.work), **self.origin}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Raises KeyError, TypeError, ValueError, `UserError` for what `to_json` did not write."""
        rest = dict(content)
        if rest["status"] not in STATUSES:
            raise ValueError(f"status {rest['status']!r}")
        found = Found(
            values={name: Value(**each) for name, each in rest.pop("values").items()},
            status=rest.pop("status"),
            reason=rest.pop("reason"),
            violations=tuple(rest.pop("violations")),
            samples=rest.pop("samples"),
        )
        return cls(
            str(rest.pop("key")),
            Case.from_json(rest.pop("case")),
            str(rest.pop("measure")),
            found,
            float(rest.pop("seconds")),
            rest.pop("work"),
            rest,
        )
