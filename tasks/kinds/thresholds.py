"""Tasks whose predictions are things that a model is more or less sure of."""

from typing import Protocol, Self, runtime_checkable


@runtime_checkable
class WithThreshold(Protocol):
    """A task that gives the things of a least score."""

    @property
    def threshold(self) -> float:
        """The least score, from 0 to 1."""
        ...

    def of_threshold(self, threshold: float) -> Self:
        """Return the task that gives things of this score or more."""
        ...
