"""--fail_if accuracy<-0.005: which change of a number between two revisions is too much."""

import re
from dataclasses import dataclass
from typing import Self

from tasks.errors import UserError

CONDITION = re.compile(
    r"(?P<name>[a-z][a-z0-9_]*)(?P<sign>[<>])(?P<bound>[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?P<percent>%?)"
)


@dataclass(frozen=True)
class ChangeCondition:
    """A change that is too much: by more than `bound` upwards, or downwards."""

    name: str
    """of the fact: accuracy, latency, artifact_size, sqnr"""
    is_rise: bool
    bound: float
    is_share: bool
    """0.05 of what it was, rather than in its own unit"""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises `UserError` for what is no condition."""
        match = CONDITION.fullmatch(text.replace(" ", ""))
        if match is None:
            raise UserError(
                f"--fail_if {text!r}: write the change of a number that is too much, as in "
                "'accuracy<-0.005', 'latency>5%', 'artifact_size>0'"
            )
        is_share = bool(match["percent"])
        bound = float(match["bound"]) / (100 if is_share else 1)
        return cls(match["name"], match["sign"] == ">", bound, is_share)

    def holds(self, name: str, before: float, after: float) -> bool:
        """Return whether a number has changed by more than this condition allows."""
        if name != self.name:
            return False
        change = after - before
        if self.is_share:
            if not before:
                return False
            change /= abs(before)
        return change > self.bound if self.is_rise else change < self.bound

    def __str__(self) -> str:
        bound = f"{100 * self.bound:+g}%" if self.is_share else f"{self.bound:+g}"
        return f"{self.name} {'>' if self.is_rise else '<'} {bound}"
