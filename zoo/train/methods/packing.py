"""Samples of a pass lie one after the other in one row; see `tasks.packed`.

Nothing is padded, and all passes of a run have one shape. The loss is that of padded samples;
dropout draws other numbers.
"""

import functools
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tasks.base import Features
from tasks.errors import UserError
from tasks.packed import PackedShape, Packs
from tasks.printing import print_lines
from zoo.model.network import network_of
from zoo.train.methods.args import not_packed
from zoo.train.methods.base import Data, Learning, Method, Setup
from zoo.train.resume.order import epoch_order, packed_shape, pass_overhead, sizes_of

if TYPE_CHECKING:
    from zoo.train.args import TrainArgs

STEPS = 4096  # of the first epoch, that the size of a pass is chosen by
EMPTY = 0.5  # share of padding from which packing does not pay


class Packing(Method):
    """Trains on packed batches if the task, the network and the device support them."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._shape: PackedShape | None = None

    @classmethod
    def is_asked(cls, args: "TrainArgs") -> bool:
        """Return whether packing is on, or `auto` and possible; for `auto`, `model` decides."""
        possible = args.packing == "auto" and not_packed(args) is None
        return args.packing == "on" or (possible and torch.cuda.is_available())

    def model(self, model: Any, data: Data) -> Any:
        """Prepare the network for packed batches; raises `UserError` if `packing` is on and can't
        be done."""
        train, network = data.features["train"], network_of(self.setup.entry)
        plain = model.get_base_model() if hasattr(model, "peft_config") else model
        fault = self._fault(plain, data)
        shape = None if fault else self._fitting(train)
        if shape and self.setup.args.packing == "auto":
            fault = network.packing_is_slow(plain, self.setup.device, self.setup.dtype)
            if _filled(train, shape, self._step_size()) < EMPTY:
                fault = fault or "the longest samples would leave passes half empty"
        if fault:
            self._refuse(fault)
            return model
        assert shape is not None
        network.prepare_packing(plain, shape)
        self._shape = shape
        return model

    def manifest(self) -> dict[str, Any]:
        """Return the shape of the packed passes, or {} if nothing is packed (`Method.manifest`)."""
        return {"packing": asdict(self._shape)} if self._shape else {}

    def learning(self, learning: Learning, model: nn.Module, data: Data) -> Learning:
        """Collate samples into packed batches if the run packs (`Method.learning`)."""
        shape = self._shape
        if shape is None:
            return learning
        assert isinstance(data.task, Packs)
        if self.setup.is_main:
            print_lines(
                f"packed: passes of {shape.tokens:,} {data.task.unit}, {shape.samples} samples at "
                f"most, {_filled(learning.features, shape, self._step_size()):.0%} filled",
                file=sys.stderr,
            )
        collate = functools.partial(data.task.collate_packed, shape=shape)
        return replace(learning, collate=collate, packing=shape)

    def _fault(self, model: Any, data: Data) -> str | None:
        if not isinstance(data.task, Packs):
            return f"{data.task.name} has no packed batches"
        if not data.task.packs_windows and data.features["train"].rows.max(initial=1) > 1:
            return f"{data.task.name} reads long texts in windows"
        return network_of(self.setup.entry).packing_fault(model)

    def _refuse(self, fault: str) -> None:
        if self.setup.args.packing == "on":
            raise UserError(f"`packing` on: {fault}; leave `packing` away")
        if self.setup.device.type == "cuda" and self.setup.is_main:
            print_lines(f"not packed: {fault}", file=sys.stderr)

    def _step_size(self) -> int:
        """Return the number of samples of a step on one device."""
        args = self.setup.args
        return args.per_device_train_batch_size * args.gradient_accumulation_steps

    def _fitting(self, train: Features) -> PackedShape:
        """Return the shape of packed passes that takes the least time."""
        args, ranks = self.setup.args, self.setup.accelerator.num_processes
        begun = self.setup.begun  # a run keeps the order that it was begun in
        sampling = begun.sampling if begun else args.sampling_strategy(is_packed=True)
        order = epoch_order(train.lengths, args.seed, 0, sampling == "group_by_length")
        step_size = self._step_size() * ranks
        return packed_shape(
            train.lengths,
            train.rows,
            order[: STEPS * step_size],
            step_size=step_size,
            world_size=ranks,
            max_samples=args.per_device_train_batch_size,
            budget=args.token_budget,
            overhead=pass_overhead(train.lengths, self.setup.device.type),
        )


def _filled(train: Features, shape: PackedShape, step_size: int) -> float:
    """Return the share of tokens in the passes of a typical step on one device that are no
    padding."""
    tokens = float(sizes_of(train.lengths, train.rows).mean()) * min(step_size, len(train))
    passes = max(-(-step_size // shape.samples), -(-tokens // shape.tokens))
    return tokens / (passes * shape.tokens)
