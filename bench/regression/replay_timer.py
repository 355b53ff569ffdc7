"""A timer for pytest-benchmark that says what the harness has measured before.

pytest-benchmark takes the time of a round as the difference of two readings of its timer
(`benchmark.pedantic`, and the `timer` of its marker). So the samples of `zoo.measure` become its
rounds, and `--benchmark-autosave`, `--benchmark-compare` and the rest work as people know them.
"""

import time
from collections.abc import Sequence


class ReplayTimer:
    """Readings come in pairs, one pair a sample; without samples it is an ordinary clock."""

    def __init__(self) -> None:
        self._left: list[float] = []
        self._now = 0.0
        self._running = False

    def load(self, seconds: Sequence[float]) -> None:
        """The samples of the rounds to come, in their order."""
        self._left = list(reversed(seconds))
        self._now, self._running = 0.0, False

    def __call__(self) -> float:
        """Seconds."""
        if self._running:
            self._now += self._left.pop()
            self._running = False
        elif self._left:
            self._running = True
        else:
            return time.perf_counter()
        return self._now
