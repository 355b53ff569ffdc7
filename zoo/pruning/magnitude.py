"""Unstructured pruning: the smallest weights of a whole network become 0 and stay 0.

Han et al. 2015, "Learning both Weights and Connections for Efficient Neural Networks"
(https://arxiv.org/abs/1506.02626). One threshold for all layers, on magnitudes that each layer has
set in proportion: Lee et al. 2021, "Layer-adaptive Sparsity for the Magnitude-based Pruning"
(https://arxiv.org/abs/2010.07611). The bare magnitudes would empty whole layers: of MiniLM's, at
half of all weights, 99.9% of the pooler's, and nothing learned any more. How much goes at which
stage: Zhu & Gupta 2017, "To prune, or not to prune" (https://arxiv.org/abs/1710.01878).

A mask is held by a hook on its parameter's gradient. What has no gradient from the first step on
has no momentum either, and weight decay leaves 0 as it is, so every optimizer here keeps it at 0
and the loop need know nothing. torch.nn.utils.prune would put a second tensor and another name in
the place of each weight: neither the bf16 copies of the loop nor a plain checkpoint have these.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tasks.errors import UserError
from zoo.train.methods.tuning import heads_of

Masks = dict[str, Tensor]
"""Of each pruned parameter by name: bool of its shape, true where it stays."""


def share_at(stage: int, stages: int, target: float) -> float:
    """Return the share that is pruned after `stage` of `stages`: s (1 - (1 - k / K)^3), equation 1
    of Zhu & Gupta with nothing pruned at the start."""
    return target * (1 - (1 - stage / stages) ** 3)


def prunable(model: Any) -> dict[str, nn.Parameter]:
    """Return the weights of linear, convolutional, recurrent and attention layers, by name.

    Heads are spared (small, and read by nothing that could make up for them), and so is what an
    embedding shares.
    """
    heads = tuple(f"{head}." for head in heads_of(model))
    shared = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    found: dict[str, nn.Parameter] = {}
    for prefix, module in model.named_modules():
        for name in _weights(module):
            parameter = module._parameters.get(name)  # none where it is computed (weight norm)
            path = f"{prefix}.{name}" if prefix else name
            if parameter is not None and id(parameter) not in shared and not path.startswith(heads):
                found[path] = parameter
    return found


def _weights(module: nn.Module) -> list[str]:
    if isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
        return ["weight"]
    if isinstance(module, nn.MultiheadAttention):
        return ["in_proj_weight"]
    if isinstance(module, nn.RNNBase):
        return [name for name in module._parameters if name.startswith("weight")]
    return []


def prune(model: nn.Module, share: float) -> Masks:
    """Set that share of the prunable weights, those with the lowest scores, to 0, and return masks
    of the rest. The largest weight of a layer always stays.

    Raises `UserError` where the network has none.
    """
    weights = prunable(model)
    if not weights:
        raise UserError(f"{type(model).__name__} has no linear, convolutional or recurrent layer")
    scored = {name: scores(w.detach()) for name, w in weights.items()}
    every = torch.cat([score.flatten() for score in scored.values()])
    count = round(share * len(every))
    threshold = every.kthvalue(count).values if count else every.new_tensor(-1.0)
    masks = {name: (score > threshold) | (score == 1) for name, score in scored.items()}
    with torch.no_grad():
        for name, weight in weights.items():
            weight.mul_(masks[name])
    return masks


def scores(weight: Tensor) -> Tensor:
    """Return equation 4 of Lee et al. for each weight of a layer, float32 of its shape: its square,
    divided by the sum of squares without all smaller weights. The largest has 1."""
    squares, order = weight.flatten().double().square().sort()
    left = squares.flip(0).cumsum(0).flip(0)
    shares = torch.where(left > 0, squares / left, 0.0).float()
    return torch.empty_like(shares).scatter_(0, order, shares).view(weight.shape)


def hold(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Keep the gradients of masked weights at 0 for the life of the model."""
    for name, parameter in model.named_parameters():
        if name in masks and parameter.requires_grad:
            parameter.register_hook(partial(torch.mul, masks[name].to(parameter.device)))


def zeros(model: nn.Module) -> tuple[int, int]:
    """Return how many of the prunable weights are 0, and how many there are."""
    weights = prunable(model).values()
    return sum(int((w == 0).sum()) for w in weights), sum(w.numel() for w in weights)
