"""What a measure is given: a prepared case, and how long to spend on it."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.cases.case import Case
from tasks.errors import UserError
from zoo.measure import Arm


@dataclass(frozen=True)
class Settings:
    """How carefully to measure. Raises `UserError` where it cannot be done."""

    budget_s: float = 30.0
    """seconds of timing a case; loading a model again and again comes out of it, too"""
    launches: int = 5
    """processes that a latency is taken from; 3 leave a 99% interval three times as wide"""
    timeout_s: float = 600.0
    """for any one step: loading, compiling, a block of calls"""

    def __post_init__(self) -> None:
        for name in ("budget_s", "timeout_s"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} {getattr(self, name)}: above 0")
        if self.launches < 1:
            raise UserError(f"launches {self.launches}: at least 1")


@dataclass(frozen=True)
class MeasureJob:
    """One case for one measure."""

    case: Case
    arm: Arm
    """what is timed"""
    work: Mapping[str, float]
    """what a call handles"""
    reference: str
    """.npz of the outputs it should have: `bench.cases.prepare.Prepared`"""
    settings: Settings
