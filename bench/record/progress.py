"""How far a sweep has come: a bar with the time left on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Any, Self

from bench.cases.case import Case
from bench.record.results import Result
from tasks.printing import print_lines, visible
from zoo.machine.formatting import duration


class SweepProgress:
    """Satisfies `bench.sweep.sweep.SweepWatcher`; use it in a `with`."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._total = self._done = 0
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def begin(self, total: int) -> None:
        """Begin to show a sweep of so many steps."""
        self._total, self._began = total, time.monotonic()
        if not total or not sys.stderr.isatty():
            return
        from rich import progress
        from rich.console import Console

        self._bar = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("", total=total)
        self._bar.start()

    def step(self, case: Case, measure: str) -> None:
        """Show which case and measure come next."""
        if self._bar is not None:
            self._bar.update(self._task, description=visible(f"{case}: {measure}"))
            return
        left = ""
        if self._done:
            seconds = (time.monotonic() - self._began) / self._done * (self._total - self._done)
            left = f", about {duration(seconds)} left"
        print_lines(f"[{self._done + 1}/{self._total}{left}] {case}: {measure}", file=sys.stderr)

    def done(self, result: Result | None, steps: int) -> None:
        """Count steps that are over: measured, or left out."""
        self._done += steps
        if result is not None and result.found.status not in ("ok", "not_measured"):
            self._say(
                f"{result.case}: {result.measure}: {result.found.status}: {result.found.reason}"
            )
        if self._bar is not None:
            self._bar.advance(self._task, steps)

    def _say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(visible(text), emoji=False, markup=False, highlight=False)
        else:
            print_lines(text, file=sys.stderr)
