"""Training for a given time: as many optimizer steps as the measured rate lets fit.

The schedule is what it would be without a limit, until a few steps have shown how long one takes.
Then its end is set by the clock, anew at each step, so the learning rate is at its last value when
the time is over. It never becomes longer than what was asked for without the limit.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from zoo.train.resume.order import DataPosition, Schedule

FIRST_STEPS = 2
"""Of a process, which also load kernels: they tell nothing of the others."""
MEASURED_STEPS, MEASURED_S = 3, 2.0
"""Least steps and seconds that a rate is taken of."""
CLOSING_S = 6.0
"""That a run takes behind its last evaluation: it has opened the checkpoint anew, and draws."""
TOLD = 0.1
"""Share of the steps by which their number changes before that is told again."""

if TYPE_CHECKING:
    from zoo.train.args import TrainArgs

Tell = Callable[[int, float], None]


class TimeLimit:
    """When a run has to be over, and what it has to do beside training."""

    def __init__(
        self,
        minutes: float,
        began: float,
        rows_at_end: int,
        is_rounded: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            minutes: of the whole run.
            began: the second on the clock at which it began.
            rows_at_end: samples of the evaluations behind the last step, of test and validation.
            is_rounded: whether training computes in less than fp32, in which the end is evaluated.
        """
        self.ends = began + 60 * minutes
        # a forward pass takes a third of a step (Kaplan et al. 2020); fp32 takes its gain away
        self.steps_at_end = rows_at_end * (1.0 if is_rounded else 0.4)
        self.clock = clock


class TimedSchedule:
    """A `Schedule` whose end is set by a `TimeLimit`; `total_steps` changes while it runs."""

    def __init__(
        self, whole: Schedule, limit: TimeLimit, tell: Tell = lambda steps, s: None
    ) -> None:
        """
        Args:
            whole: what is trained where there is time for it.
            tell: called with the steps in all and the seconds of one, where these are fewer.
        """
        self.whole, self.limit, self.tell = whole, limit, tell
        self.epoch_size, self.step_size = whole.epoch_size, whole.step_size
        self.total_steps = whole.total_steps
        self._told = whole.total_steps
        self._start: tuple[float, float] | None = None
        self._mark: tuple[float, float] | None = None

    def steps_done(self, place: DataPosition) -> float:
        """Return how many steps a position is after; see `Schedule.steps_done`."""
        done = self.whole.steps_done(place)
        self._fit(done)
        return done

    def finished(self, place: DataPosition) -> bool:
        """Return whether training is complete at a position, or its time over."""
        return self.steps_done(place) >= self.total_steps

    def _fit(self, done: float) -> None:
        """Set the end by what steps took so far, evaluations between them included."""
        now = self.limit.clock()
        if self._start is None:
            self._start = (done, now)
        first, began = self._start
        if done > first and now >= self.limit.ends:  # before a rate was measured, perhaps
            self._end_at(done, (now - began) / (done - first))
            return
        if done - first < FIRST_STEPS:
            return
        if self._mark is None:
            self._mark = (done, now)
        steps, seconds = done - self._mark[0], now - self._mark[1]
        if steps < MEASURED_STEPS or seconds < MEASURED_S:
            return
        one = seconds / steps
        closing = CLOSING_S + one * self.limit.steps_at_end / self.step_size
        room = max(0.0, self.limit.ends - now - closing)
        self._end_at(done + room / one, one)

    def _end_at(self, steps: float, one: float) -> None:
        """Set the end, and tell it where it is another one; `one`: seconds of a step."""
        self.total_steps = min(self.whole.total_steps, max(1, int(steps)))
        if abs(self.total_steps - self._told) > TOLD * self._told:
            self._told = self.total_steps
            self.tell(self.total_steps, one)


def schedule_of(
    args: "TrainArgs", rows: int, ranks: int, limit: TimeLimit | None, tell: Tell
) -> Schedule | TimedSchedule:
    """Return how long is trained on so many rows: what the flags ask for, or what fits the limit.

    Args:
        tell: see `TimedSchedule`.
    """
    size = args.per_device_train_batch_size * args.gradient_accumulation_steps * ranks
    whole = Schedule.of(rows, size, args.num_train_epochs, args.max_steps)
    return whole if limit is None else TimedSchedule(whole, limit, tell)
