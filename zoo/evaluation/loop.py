"""A model's metrics, loss and hardest errors on one split, in one pass."""

import contextlib
import heapq
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from tasks.base import Batch, Collate, Evaluated, Features, Task
from tasks.buckets import collate_of
from tasks.errors import UserError
from zoo.machine.memory import out_of_memory
from zoo.machine.precision import autocast
from zoo.machine.progress import ProgressBar, Rate

if TYPE_CHECKING:
    from accelerate import Accelerator

    from tasks.metrics.accumulator import ConstantAnswer
    from tasks.metrics.classification import ClassificationMetric
    from tasks.metrics.intervals import MetricEstimate


class Mistake(NamedTuple):
    """A wrong prediction."""

    loss: float
    sample: int  # of the features
    truth: str
    said: str
    score: float | None = None
    """Probability of the prediction, where the task's models give one."""


class HardestErrors:
    """Keeps the `most` wrong predictions of highest loss.

    Of equal losses the lower sample numbers stay, and a loss that is NaN counts as the highest, so
    the result does not depend on order, batches or ranks.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._heap: list[tuple[float, int, Mistake]] = []  # the easiest first

    def update(self, mistakes: Iterable[Mistake]) -> None:
        """Add mistakes; each sample must come once."""
        for one in mistakes:
            item = (math.inf if math.isnan(one.loss) else one.loss, -one.sample, one)
            if len(self._heap) < self.most:
                heapq.heappush(self._heap, item)
            else:
                heapq.heappushpop(self._heap, item)

    def ranked(self) -> list[Mistake]:
        """Return the kept mistakes, the hardest first."""
        return [one for _, _, one in sorted(self._heap, reverse=True)]


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation."""

    loss: float  # mean over targets
    accumulator: "ClassificationMetric"
    seconds: float
    hardest: Sequence[Mistake] = ()  # the hardest first

    @cached_property
    def measured(self) -> "list[MetricEstimate]":
        """Return the task's metrics with n and interval, by bootstrap if a metric needs one."""
        return self.accumulator.compute()

    @cached_property
    def values(self) -> dict[str, float]:
        """Return the task's metrics by name, without intervals and so without a bootstrap."""
        return {m.name: m.value for m in self.accumulator.compute(draws=0)}

    @cached_property
    def constant(self) -> "ConstantAnswer | None":
        """Return what one answer to every sample would be worth; see `MetricAccumulator`."""
        return self.accumulator.constant()

    def value(self, metric: str) -> float:
        """Return the value of one metric."""
        return self.values[metric]


def batches(
    features: Features,
    collate: Collate,
    chunks: Iterable[Any],
    workers: int = 0,
    pin: bool = False,
) -> Iterator[Batch]:
    """Yield collated batches of the given samples, in that order, prepared by `workers` processes.

    The ids of a batch are read when it is prepared, two batches ahead for each worker.
    """
    if not workers and not pin:  # what a loader does besides takes long beside a small step
        return (collate(features.__getitems__(np.asarray(ids).tolist())) for ids in chunks)
    # a generator of its own: the loader draws a seed at every start, and must not draw it from
    # the stream that decides dropout
    loader: DataLoader[Batch] = DataLoader(
        features,  # type: ignore[arg-type]
        batch_sampler=([int(i) for i in chunk] for chunk in chunks),
        collate_fn=collate,
        num_workers=workers,
        pin_memory=pin,
        generator=torch.Generator().manual_seed(0),
    )
    return _in_one_line(iter(loader))


def _in_one_line(loader: Iterator[Batch]) -> Iterator[Batch]:
    """Yield the batches of a loader; remove the traceback that torch adds to a worker's
    `UserError`."""
    try:
        yield from loader
    except UserError as error:
        kind = f"{UserError.__module__}.{UserError.__qualname__}: "
        raise UserError(str(error).rpartition(kind)[2].strip()) from None


def _passes_of_rank(
    order: np.ndarray, accelerator: "Accelerator", batch_size: int
) -> tuple[list[np.ndarray], list[bool]]:
    """Return the samples of this rank's passes, and whether they count.

    Every rank makes as many passes, since sharded weights are gathered in each: one that has no
    samples left repeats the first, which does not count.
    """
    mine = order[accelerator.process_index :: accelerator.num_processes]
    passes = -(-len(order) // (accelerator.num_processes * batch_size))
    chunks = [mine[i * batch_size : (i + 1) * batch_size] for i in range(passes)]
    own = [len(chunk) > 0 for chunk in chunks]
    return [chunk if len(chunk) else order[:1] for chunk in chunks], own


@contextlib.contextmanager
def _memory_named(batch_size: int) -> Iterator[None]:
    """Turn an error that memory ran out into a `UserError` that names the flag."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise UserError(
            f"out of memory with {batch_size} samples in an evaluation pass: lower "
            "`per_device_eval_batch_size`"
        ) from error


class _Bar:
    """The progress bar of an evaluation: all ranks' samples, as far as the first one has come."""

    def __init__(self, split: str | None, total: int, accelerator: "Accelerator") -> None:
        self._rate, self._done, self._total = Rate(), 0, total
        self._bar: ProgressBar | None = None
        if split is not None and accelerator.is_main_process:
            self._bar = ProgressBar(f"evaluating {split}", total, stays=False)
            self._rate.add(time.perf_counter(), 0)

    def add(self, samples: int, sums: torch.Tensor) -> None:
        """Count samples; `sums` are those of the loss and of its targets, float64 [2] on the
        CPU."""
        if self._bar is None:
            return
        self._done = min(self._total, self._done + samples)
        self._rate.add(time.perf_counter(), self._done)
        loss, count = sums.tolist()
        facts = f"loss {loss / count:.4g}" if count else ""
        self._bar.show(self._done, self._rate.per_second, facts)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()


def evaluate(
    model: nn.Module,
    task: Task,
    features: Features,
    *,
    batch_size: int,
    accelerator: "Accelerator",
    dtype: torch.dtype = torch.float32,
    workers: int = 0,
    keep_errors: int = 0,
    split: str | None = None,
) -> Evaluation:
    """Run a split through the model, the longest samples first, divided among ranks.

    Only what the metrics need is kept, not the outputs. Every sample counts once with any number of
    ranks.

    Args:
        dtype: bfloat16 computes under autocast; float32 in the weights' own.
        keep_errors: how many of the hardest errors to keep.
        split: its name, for a progress bar of the first rank; None shows none.
    """
    begin = time.perf_counter()
    was_training = model.training
    model.eval()
    order = np.argsort(-features.lengths, kind="stable")
    chunks, own = _passes_of_rank(order, accelerator, batch_size)
    accumulator, hardest = task.accumulator(), HardestErrors(keep_errors)
    sums = torch.zeros(2, dtype=torch.float64)
    collate = collate_of(task, features.lengths, accelerator.device.type)
    loaded = batches(features, collate, chunks, workers)
    bar = _Bar(split, len(order), accelerator)
    with torch.inference_mode(), contextlib.closing(bar):
        for batch, counts in zip(loaded, own, strict=True):
            moved = batch.to(accelerator.device)
            with _memory_named(batch_size), autocast(accelerator.device, dtype):
                outputs = task.forward(model, moved)
                predictions = task.predict(model, moved, outputs)
            loss = task.loss(outputs, moved)
            sums += torch.stack([loss.sum, loss.count]).double().cpu() * counts
            seen = Evaluated(moved, outputs, loss, predictions, task.references(moved))
            task.update(accumulator, seen)
            if keep_errors and counts:
                hardest.update(Mistake(*found) for found in task.errors(seen))
            bar.add(len(batch.ids) * accelerator.num_processes, sums)
    if accelerator.num_processes > 1:
        from accelerate.utils import gather_object

        parts = gather_object([(accumulator.state(), sums, hardest.ranked())])
        accumulator = task.accumulator().merge([state for state, _, _ in parts])
        sums = torch.stack([s for _, s, _ in parts]).sum(0)
        hardest = HardestErrors(keep_errors)
        for _, _, mistakes in parts:
            hardest.update(mistakes)
    model.train(was_training)
    seconds = time.perf_counter() - begin
    return Evaluation(float(sums[0] / sums[1]), accumulator, seconds, hardest.ranked())
