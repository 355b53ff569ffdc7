"""What a training run will cost, before it begins: rough, from one short measurement."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.autograd.graph import saved_tensors_hooks

from tasks.base import Features, Task
from zoo.machine.formatting import duration
from zoo.machine.memory import available_memory
from zoo.machine.precision import autocast
from zoo.train.resume.order import Schedule

if TYPE_CHECKING:
    from tasks.packed import PackedShape
    from zoo.train.args import TrainArgs
    from zoo.train.methods.base import Method

GIB = 2**30
SAMPLED = 16  # samples of the probing pass


MOMENTS = {
    "adamw": 2,
    "adam": 2,
    "adamax": 2,
    "adadelta": 2,
    "adagrad": 1,
    "rmsprop": 1,
    "sgd": 1,
}
"""Numbers that an optimizer keeps beside each one that is trained: `torch.optim`."""
TRANSIENT = 1.25
"""Memory of a step over what its forward pass keeps: the gradients that are on their way."""


@dataclass(frozen=True)
class Forecast:
    """Expected cost of a run on one device."""

    seconds: float
    memory: int  # bytes of the process (of a GPU: of its allocator) at the most
    more: int  # of these, bytes that are not taken yet
    available: int  # bytes free on the device now

    def __str__(self) -> str:
        return (
            f"about {duration(max(1.0, self.seconds))} of training and {self.memory / GIB:.1f} GiB"
        )

    def warning(self) -> str | None:
        """Return a line that warns of a run that may not fit in memory, or None."""
        if self.more <= self.available:
            return None
        return (
            f"this needs about {self.more / GIB:.1f} GiB more than now and "
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
    """Estimate the seconds and bytes of a training from forward passes over a few typical samples.

    Time: three times that of a pass, since the backward pass takes twice the products of the
    forward one (Kaplan et al. 2020, section 2.1). Memory: what is taken already (libraries, data,
    weights), gradients, the optimizer's moments and averaged weights of 4 bytes each, and what a
    pass keeps for its gradient. Two sizes of a pass tell which part of that grows with it: weights
    that autocast has rounded don't. A method's networks (a teacher) add their own forward passes.
    Packed passes all have the size of `packing`. Time left is told anew as the run goes on, from
    the rate of its last steps: see `zoo.train.reporting.progress_bar`.
    """
    step = args.per_device_train_batch_size * args.gradient_accumulation_steps
    steps = Schedule.of(len(train), step, args.num_train_epochs, args.max_steps).total_steps
    now = taken_memory(device)
    ids, sizes = typical(train), train.lengths * train.rows
    few = ids[: max(1, len(ids) // 4)]
    _, kept_few = one_pass(model, task, train, few, device, dtype)  # it also loads kernels
    passes = [one_pass(model, task, train, ids, device, dtype) for _ in range(2)]
    seconds, kept = min(seconds for seconds, _ in passes), passes[-1][1]
    padded_few, padded = (len(some) * float(sizes[some].max()) for some in (few, ids))
    slope = (kept - kept_few) / (padded - padded_few) if padded > padded_few else kept / padded
    fixed = max(0.0, kept - slope * padded)
    keeps = fixed + slope * _largest_pass(sizes, args, packing)
    # the pass probes labelled rows
    beside = sum(method.rows_beside for method in methods)
    seconds, keeps = 3 * seconds * (1 + beside), keeps * (1 + beside)
    for other in (other for method in methods for other in method.networks_beside):
        seconds += one_pass(other, task, train, ids, device, dtype, loss=False)[0]
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    numbers = 1 + MOMENTS[args.optim] + (args.ema_decay > 0)
    more = 4 * numbers * trained + int(TRANSIENT * keeps)
    return Forecast(
        seconds * float(sizes.mean()) * step * steps / float(sizes[ids].sum()),
        now + more,
        more,
        available_memory(device),
    )


def typical(train: Features) -> np.ndarray:
    """Return the ids of up to `SAMPLED` samples from the middle of the sizes on."""
    sizes = train.lengths * train.rows
    return np.argsort(sizes, kind="stable")[len(sizes) // 2 :][:SAMPLED]


def _largest_pass(sizes: np.ndarray, args: "TrainArgs", packing: "PackedShape | None") -> float:
    """Return the units (tokens, pixels, seconds) of the largest pass: that of the longest samples,
    as a pass of few long ones among short ones is cut."""
    if packing is not None:
        return packing.tokens
    longest = np.sort(sizes)[-args.per_device_train_batch_size :]
    whole = float(longest.sum())
    return (
        whole
        if args.token_budget is None
        else max(float(longest[-1]), min(args.token_budget, whole))
    )


def one_pass(
    model: Any,
    task: Task,
    train: Features,
    ids: np.ndarray,
    device: torch.device,
    dtype: torch.dtype,
    loss: bool = True,
) -> tuple[float, int]:
    """Return the seconds of a forward pass, with its loss unless that is unwanted, and the bytes
    that it keeps for the gradient in addition to the weights."""
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
    begin = time.perf_counter()
    with autocast(device, dtype), saved_tensors_hooks(note, lambda tensor: tensor):
        outputs = task.forward(model, batch)
        sums = [tensor.sum().float() for tensor in outputs.values()]
        if loss:
            sums.append(task.loss(outputs, batch).sum.float())
        torch.stack(sums).tolist()  # waits for the device
    seconds = time.perf_counter() - begin
    model.train(was_training)
    return seconds, sum(kept.values())


def taken_memory(device: torch.device) -> int:
    """Return how many bytes are taken now: of a GPU by PyTorch's allocator, else by this
    process."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    import psutil

    return int(psutil.Process().memory_info().rss)
