"""What a run records of its samples, and how a resumed run goes on with it."""

import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.terminals import on_a_terminal
from zoo.train.reporting.progress_bar import RunLogger
from zoo.train.resume.order import DataPosition
from zoo.train.resume.progress import Progress


def test_a_resumed_run_drops_later_lines_and_reads_one_at_a_time(tmp_path: Path) -> None:
    steps, size = 90, 1000
    watch = RunLogger(tmp_path, 1, "tokens", [], enabled=True)
    watch.rewind(0)
    for step in range(steps):
        watch.samples(step, DataPosition(), np.arange(size) + step)
    watch.close()
    path = tmp_path / "logs" / "samples.jsonl"
    with path.open("a") as file:
        file.write('{"step":90,"epoch":0,"ids":[1,2')  # the process died here
    whole = path.read_text().splitlines()

    tracemalloc.start()
    again = RunLogger(tmp_path, 1, "tokens", [], enabled=True)
    again.rewind(steps)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.read_text().splitlines() == whole[:steps]
    assert peak < 0.5 * path.stat().st_size

    again.rewind(60)
    again.samples(60, DataPosition(1, 0), np.array([7]))
    again.close()
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert [one["step"] for one in kept] == list(range(61))
    assert kept[-1] == {"step": 60, "epoch": 1, "ids": [7]}


def _record(step: int, split: str = "train", **more: Any) -> dict[str, Any]:
    record = {"step": step, "epoch": 0.5, "split": split, "loss": 0.5}
    if split == "train":
        record |= {"grad_norm": 1.0, "learning_rate": 1e-3, "samples_per_second": 287_404.0}
        record |= {"tokens_per_second": 1e6, "data_wait": 0.0}
    return record | more


def _watched(watch: RunLogger) -> None:
    """A run whose first step is slow, then quick, and at last slow again."""
    progress = Progress()
    watch.rewind(0)
    for step, seconds in enumerate([5.0, *[0.1] * 20, *[2.0] * 10]):
        progress.step, progress.samples, progress.units = step + 1, 32 * (step + 1), 960.0 * step
        progress.seconds += seconds
        progress.data_seconds += 0.5 * seconds if seconds == 2.0 else 0.0
        watch.step(progress, 32)
        if step == 20:
            watch.log(_record(step))
            watch.log(_record(step, "validation", best=True, accuracy=0.75, f1=0.5))
    watch.log(_record(30))
    watch.close()


def test_a_line_has_the_rate_of_the_last_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _watched(RunLogger(tmp_path, 3200, "tokens", [], True, "accuracy"))
    found = capsys.readouterr().err.splitlines()
    assert "loss 0.5000  lr 1.00e-03  320 samples/s  9,600 tokens/s  data 0%  8 s left" in found[0]
    assert found[1].endswith("accuracy 0.7500  f1 0.5000  (best so far)")
    assert "16 samples/s  480 tokens/s  data 50%  2 min left" in found[2]


def test_the_bar_has_loss_metric_rate_and_time_left(tmp_path: Path) -> None:
    def run() -> int:
        _watched(RunLogger(tmp_path, 3200, "tokens", [], True, "accuracy"))
        return 0

    last = re.split(r"[\r\n]+", on_a_terminal(run, columns=160).out.strip())[-1]
    assert last.startswith("training  31%|")
    facts = "16 samples/s, 2 min left, loss 0.5, accuracy 0.75, waits for data 50% of the time"
    assert facts in last and "f1" not in last
