"""How crowded the machine was while a worker ran: only times of passes that were as crowded are
compared."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

ALIKE = 0.05
"""Passes were as crowded where as many others ran meanwhile, on average, but for this."""


@dataclass
class Pass:
    """One run of a worker, from the inputs to the last answer."""

    seconds: float = 0.0
    others: float = 0.0
    """passes of other workers of this service meanwhile, on average over the time"""

    def is_like(self, other: "Pass") -> bool:
        """Return whether both had as much of the machine."""
        return abs(self.others - other.others) <= ALIKE


class Activity:
    """The passes of all workers of a service."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._running, self._area, self._last = 0, 0.0, clock()

    @contextlib.contextmanager
    def running(self) -> Iterator[Pass]:
        """Time a pass; it is complete when the context ends."""
        made, (began, area) = Pass(), self._now(1)
        try:
            yield made
        finally:
            ended, all_of_it = self._now(-1)
            made.seconds = ended - began
            made.others = max(0.0, (all_of_it - area) / made.seconds - 1) if made.seconds else 0.0

    def _now(self, change: int) -> tuple[float, float]:
        """Return the time, and how much passes have run until then, in seconds; so many more run
        from then on."""
        now = self._clock()
        self._area += self._running * (now - self._last)
        self._last = now
        self._running += change
        return now, self._area
