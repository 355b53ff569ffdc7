"""An exponential moving average of the weights."""

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from zoo.train.optim.sharding import like, whole


class WeightAverage:
    """Averages trained parameters after each step (Polyak & Juditsky 1992; decay as in timm's
    ModelEma).

    The decay of the n-th update is min(decay, (1 + n) / (10 + n)), so that short runs are not held
    at their start (as in TensorFlow's ExponentialMovingAverage).
    """

    def __init__(self, parameters: Sequence[nn.Parameter], decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.shadow = [p.detach().clone() for p in parameters]

    def update(self, parameters: Sequence[nn.Parameter]) -> None:
        """Takes the new weights in."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self.shadow, [p.detach() for p in parameters], 1 - decay)

    @contextlib.contextmanager
    def applied(self, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
        """Within it, the model has the averaged weights."""
        self._swap(parameters)
        try:
            yield
        finally:
            self._swap(parameters)

    def _swap(self, parameters: Sequence[nn.Parameter]) -> None:
        with torch.no_grad():
            for shadow, parameter in zip(self.shadow, parameters, strict=True):
                kept = parameter.detach().clone()
                parameter.copy_(shadow)
                shadow.copy_(kept)

    def tensors(self) -> dict[str, Tensor]:
        """What a saved state holds of it."""
        named = {f"{i:05d}": whole(tensor) for i, tensor in enumerate(self.shadow)}
        return named | {"updates": torch.tensor(self.updates)}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Puts a saved state back."""
        self.updates = int(tensors["updates"])
        for i, shadow in enumerate(self.shadow):
            shadow.copy_(like(tensors[f"{i:05d}"], shadow))
