"""The time that was promised, and how it is shared out."""

import time
from collections.abc import Callable

from tasks.errors import UserError
from zoo.machine.formatting import duration

LEAST_MINUTES = 1.5
"""Training has 20 s in it then, and the search half of what it wants."""
CARD_S = 12.0
"""That writing the card takes."""
DECIDE_SHARE = 0.35
"""Of the whole time, for the deployment; training has the rest."""
DECIDE_LEAST_S = 45.0
"""In which one other deployment than eager is made, proven and timed."""
DECIDE_MOST_S = 480.0
"""After which more time finds nothing new."""
START_S = 6.0
"""Until a program of ours has imported its libraries, where that was not measured yet."""


class Clock:
    """Seconds of all calls of the same command together, of which earlier ones had `before`."""

    def __init__(self, minutes: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Start it. Raises `UserError` for less time than the shortest data take."""
        if minutes < LEAST_MINUTES:
            raise UserError(
                f"`minutes` {minutes:g} is too short: to train, to decide and to prove takes "
                f"{LEAST_MINUTES:g} at least, and 2 to 10 for a few thousand rows"
            )
        self.seconds = 60 * minutes
        self.before, self._clock, self._began = 0.0, clock, clock()

    def spent(self) -> float:
        """Return the seconds that were spent, earlier calls included."""
        return self.before + self._clock() - self._began

    def left(self) -> float:
        """Return the seconds left; not below 0."""
        return max(0.0, self.seconds - self.spent())

    def training_ends(self) -> float:
        """Return the second by which training has to be over, on this clock."""
        return self.seconds - CARD_S - self._for_deciding()

    def deciding(self) -> float:
        """Return the seconds that the search for the deployment gets now: what is left, up to the
        most that is of use."""
        return min(DECIDE_MOST_S, self.left() - CARD_S - START_S)

    def _for_deciding(self) -> float:
        return min(DECIDE_MOST_S, max(DECIDE_LEAST_S, DECIDE_SHARE * self.seconds))

    def __str__(self) -> str:
        return f"{duration(self.spent())} used, {duration(self.left())} left"
