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
    """Passes in `dtype` over fp32 weights."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype

    def computing(self) -> contextlib.AbstractContextManager[Any]:
        """See `Hook`."""
        return autocast(self._device, self._dtype)


class Fp16Training(Autocast):
    """Passes in fp16 over fp32 weights, with a scaled loss: for GPUs that have no bf16."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device, torch.float16)
        self.scaler: LossScaler = LossScaler(device)

    def state(self) -> dict[str, Named]:
        """See `Hook`."""
        scaler = self.scaler
        return {"loss_scale": {"scale": scaler.scale, "good_steps": scaler.good_steps}}

    def load_state(self, tensors: Mapping[str, Named]) -> None:
        """See `Hook`; a run that was in other arithmetic so far begins with the usual scale."""
        if (saved := tensors.get("loss_scale")) is not None:
            self.scaler.scale.copy_(saved["scale"])
            self.scaler.good_steps.copy_(saved["good_steps"])


class Bf16Training(Hook):
    """Passes over bf16 weights, without casts: see `zoo.speedups.bf16_weights`."""

    def attach(self, model: nn.Module, named: Named) -> Named:
        """See `Hook`."""
        self._weights = Bf16Weights(model)
        return named | self._weights.masters

    def after_backward(self) -> None:
        """See `Hook`."""
        self._weights.collect()

    def after_step(self, found_inf: Tensor | None = None) -> None:
        """See `Hook`."""
        self._weights.publish()

    def as_saved(self) -> contextlib.AbstractContextManager[Any]:
        """See `Hook`."""
        return self._weights.full_precision()

    def load_state(self, tensors: Mapping[str, Named]) -> None:
        """See `Hook`; the fp32 weights are part of the model's state."""
        self._weights.publish()
