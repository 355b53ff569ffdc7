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
from tasks.printing import print_lines, visible
from zoo.machine.formatting import size
from zoo.train.resume.order import DataPosition
from zoo.train.resume.progress import Progress


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
    ) -> None:
        self.enabled = enabled
        self.unit = unit
        self.total = total_samples
        self.reporters = reporters
        self.records: list[dict[str, Any]] = []
        self._metrics = folder / "logs" / "metrics.jsonl"
        self._samples = folder / "logs" / "samples.jsonl"
        self._open: IO[str] | None = None
        self._bar: Any = None
        self._interactive = enabled and sys.stderr.isatty()

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
        """Move the progress bar."""
        if not self._interactive:
            return
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(
                total=self.total,
                initial=progress.samples - samples,
                unit=" samples",
                desc="training",
                dynamic_ncols=True,
            )
        self._bar.update(samples)
        if progress.seconds:
            self._bar.set_postfix_str(
                f"{progress.units / progress.seconds:,.0f} {self.unit}/s, "
                f"{_memory()}, data {progress.data_seconds / progress.seconds:.0%}"
            )

    def log(self, record: dict[str, Any]) -> None:
        """Write a record, show it, and pass it to the reporters."""
        if not self.enabled:
            return
        self.records.append(record)
        with self._metrics.open("a") as file:
            file.write(json.dumps(record) + "\n")
        self._say(_line(record, self.unit))
        for reporter in self.reporters:
            reporter.log(record)

    def note(self, text: str) -> None:
        """Print a message."""
        if self.enabled:
            self._say(spelled(text))

    def _say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.write(visible(text), file=sys.stderr)
        else:
            print_lines(text, file=sys.stderr)

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


def _memory() -> str:
    import psutil

    return size(psutil.Process().memory_info().rss, "GiB")


def _line(record: dict[str, Any], unit: str) -> str:
    head = f"step {record['step']:>5}  epoch {record['epoch']:.2f}  {record['split']}"
    if record["split"] == "train":
        names = list(record)  # what the objective logs stands between these two
        logs = names[names.index("loss") + 1 : names.index("grad_norm")]
        return (
            f"{head}  {'  '.join(f'{name} {record[name]:.4f}' for name in ('loss', *logs))}  "
            f"lr {record['learning_rate']:.2e}  "
            f"{record['samples_per_second']:.1f} samples/s  "
            f"{record[f'{unit}_per_second']:,.0f} {unit}/s  data {record['data_wait']:.0%}"
        )
    shown = "  ".join(
        f"{name} {value:.4f}"
        for name, value in record.items()
        if name not in ("step", "epoch", "split", "best")
    )
    return f"{head}  {shown}{'  (best so far)' if record['best'] else ''}"


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
