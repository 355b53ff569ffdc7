"""What a run shows and records as it goes: a bar or plain lines, `logs/`, TensorBoard and the
like."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from tasks import atomic
from tasks.errors import spelled
from tasks.printing import print_lines
from zoo.machine.formatting import duration, short
from zoo.machine.progress import ProgressBar, Rate, samples_per_second, units_per_second
from zoo.train.resume.order import DataPosition
from zoo.train.resume.progress import Progress

WAITED = 0.1
"""Share of the time from which on the bar tells that the training waits for its batches."""


class RunLogger:
    """Writes logs and moves a progress bar; does nothing on ranks other than the first.

    Satisfies `zoo.train.resume.progress.Watcher`. `logs/metrics.jsonl` has every logged record,
    `logs/samples.jsonl` the training rows of every step. After a resume both continue from the
    saved step: later lines of the interrupted run are removed.
    """

    def __init__(
        self,
        folder: Path,
        total_samples: int,
        unit: str,
        reporters: "list[Any]",
        enabled: bool,
        metric: str = "",
        step_size: int = 1,
    ) -> None:
        """
        Args:
            metric: name of the task's main metric, which the bar shows.
            step_size: samples of an optimizer step.
        """
        self.enabled, self.metric, self.step_size = enabled, metric, step_size
        self.unit = unit
        self.total = total_samples
        self.reporters = reporters
        self.records: list[dict[str, Any]] = []
        self._metrics = folder / "logs" / "metrics.jsonl"
        self._samples = folder / "logs" / "samples.jsonl"
        self._open: IO[str] | None = None
        self._bar: ProgressBar | None = None
        self._samples_now, self._units_now = Rate(), Rate()
        self._waited = Rate()  # seconds for batches in a second of training
        self._done = 0  # samples
        self._facts: dict[str, str] = {}  # the last loss and metric, as the bar shows them

    def rewind(self, step: int) -> None:
        """Drop what was logged after `step`."""
        if not self.enabled:
            return
        self._metrics.parent.mkdir(parents=True, exist_ok=True)
        if self._open:
            self._open.close()
        kept = [r for r in _read(self._metrics) if r["step"] <= step]
        self.records = kept
        _rewrite(self._metrics, kept)
        _rewrite(self._samples, (r for r in _read(self._samples) if r["step"] < step))
        self._open = self._samples.open("a")
        for reporter in self.reporters:
            reporter.rewind(step)

    def samples(self, step: int, place: DataPosition, ids: np.ndarray) -> None:
        """Record the training rows of a step."""
        if self._open:
            line = {"step": step, "epoch": place.epoch, "ids": ids.tolist()}
            self._open.write(json.dumps(line, separators=(",", ":")) + "\n")

    def step(self, progress: Progress, samples: int) -> None:
        """Move the progress bar; what it shows of speed is that of the last steps."""
        if not self.enabled:
            return
        self._done = progress.samples
        self._samples_now.add(progress.seconds, progress.samples)
        self._units_now.add(progress.seconds, progress.units)
        self._waited.add(progress.seconds, progress.data_seconds)
        if self._bar is None:
            self._bar = ProgressBar("training", self.total, progress.samples - samples)
        self._show(self._bar)

    def _show(self, bar: ProgressBar) -> None:
        facts = [f"{name} {value}" for name, value in self._facts.items()]
        waited = self._waited.per_second or 0.0
        if waited >= WAITED:
            facts.append(f"waits for data {waited:.0%} of the time")
        bar.show(self._done, self._samples_now.per_second, ", ".join(facts))

    def log(self, record: dict[str, Any]) -> None:
        """Write a record, show it, and pass it to the reporters."""
        if not self.enabled:
            return
        self.records.append(record)
        with self._metrics.open("a") as file:
            file.write(json.dumps(record) + "\n")
        for name in ("loss",) if record["split"] == "train" else (self.metric,):
            if name in record:
                self._facts[name] = f"{record[name]:.4g}"
        self._say(self._line(record))
        if self._bar is not None:
            self._show(self._bar)
        for reporter in self.reporters:
            reporter.log(record)

    def note(self, text: str) -> None:
        """Print a message."""
        if self.enabled:
            self._say(spelled(text))

    def fit(self, steps: int, seconds: float) -> None:
        """Print how many optimizer steps of so many seconds a time limit leaves, and show the rest
        by them."""
        self.total = steps * self.step_size
        if self._bar is not None:
            self._bar.resize(self.total)
        self.note(f"{steps:,} steps fit into `minutes`, as one takes {short(seconds)} s")

    def _say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.say(text)
        else:
            print_lines(text, file=sys.stderr)

    def _line(self, record: dict[str, Any]) -> str:
        """Return a record as a line; its speed is that of the last steps, where it is known."""
        head = f"step {record['step']:>5}  epoch {record['epoch']:.2f}  {record['split']}"
        if record["split"] == "train":
            names = list(record)  # what the objective logs stands between these two
            logs = names[names.index("loss") + 1 : names.index("grad_norm")]
            now = self._samples_now.per_second
            rest = self.total - self._done
            units = self._units_now.per_second or record[f"{self.unit}_per_second"]
            waited = self._waited.per_second
            parts = [
                *(f"{name} {record[name]:.4f}" for name in ("loss", *logs)),
                f"lr {record['learning_rate']:.2e}",
                samples_per_second(now or record["samples_per_second"]),
                units_per_second(units, self.unit),
                f"data {record['data_wait'] if waited is None else waited:.0%}",
                f"{duration(rest / now)} left" if now and rest > 0 else "",
            ]
            return "  ".join([head, *filter(None, parts)])
        shown = "  ".join(
            f"{name} {value:.4f}"
            for name, value in record.items()
            if name not in ("step", "epoch", "split", "best")
        )
        return f"{head}  {shown}{'  (best so far)' if record['best'] else ''}"

    def flush(self) -> None:
        """Write what has been recorded to disk."""
        if self._open:
            self._open.flush()

    def close(self) -> None:
        """Close the progress bar and the log files; the reporters go on to the end of the run."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if self._open:
            self._open.close()
            self._open = None


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a file one by one, since a log of samples may be larger than memory."""
    if not path.exists():
        return
    with path.open() as file:
        for line in file:
            try:
                yield json.loads(line)
            except json.JSONDecodeError:  # the line that was being written when the run died
                return


def _rewrite(path: Path, records: Iterable[dict[str, Any]]) -> None:
    with atomic.replacing(path) as file:
        for record in records:
            file.write(json.dumps(record, separators=(",", ":")).encode() + b"\n")
