"""The verb which_gpu: how much memory a model takes, and which GPUs have as much by their data
sheets. Nothing is said of speed, and no GPU is needed.

The network computes two small passes here, on the processor. What lives at the same time in each is
counted storage by storage; so is known what a sample takes, and what a pass takes in any case.
PyTorch's kernels on a GPU keep the same tensors for the backward pass, so the count is a forecast
and no measurement: RESERVE is left for what it does not see.
"""

import contextlib
import io
import math
import weakref
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.cases import models, random_weights, workload
from bench.cases.args import WhichGpuArgs
from bench.cases.targets import with_targets
from bench.measures.data_sheets import CARDS, sheet_of
from zoo.deploy import timed
from zoo.deploy.export import ExportSource
from zoo.machine import terminal
from zoo.machine.formatting import size
from zoo.machine.precision import autocast
from zoo.measure.workload import Forward
from zoo.runtimes import probe

if TYPE_CHECKING:
    from tasks.base import Batch, Task

RESERVE = 0.1
"""Share of a card's memory that is left for CUDA's context, the kernels' own workspace, and gaps
between blocks. An assumption."""
LEAST = 5_000_000
"""Bytes from which a part is named: it would read 0.00 GB."""
PROBED = 2, 8
"""Samples of the two passes: in one of a single sample copies of weights would outweigh it."""
MOMENTS = 2 * 4
"""Bytes a weight of AdamW's state: two moments in fp32."""


@dataclass(frozen=True)
class MemoryNeed:
    """Forecast of the memory of a pass, in bytes."""

    weights: int
    gradients: int
    optimizer: int
    any_pass: int
    """what a pass takes whatever its batch, as copies of weights in bf16"""
    per_sample: int

    def of(self, batch: int) -> int:
        """Return the bytes that a pass of so many samples takes, all in all."""
        return self.fixed + batch * self.per_sample

    @property
    def fixed(self) -> int:
        """The bytes that do not depend on the batch."""
        return self.weights + self.gradients + self.optimizer + self.any_pass

    def largest_batch(self, memory: float) -> int:
        """Return how many samples a pass in so many bytes has at most; 0 where not even one fits.

        Rounded down to two digits: it is a forecast.
        """
        found = math.floor((memory - self.fixed) / max(self.per_sample, 1))
        if found < 1:
            return 0
        digit: int = 10 ** max(0, len(str(found)) - 2)
        return found // digit * digit


class LiveStorages(TorchDispatchMode):
    """Inside this context manager, follows how many bytes of tensors live at the same time."""

    def __init__(self, before: Iterable[Tensor]) -> None:
        """Args: before: tensors that do not count, as the weights."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._before = {tensor.untyped_storage()._cdata for tensor in before}
        self._alive: dict[int, int] = {}  # number of each storage that lives, by its address
        self._events: list[tuple[int, int]] = []  # number of a storage, bytes more or fewer

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call an operator, and note the storages that it made."""
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._note(leaf)
        return result

    def _note(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        address = storage._cdata
        if address in self._before or address in self._alive:
            return
        number, count = len(self._events), storage.nbytes()
        self._alive[address] = number
        self._events.append((number, count))
        weakref.finalize(storage, self._gone, address, number, count)

    def _gone(self, address: int, number: int, count: int) -> None:
        if self._alive.get(address) == number:
            del self._alive[address]
        self._events.append((number, -count))

    def peak(self, without: Iterable[Tensor] = ()) -> int:
        """Return the most bytes that lived at the same time, other than those of some tensors."""
        left_out = {self._alive.get(each.untyped_storage()._cdata) for each in without}
        live = most = 0
        for number, change in self._events:
            if number not in left_out:
                live += change
                most = max(most, live)
        return most


def show(args: WhichGpuArgs) -> None:
    """Print what a model needs, and a table of GPUs.

    Raises `UserError` for an unknown model, or a length that it does not take.
    """
    terminal.quiet_libraries()
    models.must_be_known(args.model)
    if models.is_random(args.model):
        with contextlib.redirect_stderr(io.StringIO()):  # that a head is new is no news here
            folder = random_weights.checkpoint(args.model, args.length)
    else:
        folder = Path(args.model)
    need, length = forecast(ExportSource.open(folder), args)
    gb = {
        name: size(count, "GB", 2)
        for name, count in (
            ("weights", need.weights),
            ("gradients", need.gradients),
            ("AdamW", need.optimizer),
            ("a pass of any size", need.any_pass),
            (f"{args.batch_size:,} samples", args.batch_size * need.per_sample),
        )
        if count >= LEAST
    }
    total = need.of(args.batch_size)
    terminal.lines(
        f"{args.model}, {args.phase} in {args.dtype}, batch {args.batch_size:,}{length}: about "
        f"{size(total, 'GB', 2)} of GPU memory",
        ", ".join(f"{name} {count}" for name, count in gb.items()),
        "",
    )
    header = ("GPU", "memory", "holds it", "largest batch", "bf16")
    terminal.table(header, [_row(name, memory, total, need) for name, memory in CARDS])
    terminal.lines(
        "",
        "A forecast from passes on the processor: no GPU has measured it. Memory is that of the",
        f"data sheets, of which {RESERVE:.0%} are left free. On a GPU without bf16: --dtype fp32.",
    )


def _row(name: str, memory: int, total: int, need: MemoryNeed) -> tuple[str, ...]:
    room = (1 - RESERVE) * memory * 1e9
    sheet = sheet_of(name)
    has_bf16 = sheet is not None and "bf16" in sheet.flops
    largest = need.largest_batch(room)
    return (
        name,
        f"{memory} GB",
        "yes" if total <= room else "no",
        f"{largest:,}" if largest else "none",
        "yes" if has_bf16 else "no",
    )


def forecast(original: ExportSource, args: WhichGpuArgs) -> tuple[MemoryNeed, str]:
    """Return what a model needs, and its length in words: ", length 128".

    Raises `UserError` for a length that the model does not take.
    """
    model, task = original.model, original.task
    signature = probe.infer_signature(original.checkpoint, model, original.processor)
    asked = Forward({"batch": 1, **({"length": args.length} if args.length else {})})
    peaks = []
    for batch in PROBED:
        sizes = {**asked.sizes, "batch": batch}
        sized = workload.resolved(original, signature, replace(asked, sizes=sizes))
        arrays = timed.random_inputs(original, signature, sized)
        inputs = {name: torch.from_numpy(array) for name, array in arrays.items()}
        peaks.append(_peak(model, task, with_targets(inputs, task), args))
    per_sample = max(0, (peaks[1] - peaks[0]) // (PROBED[1] - PROBED[0]))
    weights = sum(each.nbytes for each in (*model.parameters(), *model.buffers()))
    trained = [each for each in model.parameters() if each.requires_grad]
    is_training = args.phase == "training"
    need = MemoryNeed(
        weights,
        sum(each.nbytes for each in trained) if is_training else 0,
        MOMENTS * sum(each.numel() for each in trained) if is_training else 0,
        max(0, peaks[1] - PROBED[1] * per_sample),
        per_sample,
    )
    axis = original.modality.axis
    known = sized.sizes.get(axis) if axis in signature.inputs[0].dims else args.length
    return need, f", length {known:,.12g}" if known else ""


def _peak(model: nn.Module, task: "Task", batch: "Batch", args: WhichGpuArgs) -> int:
    """Return the most bytes that live during a pass beside weights and gradients.

    The pass is one of evaluation, in which attention keeps no probabilities, as on a GPU; masks of
    dropout are added, a byte for each number.
    """
    model.eval()
    is_training = args.phase == "training"
    cpu, dtype = torch.device("cpu"), torch.bfloat16 if args.dtype == "bf16" else torch.float32
    before = (*model.parameters(), *model.buffers(), *batch.inputs.values())
    with LiveStorages(before) as live, _masks(model) as masks, torch.set_grad_enabled(is_training):
        with autocast(cpu, dtype):
            outputs = task.forward(model, batch)
        if is_training:
            task.loss(outputs, batch).sum.backward()
    gradients = [each.grad for each in model.parameters() if each.grad is not None]
    found: int = live.peak(gradients)
    model.zero_grad(set_to_none=True)
    return found + (sum(masks) if is_training else 0)


@contextlib.contextmanager
def _masks(model: nn.Module) -> Iterator[list[int]]:
    """Yield a list that gets the bytes of each mask that dropout would keep."""
    found: list[int] = []

    def note(_: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            found.append(output.numel())

    handles = [
        each.register_forward_hook(note)
        for each in model.modules()
        if isinstance(each, nn.Dropout) and each.p > 0
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
