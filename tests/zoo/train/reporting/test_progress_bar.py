"""What a run records of its samples, and how a resumed run goes on with it."""

import json
import tracemalloc
from pathlib import Path

import numpy as np

from zoo.train.reporting.progress_bar import RunLogger
from zoo.train.resume.order import DataPosition


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
