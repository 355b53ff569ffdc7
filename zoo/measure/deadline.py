"""A promise of time: when all has to be over, and what each case may take of what is left."""

import contextlib
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

from tasks.bounds import Bounds
from tasks.errors import UserError
from zoo.measure.arms import Arm
from zoo.measure.process import Worker

LONGEST = 7 * 24 * 60
"""Minutes of a week."""
LEAST_S = 0.1
"""That an answer is waited for, also where the time is over."""
AGAIN_S = 5.0
"""After which work that has swallowed `OutOfTime` is ended once more."""

Start = Callable[[Arm, float], Worker]


class OutOfTime(BaseException):
    """The time for a piece of work is over (`Deadline.cut`).

    No `Exception`, so that no library takes it for a failure of its own and tries another way.
    """


class Deadline:
    """A time limit that starts when it is created; without minutes the time left is infinite."""

    def __init__(
        self, minutes: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start the time limit; `clock` returns seconds. Raises `UserError` for invalid minutes."""
        if minutes is not None and minutes not in Bounds(0, LONGEST, above=True):
            raise UserError(f"`minutes` {minutes:g}: above 0, and a week at most")
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

    def countdown(self) -> str:
        """Return the time left as people say it: "3.5 min left", "40 s left"; without a limit the
        time that was spent: "40 s so far"."""
        seconds, what = (self.left(), "left") if self.is_set else (self.spent(), "so far")
        return f"{f'{seconds:.0f} s' if seconds < 90 else f'{seconds / 60:.1f} min'} {what}"

    @staticmethod
    def enough(seconds: float) -> str:
        """Return seconds as minutes, rounded up to two digits: who gives them has enough."""
        minutes = seconds / 60
        step = 10.0 ** (math.floor(math.log10(minutes)) - 1)
        return f"{math.ceil(minutes / step - 1e-9) * step:.2g}"

    def bound(self, start: Start) -> Start:
        """Return a `Start` like `start`, whose workers answer within the time left."""
        if not self.is_set:
            return start

        def started(arm: Arm, timeout_s: float) -> Worker:
            worker = start(arm, timeout_s)  # which may have taken long, where it was a first one
            worker.timeout_s = min(timeout_s, max(self.left(), LEAST_S))
            return worker

        return started

    @contextlib.contextmanager
    def cut(self, share: float) -> Iterator[None]:
        """Context manager that raises `OutOfTime` in its block once a share of the time is spent.

        The exception comes between two lines of Python: a single call of a compiled library ends
        first. Where it comes in a callback that swallows it (of a weak reference), it comes again.
        Only the main thread is interrupted, since signals reach no other.
        """
        main = threading.current_thread() is threading.main_thread()
        if not self.is_set or not main:
            yield
            return

        def late(signum: int, frame: FrameType | None) -> None:
            raise OutOfTime

        def swallowed(unraisable: "sys.UnraisableHookArgs") -> None:
            if unraisable.exc_type is OutOfTime:
                signal.setitimer(signal.ITIMER_REAL, LEAST_S, AGAIN_S)
            else:
                hook(unraisable)

        began, hook = time.monotonic(), sys.unraisablehook
        sys.unraisablehook = swallowed
        handler = signal.signal(signal.SIGALRM, late)
        rest = max(LEAST_S, share * self.seconds - self.spent())
        before, every = signal.setitimer(signal.ITIMER_REAL, rest, AGAIN_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            sys.unraisablehook = hook
            signal.signal(signal.SIGALRM, handler)
            if before:  # an alarm of who called us goes on
                passed = time.monotonic() - began
                signal.setitimer(signal.ITIMER_REAL, max(LEAST_S, before - passed), every)

    def __str__(self) -> str:
        minutes = self.seconds / 60
        return f"{minutes:.3g} minute{'s' * (minutes != 1)}"
