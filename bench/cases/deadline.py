"""A promise of time: when all has to be over, and what each case may take of what is left."""

import math
import time
from collections.abc import Callable

from bench.cases.child import Start
from tasks.bounds import Bounds
from tasks.errors import UserError
from zoo.measure import Arm
from zoo.measure.process import Worker

LONGEST = 7 * 24 * 60
"""Minutes of a week."""
LEAST_S = 0.1
"""That an answer is waited for, also where the time is over."""


class Deadline:
    """A time limit that starts when it is created; without minutes the time left is infinite."""

    def __init__(
        self, minutes: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start the time limit; `clock` returns seconds. Raises `UserError` for invalid minutes."""
        if minutes is not None and minutes not in Bounds(0, LONGEST, above=True):
            raise UserError(f"--minutes {minutes:g}: above 0, and a week at most")
        self.seconds = math.inf if minutes is None else 60 * minutes
        self.clock, self.began = clock, clock()
        self.cases = 1
        """that are still to come, the present one included"""

    @property
    def is_set(self) -> bool:
        """Whether there is a time limit."""
        return self.seconds < math.inf

    def spent(self) -> float:
        """Return the seconds since the deadline was created."""
        return self.clock() - self.began

    def left(self) -> float:
        """Return the seconds left; not below 0."""
        return max(0.0, self.seconds - self.spent())

    def share(self) -> float:
        """Return the seconds left for the present case, if all remaining cases get equal time."""
        return self.left() / max(1, self.cases)

    def bound(self, start: Start) -> Start:
        """Return a `Start` like `start`, whose workers answer within the time left."""
        if not self.is_set:
            return start

        def started(arm: Arm, timeout_s: float) -> Worker:
            worker = start(arm, timeout_s)  # which may have taken long, where it was a first one
            worker.timeout_s = min(timeout_s, max(self.left(), LEAST_S))
            return worker

        return started

    def __str__(self) -> str:
        minutes = self.seconds / 60
        return f"{minutes:g} minute{'s' * (minutes != 1)}"
