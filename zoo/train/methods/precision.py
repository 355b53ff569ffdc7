"""How a pass computes: fp32, autocast in bf16 or fp16, or bf16 weights with fp32 ones in the
optimizer."""

import contextlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo.machine.precision import autocast
from zoo.speedups.bf16_weights import Bf16Weights
from zoo.train.methods.base import Hook, Named
from zoo.train.optim.loss_scale import LossScaler


class Autocast(Hook):
    """Computes passes in `dtype` by autocast, with fp32 weights."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype

    def computing(self) -> contextlib.AbstractContextManager[Any]:
        """Return the autocast context of a pass (`Hook.computing`)."""
        return autocast(self._device, self._dtype)


class Fp16Training(Autocast):
    """Computes passes in fp16 with fp32 weights and a scaled loss, for GPUs that have no bf16."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device, torch.float16)
        self.scaler: LossScaler = LossScaler(device)

    def state(self) -> dict[str, Named]:
        """Return the loss scale and the number of good steps (`Hook.state`)."""
        scaler = self.scaler
        return {"loss_scale": {"scale": scaler.scale, "good_steps": scaler.good_steps}}

    def load_state(self, tensors: Mapping[str, Named]) -> None:
        """Restore the loss scale; a run that had other arithmetic before starts with the default
        scale."""
        if (saved := tensors.get("loss_scale")) is not None:
            self.scaler.scale.copy_(saved["scale"])
            self.scaler.good_steps.copy_(saved["good_steps"])


class Bf16Training(Hook):
    """Computes passes with bf16 weights and without casts (`zoo.speedups.bf16_weights`)."""

    def attach(self, model: nn.Module, named: Named) -> Named:
        """Convert the model's weights to bf16; return the fp32 weights to optimize in their
        place."""
        self._weights = Bf16Weights(model)
        return named | self._weights.masters

    def after_backward(self) -> None:
        """Move the gradients of the pass to the fp32 weights."""
        self._weights.collect()

    def after_step(self, found_inf: Tensor | None = None) -> None:
        """Copy the updated fp32 weights into the model, rounded to bf16."""
        self._weights.publish()

    def as_saved(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which the network has its fp32 weights."""
        return self._weights.full_precision()

    def load_state(self, tensors: Mapping[str, Named]) -> None:
        """Copy the restored fp32 weights, which belong to the model's state, into the model as
        bf16."""
        self._weights.publish()
