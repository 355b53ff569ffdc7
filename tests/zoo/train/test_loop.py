"""Steps are cut when they come: a large epoch starts at once, and is cut as if all at once."""

import json
import re
import sys
import tempfile
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import pytest
import torch
from torch import nn

from tasks.base import Batch
from tasks.errors import UserError
from tasks.metrics.spec import metric_spec
from tasks.randomness import EpochView
from tests.cli import run_program
from zoo.machine.signals import Stopped
from zoo.train import loop as module
from zoo.train.args import TrainArgs
from zoo.train.finetune import make_accelerator
from zoo.train.loop import Loop, Step
from zoo.train.reporting.device_log import DeviceLog
from zoo.train.reporting.progress_bar import RunLogger
from zoo.train.resume.order import DataPosition, cut_step, epoch_order

SIZE = 32  # samples of a step
BUDGET = 8192


class Made:
    """Features whose rows are made when they are asked for."""

    def __init__(self, n: int) -> None:
        self.lengths = np.random.default_rng(0).integers(5, 512, n)
        self.rows = np.ones(n, np.int64)
        self.origins = np.arange(n)

    def view(self, view: EpochView) -> Self:
        return self

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        return [{"sample_id": i} for i in indices]


def collate(rows: Sequence[dict[str, Any]]) -> Batch:
    return Batch({}, torch.tensor([row["sample_id"] for row in rows]))


def make_loop(features: Made, folder: Path, workers: int = 0) -> Loop:
    args = TrainArgs(
        device="cpu",
        dtype="fp32",
        per_device_train_batch_size=SIZE,
        token_budget=BUDGET,
        dataloader_num_workers=workers,
    )
    return Loop(
        nn.Linear(1, 1),
        SimpleNamespace(unit="tokens", primary=metric_spec("accuracy")),
        None,
        collate,
        features,
        None,
        args,
        make_accelerator(args),
        folder,
        RunLogger(folder, 1, "tokens", [], enabled=False),
        lambda model: None,
        torch.float32,
    )


def count_cuts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the steps that are cut, as they are."""
    cuts: list[int] = []

    def counted(ids: np.ndarray, *args: Any, **settings: Any) -> Any:
        cuts.append(len(ids))
        return cut_step(ids, *args, **settings)

    monkeypatch.setattr(module, "cut_step", counted)
    return cuts


@pytest.mark.parametrize("workers", [0, 2])
def test_the_first_step_comes_before_the_others_are_cut(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts = count_cuts(monkeypatch)
    features = Made(100_000)
    loop = make_loop(features, tmp_path, workers)
    tracemalloc.start()
    steps = loop._steps()
    first = next(steps)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    ahead = len(first.passes) + 2 * workers  # passes: torch prepares two for each worker
    assert 1 <= len(cuts) <= ahead
    assert peak < 5 * features.lengths.nbytes
    second = next(steps)
    assert len(cuts) <= ahead + len(second.passes)


def _plain(features: Made, args: TrainArgs, place: DataPosition) -> list[list[list[int]]]:
    """The samples of each pass of each step that remains of an epoch, all cut at once."""
    order = epoch_order(features.lengths, args.seed, place.epoch)[place.sample :]
    return [
        [
            one.ids.tolist()
            for one in cut_step(
                order[i : i + SIZE],
                features.lengths,
                features.rows,
                world_size=1,
                max_samples=SIZE,
                budget=BUDGET,
                overhead=float(features.lengths.mean()) * 4,
            )[0]
        ]
        for i in range(0, len(order), SIZE)
    ]


def _passes(step: Step) -> list[list[int]]:
    loaded = [batch.ids.tolist() for batch in step.batches]
    assert loaded == [one.ids.tolist() for one in step.passes]
    assert sorted(i for ids in loaded for i in ids) == sorted(step.ids.tolist())
    return loaded


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "place", [DataPosition(), DataPosition(1, 3 * SIZE + 5)], ids=["begun", "resumed"]
)
def test_an_epoch_is_cut_as_if_at_once(workers: int, place: DataPosition, tmp_path: Path) -> None:
    features = Made(20 * SIZE + 7)
    loop = make_loop(features, tmp_path, workers)
    loop.progress.place = place
    steps = [_passes(step) for step in loop._steps()]
    assert steps == _plain(features, loop.args, place)
    assert len({len(passes) for passes in steps}) > 1


def test_steps_behind_a_lack_of_memory_are_cut_smaller(tmp_path: Path) -> None:
    loop = make_loop(Made(10 * SIZE), tmp_path)
    steps = loop._steps()
    assert max(map(len, _passes(next(steps)))) > 4
    loop.progress.max_samples = 4
    assert all(max(map(len, _passes(step))) == 4 for step in steps)


def test_queued_work_is_training_and_evaluating_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading what the device has computed waits for it."""
    clock = SimpleNamespace(now=10.0, perf_counter=lambda: clock.now, monotonic=lambda: 0.0)
    loop = make_loop(Made(10 * SIZE), tmp_path)
    monkeypatch.setattr(module, "time", clock)

    def after(seconds: float) -> Any:
        def passes(*anything: Any) -> None:
            clock.now += seconds

        return passes

    monkeypatch.setattr(loop, "validation", Made(1))
    monkeypatch.setattr(loop.log, "flush", after(2.0))
    monkeypatch.setattr(loop, "_evaluate", after(100.0))
    monkeypatch.setattr(loop, "_save", after(1000.0))
    loop._mark = clock.now
    clock.now += 1  # a step is queued
    loop.progress.step = 1
    loop._after_step(None)  # at the end of an epoch: place.sample is 0
    assert loop.progress.seconds == 3 and clock.now == 113
    with pytest.raises(Stopped):
        loop._after_step(15)
    assert loop.progress.seconds == 3 + 2 + 2 and clock.now == 113 + 2 + 100 + 2 + 1000


def test_what_is_found_at_the_end_comes_before_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU the last steps are still unread when the last one has been queued."""
    loop = make_loop(Made(SIZE), tmp_path)
    loop.log = DeviceLog(loop.watcher, deferred=True)

    def epoch(stop: Any) -> None:
        loop.log.check(0, np.array([5]), torch.tensor(torch.nan), torch.tensor([False, True]))
        loop.progress.stopped_early = True

    monkeypatch.setattr(loop, "_epoch", epoch)
    monkeypatch.setattr(loop, "save_best", pytest.fail)
    with pytest.raises(UserError, match=r"the loss is not finite at step 0 \(training rows 5\)"):
        loop.run(resume=False)


def first_step(n: int) -> None:
    """Prints the steps that are cut before the first of n samples comes, and this process's peak
    memory in bytes."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        cuts = count_cuts(patch)
        next(make_loop(Made(n), Path(folder))._steps())
    # getrusage would count what the parent had when it forked
    status = Path("/proc/self/status").read_text()
    peak = int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024
    print(json.dumps({"cuts": len(cuts), "peak": peak}))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the peak of memory")
def test_an_epoch_of_ten_million_samples_starts_within_a_gigabyte() -> None:
    done = run_program(
        f"import {__name__} as tests; tests.first_step(10_000_000)", env={"OMP_NUM_THREADS": "1"}
    )
    found = json.loads(done.out.splitlines()[-1])
    assert found["cuts"] == 1
    assert found["peak"] < 10**9
