"""An exponential moving average of the weights."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from zoo.speedups.sparse_embedding import SparseEmbeddingGrad, embeddings_of_rows
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
        # on the device, where it counts replayed steps as well; float64 is as exact as Python
        self._updates = torch.zeros((), dtype=torch.float64)
        self._embeddings: dict[int, SparseEmbeddingGrad] = {}

    @property
    def updates(self) -> int:
        """Return how many updates the average has received."""
        return int(self._updates)

    def attach(self, model: nn.Module, named: Named) -> Named:
        """Remember the embeddings whose used rows alone are trained; return `named` unchanged."""
        rows = embeddings_of_rows(model)
        self._embeddings = {id(named[name]): embedding for name, embedding in rows.items()}
        return named

    def begin(self, parameters: Sequence[nn.Parameter]) -> None:
        """Start the averages from the current weights (`Hook.begin`)."""
        self._parameters = parameters
        self.shadow = [p.detach().clone() for p in parameters]
        if parameters:
            self._updates = self._updates.to(parameters[0].device)

    def after_step(self, found_inf: Tensor | None = None) -> None:
        """Update the averages with the new weights, unless the step was skipped."""
        n = self._updates.add_(1 if found_inf is None else 1 - found_inf)
        share = (1 - ((1 + n) / (10 + n)).clamp(max=self.decay)).float()
        if found_inf is not None:
            share = share * (1 - found_inf)
        weights = [p.detach() for p in self._parameters]
        if any(isinstance(shadow, DTensor) for shadow in self.shadow):
            torch._foreach_lerp_(self.shadow, weights, float(share))
        else:
            average_(self.shadow, weights, share, few_kernels=share.device.type != "cpu")

    @contextlib.contextmanager
    def as_saved(self) -> Iterator[None]:
        """Context manager in which the model has the averaged weights."""
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
        """Return the averages by index and the number of updates (`Hook.state`); embeddings are
        saved whole."""
        named = {}
        for i, (tensor, parameter) in enumerate(zip(self.shadow, self._parameters, strict=True)):
            value = whole(tensor)
            if (embedding := self._embeddings.get(id(parameter))) is not None:
                value = embedding.grown(value, embedding.untrained)
            named[f"{i:05d}"] = value
        return {"ema": named | {"updates": torch.tensor(self.updates)}}

    def load_state(self, tensors: Mapping[str, Named]) -> None:
        """Restore the averages and the number of updates (`Hook.load_state`)."""
        saved = tensors["ema"]
        self._updates.fill_(int(saved["updates"]))
        for i, (shadow, parameter) in enumerate(zip(self.shadow, self._parameters, strict=True)):
            value, embedding = saved[f"{i:05d}"], self._embeddings.get(id(parameter))
            shadow.copy_(like(value if embedding is None else embedding.cut(value), shadow))


def average_(shadow: list[Tensor], weights: list[Tensor], share: Tensor, few_kernels: bool) -> None:
    """Move `shadow` towards `weights` by `share`, a float32 scalar on the same device, in place.

    Args: few_kernels: update all weights together, which is faster on a GPU and rounds differently.
    """
    if few_kernels:
        moves = list(torch._foreach_sub(weights, shadow))
        torch._foreach_mul_(moves, share)
        torch._foreach_add_(shadow, moves)
    else:
        for old, new in zip(shadow, weights, strict=True):
            old.lerp_(new, share.to(old.dtype))
