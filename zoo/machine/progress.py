"""How far a piece of work has come: a bar on a terminal, elsewhere a line now and then; on standard
error. A pipe gets no carriage returns."""

import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from tasks.printing import print_lines, visible
from zoo.machine.formatting import duration

EVERY_S = 30.0
"""Seconds without a line after which a pipe gets one."""
WINDOW_S, LEAST_S = 10.0, 0.5
"""The rate is that of so many seconds, and is not told before so many have passed."""
FORMAT = "{percentage:3.0f}%|{bar}| {desc}"
"""Of tqdm: how much is done, a bar as wide as the text leaves room for, and the text."""


class Rate:
    """How fast something grows now: over the last `WINDOW_S` seconds, or the last step if that is
    longer. The first point is where it begins, so that what comes before it does not count."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque()

    def add(self, seconds: float, count: float) -> None:
        """Add a point: the count that was reached at a time in seconds."""
        points = self._points
        points.append((seconds, count))
        while len(points) > 2 and points[-1][0] - points[1][0] >= WINDOW_S:
            points.popleft()

    @property
    def per_second(self) -> float | None:
        """The rate; None as long as too little is known."""
        if len(self._points) < 2:
            return None
        (begin, first), (end, last) = self._points[0], self._points[-1]
        return (last - first) / (end - begin) if end - begin >= LEAST_S else None


class ProgressBar:
    """Shows how many of `total` samples are done; on a terminal as a bar, and elsewhere as a line
    where none was written for `EVERY_S` seconds."""

    def __init__(
        self,
        title: str,
        total: int,
        done: int = 0,
        *,
        stays: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            title: what is done: "training".
            done: samples that were done before.
            stays: whether the bar stays on the terminal when it is closed; one that does not also
                waits a second before it appears.
        """
        self.title, self.total, self.stays, self.clock = title, total, stays, clock
        self._said_at, self._done = clock(), done
        self._bar: Any = None

    def show(self, done: int, rate: float | None, facts: str = "") -> None:
        """Show that `done` samples are done, at so many a second, with more facts.

        The time left is what the rest takes at that rate.
        """
        if _has_columns():
            if self._bar is None:
                self._bar = self._made()
            self._bar.set_description_str(self._text(done, rate, facts), refresh=False)
            self._bar.update(done - self._done)
        elif self.clock() - self._said_at >= EVERY_S:
            share = f"{done / self.total:.0%}" if self.total else ""
            self.say(f"{self.title} {share}: {self._text(done, rate, facts)}")
        self._done = done

    def resize(self, total: int) -> None:
        """Show what is done as a part of another total from here on."""
        self.total = total
        if self._bar is not None:
            self._bar.total = total

    def say(self, text: str) -> None:
        """Print a line, above the bar if there is one."""
        self._said_at = self.clock()
        if self._bar is not None:
            self._bar.write(visible(text), file=sys.stderr)
        else:
            print_lines(text, file=sys.stderr)

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _made(self) -> Any:
        from tqdm import tqdm

        return tqdm(
            total=self.total,
            initial=self._done,
            bar_format=f"{self.title} {FORMAT}",
            dynamic_ncols=True,
            leave=self.stays,
            delay=0.0 if self.stays else 1.0,
        )

    def _text(self, done: int, rate: float | None, facts: str) -> str:
        parts = [facts] if facts else []
        if rate and math.isfinite(rate):
            left = [f"{duration((self.total - done) / rate)} left"] if done < self.total else []
            parts = [samples_per_second(rate), *left, *parts]
        return ", ".join([*parts, f"{done:,} of {self.total:,} samples"])


def _has_columns() -> bool:
    """Return whether standard error is a terminal that knows its width: others show no bar."""
    return sys.stderr.isatty() and os.get_terminal_size(sys.stderr.fileno()).columns > 0


def samples_per_second(rate: float) -> str:
    """Return a rate with three digits: "0.241 samples/s", "87.3 samples/s", "1,234 samples/s"."""
    return f"{f'{rate:,.0f}' if rate >= 100 else f'{rate:.3g}'} samples/s"


def units_per_second(rate: float, unit: str) -> str:
    """Return a rate in what samples consist of, as people say it: "5,120 tokens/s", "21 s of
    sound/s"; empty for pixels, whose number says nothing beside that of the images."""
    if unit == "pixels":
        return ""
    return f"{rate:,.0f} {'s of sound' if unit == 'seconds' else unit}/s"
