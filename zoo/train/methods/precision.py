"""How a pass computes: fp32 or autocast, or bf16 weights with fp32 ones in the optimizer."""

import contextlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from zoo.machine.precision import autocast
from zoo.speedups.bf16_weights import Bf16Weights
from zoo.train.methods.base import Hook, Named


class Autocast(Hook):
    """Passes in `dtype` over fp32 weights."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype

    def computing(self) -> contextlib.AbstractContextManager[Any]:
        """See `Hook`."""
        return autocast(self._device, self._dtype)


class Bf16Training(Hook):
    """Passes over bf16 weights, without casts: see `zoo.speedups.bf16_weights`."""

    def attach(self, model: nn.Module, named: Named) -> Named:
        """See `Hook`."""
        self._weights = Bf16Weights(model)
        return named | self._weights.masters

    def after_backward(self) -> None:
        """See `Hook`."""
        self._weights.collect()

    def after_step(self) -> None:
        """See `Hook`."""
        self._weights.publish()

    def as_saved(self) -> contextlib.AbstractContextManager[Any]:
        """See `Hook`."""
        return self._weights.full_precision()

    def load_state(self, tensors: Mapping[str, Named]) -> None:
        """See `Hook`; the fp32 weights are part of the model's state."""
        self._weights.publish()
