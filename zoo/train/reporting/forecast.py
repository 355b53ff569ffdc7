"""What a training run will cost, before it begins: rough, from one short measurement."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.autograd.graph import saved_tensors_hooks

from tasks.base import Features, Task
from zoo.machine.precision import autocast
from zoo.train.resume.order import Schedule

if TYPE_CHECKING:
    from tasks.packed import PackedShape
    from zoo.train.args import TrainArgs
    from zoo.train.methods.base import Method

GIB = 2**30
SAMPLED = 16  # samples of the probing pass


@dataclass(frozen=True)
class Forecast:
    """Expected cost of a run on one device."""

    seconds: float
    memory: int  # bytes
    available: int  # bytes free on the device now

    def __str__(self) -> str:
        minutes = self.seconds / 60
        when = f"{minutes:.0f} min" if minutes >= 1.5 else f"{self.seconds:.0f} s"
        return f"about {when} of training and {self.memory / GIB:.1f} GiB"

    def warning(self) -> str | None:
        """Return a line that warns of a run that may not fit in memory, or None."""
        if self.memory <= self.available:
            return None
        return (
            f"this needs about {self.memory / GIB:.1f} GiB and "
            f"{self.available / GIB:.1f} are free: lower "
            "`per_device_train_batch_size` or `token_budget`, or turn on `gradient_checkpointing`"
        )


def forecast(
    model: Any,
    task: Task,
    train: Features,
    args: "TrainArgs",
    device: torch.device,
    dtype: torch.dtype,
    methods: "Sequence[Method]" = (),
    packing: "PackedShape | None" = None,
) -> Forecast:
    """Estimate the seconds and bytes of a training from one forward pass over a few typical
    samples.

    Time: three times that of the pass, since the backward pass takes twice the products of the
    forward one (Kaplan et al. 2020, section 2.1). Memory: weights, gradients and two moments of 4
    bytes, and what the pass keeps for its gradient, scaled to the largest pass of the training. A
    method's networks (a teacher) add their weights and their own forward passes. Packed passes all
    have the size of `packing`.
    """
    step = args.per_device_train_batch_size * args.gradient_accumulation_steps
    steps = Schedule.of(len(train), step, args.num_train_epochs, args.max_steps).total_steps
    sizes = train.lengths * train.rows
    middle = np.argsort(sizes, kind="stable")[len(sizes) // 2 :][:SAMPLED]
    seconds, kept = _one_pass(model, task, train, middle, device, dtype)
    probed = float(sizes[middle].sum())
    largest = args.token_budget or args.per_device_train_batch_size * float(sizes.max())
    if packing is not None:
        largest = packing.tokens
    # the pass probes labelled rows
    beside = sum(method.rows_beside for method in methods)
    seconds, kept = seconds * (1 + beside), kept * (1 + beside)
    seconds *= 3
    total = sum(p.numel() for p in model.parameters())
    for other in (other for method in methods for other in method.networks_beside):
        seconds += _one_pass(other, task, train, middle, device, dtype)[0]
        total += sum(p.numel() for p in other.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Forecast(
        seconds * float(sizes.mean()) * step * steps / probed,
        4 * total + 12 * trained + int(kept * largest / probed),
        available_memory(device),
    )


def _one_pass(
    model: Any,
    task: Task,
    train: Features,
    ids: np.ndarray,
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[float, int]:
    """Return the seconds of a forward pass, and the bytes that it keeps for the gradient in
    addition to the weights."""
    batch = task.collate(train.__getitems__([int(i) for i in ids])).to(device)
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        # the tensor itself may be the output of the node that saves it: a circle, which would keep
        # the pass in memory, and its stream's nodes, of which a graph can't be captured
        return tensor.detach()

    was_training = model.training
    model.eval()  # a pass in training would draw numbers and move the statistics of batch norms
    seconds = float("inf")
    for _ in range(2):  # the first also loads kernels
        begin = time.perf_counter()
        with autocast(device, dtype), saved_tensors_hooks(note, lambda tensor: tensor):
            outputs = task.forward(model, batch)
            sums = [tensor.sum() for tensor in outputs.values()]
            torch.stack(sums).tolist()  # waits for the device
        seconds = min(seconds, time.perf_counter() - begin)
    model.train(was_training)
    return seconds, sum(kept.values())


def available_memory(device: torch.device) -> int:
    """Return how many bytes a device still has free."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    import psutil

    return int(psutil.virtual_memory().available)
