"""A model's metrics and loss on one split."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from tasks.base import Batch, Collate, Features, Task
from tasks.errors import UserError
from zoo.train.memory import out_of_memory
from zoo.train.precision import autocast

if TYPE_CHECKING:
    from accelerate import Accelerator

    from tasks.metrics import Measured, Tally


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found."""

    loss: float  # mean over targets
    tally: "Tally"
    seconds: float

    @property
    def measured(self) -> "list[Measured]":
        """The task's metrics, each with n and interval."""
        return self.tally.compute()

    def value(self, metric: str) -> float:
        """The value of one metric."""
        return next(m.value for m in self.measured if m.name == metric)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on a device, copied without waiting where that can be."""
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


def batches(
    features: Features,
    collate: Collate,
    chunks: Iterable[Any],
    workers: int = 0,
    pin: bool = False,
) -> Iterator[Batch]:
    """Collated batches of the given samples, in that order, prepared by `workers` processes.

    A chunk is taken when its batch is prepared: two for each worker are taken ahead.
    """
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
    """The same batches; torch gives a worker's `UserError` a traceback for its text, which goes."""
    try:
        yield from loader
    except UserError as error:
        kind = f"{UserError.__module__}.{UserError.__qualname__}: "
        raise UserError(str(error).rpartition(kind)[2].strip()) from None


def evaluate(
    model: nn.Module,
    task: Task,
    features: Features,
    *,
    batch_size: int,
    accelerator: "Accelerator",
    dtype: torch.dtype = torch.float32,
    workers: int = 0,
) -> Evaluation:
    """Runs a split through the model, longest samples first, each rank its share.

    Keeps predictions and references, never logits. Every sample counts once however many ranks
    there are.

    Args:
        dtype: bfloat16 computes under autocast; float32 in the weights' own.
    """
    begin = time.perf_counter()
    was_training = model.training
    model.eval()
    order = np.argsort(-features.lengths, kind="stable")
    mine = order[accelerator.process_index :: accelerator.num_processes]
    # every rank makes as many passes (sharded weights are gathered in each); repeated samples count
    # once
    passes = -(-len(order) // (accelerator.num_processes * batch_size))
    chunks = [mine[i * batch_size : (i + 1) * batch_size] for i in range(passes)]
    own = [len(chunk) > 0 for chunk in chunks]
    chunks = [chunk if len(chunk) else order[:1] for chunk in chunks]
    tally = task.tally()
    sums = torch.zeros(2, dtype=torch.float64)
    loaded = batches(features, task.collate, chunks, workers)
    with torch.inference_mode():
        for batch, counts in zip(loaded, own, strict=True):
            moved = to_device(batch, accelerator.device)
            try:
                with autocast(accelerator.device, dtype):
                    logits = task.logits(model, moved)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                raise UserError(
                    f"out of memory with {batch_size} samples in an evaluation pass: lower "
                    "--per_device_eval_batch_size"
                ) from error
            loss = task.loss(logits, moved)
            sums += torch.stack([loss.sum, loss.count]).double().cpu() * counts
            task.count(tally, moved, logits)
    if accelerator.num_processes > 1:
        from accelerate.utils import gather_object

        states = gather_object([(tally.state(), sums)])
        tally = task.tally().merge([state for state, _ in states])
        sums = torch.stack([s for _, s in states]).sum(0)
    model.train(was_training)
    return Evaluation(float(sums[0] / sums[1]), tally, time.perf_counter() - begin)
