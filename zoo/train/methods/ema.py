"""An exponential moving average of the weights."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import nn

from zoo.train.methods.base import Hook, Named
from zoo.train.optim.sharding import like, whole


class WeightAverage(Hook):
    """Averages trained parameters after each step (Polyak & Juditsky 1992; decay as in timm's
    ModelEma).

    The decay of the n-th update is min(decay, (1 + n) / (10 + n)), so that short runs are not held
    at their start (as in TensorFlow's ExponentialMovingAverage).
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.updates = 0

    def begin(self, parameters: Sequence[nn.Parameter]) -> None:
        """See `Hook`."""
        self._parameters = parameters
        self.shadow = [p.detach().clone() for p in parameters]

    def after_step(self) -> None:
        """Takes the new weights in."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self.shadow, [p.detach() for p in self._parameters], 1 - decay)

    @contextlib.contextmanager
    def as_saved(self) -> Iterator[None]:
        """Within it, the model has the averaged weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        with torch.no_grad():
            for shadow, parameter in zip(self.shadow, self._parameters, strict=True):
                kept = parameter.detach().clone()
                parameter.copy_(shadow)
                shadow.copy_(kept)

    def state(self) -> dict[str, Named]:
        """See `Hook`: the averages under their places, and how often they were updated."""
        named = {f"{i:05d}": whole(tensor) for i, tensor in enumerate(self.shadow)}
        return {"ema": named | {"updates": torch.tensor(self.updates)}}

    def load_state(self, tensors: Mapping[str, Named]) -> None:
        """See `Hook`."""
        saved = tensors["ema"]
        self.updates = int(saved["updates"])
        for i, shadow in enumerate(self.shadow):
            shadow.copy_(like(saved[f"{i:05d}"], shadow))
