"""Structured pruning: whole units go, and the network is smaller and faster on any hardware.

A unit is scored by the sum of its absolute weights, those that make it and those that read it (Li
et al. 2017, "Pruning Filters for Efficient ConvNets", https://arxiv.org/abs/1608.08710, scores by
the first). All layers of a kind are cut to one width, so that the config can say it and the result
is a checkpoint like any other.

Here: the inner neurons of a transformer's feed-forward layers. Attention heads stay: the configs of
the encoders in question derive the size of a head from the number of heads, so they can't say that
some are gone. A network of another build overrides `Network.prunable_widths` and `prune_units`.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tasks.errors import UserError

INNER = ("intermediate_size", "hidden_dim")
"""What configs call the width of the inner layer."""
STEP = 8  # widths are multiples of it, as vector units like them


def widths(model: Any) -> tuple[int, ...]:
    """The widths that `narrow` can lower: here one, that of the inner feed-forward layers.

    Raises `UserError` where the network has no such layers.
    """
    return (int(getattr(model.config, _field(model))),)


def narrow(model: Any, asked: Sequence[int]) -> nn.Module:
    """A model of the same kind with these widths; the strongest units keep their weights.

    Raises `UserError` where the network has no such layers.
    """
    (width,) = asked
    config = copy.deepcopy(model.config)
    setattr(config, _field(model), width)
    return rebuilt(model, config, cut_pairs(model, _pairs(model), width))


def cut_pairs(model: nn.Module, pairs: Sequence[tuple[str, str]], width: int) -> dict[str, Tensor]:
    """The state dict of a model whose pairs of linear layers have `width` neurons between them.

    Args:
        pairs: names of the layer that makes the neurons and of the one that reads them.
    """
    state = model.state_dict()
    for up, down in pairs:
        makes, reads = state[f"{up}.weight"], state[f"{down}.weight"]
        kept = strongest(makes.abs().sum(1) + reads.abs().sum(0), width)
        state[f"{up}.weight"], state[f"{down}.weight"] = makes[kept], reads[:, kept]
        if f"{up}.bias" in state:
            state[f"{up}.bias"] = state[f"{up}.bias"][kept]
    return state


def strongest(scores: Tensor, count: int) -> Tensor:
    """The places of the `count` highest of scores [n], in ascending order: int64 [count]."""
    return scores.topk(count).indices.sort().values


def rebuilt(model: nn.Module, config: Any, state: Mapping[str, Tensor]) -> nn.Module:
    """A model of the same class by another config, with these weights.

    Raises `UserError` where they do not fit: the network is built in a way that was not foreseen.
    """
    made: nn.Module = type(model)(config)
    try:
        made.load_state_dict({name: tensor.contiguous() for name, tensor in state.items()})
    except RuntimeError as error:
        raise UserError(
            f"{type(model).__name__} can't be cut this way ({str(error).splitlines()[-1].strip()}):"
            " leave `structured` away"
        ) from None
    return made.to(next(iter(state.values())).device, torch.float32)


def targets(dense: Sequence[int], share: float) -> tuple[int, ...]:
    """The widths that are left of `dense` when a share is cut: multiples of `STEP`, at least one
    step, and never more than there were."""
    return tuple(min(w, max(STEP, round(w * (1 - share) / STEP) * STEP)) for w in dense)


def _field(model: Any) -> str:
    for name in INNER:
        if isinstance(getattr(model.config, name, None), int):
            return name
    raise UserError(
        f"{type(model).__name__} can't be pruned by structure: its config knows no width of inner "
        "feed-forward layers; leave `structured` away"
    )


def _pairs(model: Any) -> list[tuple[str, str]]:
    """The linear layers that make the inner neurons, each with the one that reads them.

    They are those that another width in the config would change: sizes alone do not tell, where the
    inner width is that of the outside too.
    """
    config = copy.deepcopy(model.config)
    setattr(config, _field(model), getattr(config, _field(model)) + STEP)
    with torch.device("meta"):
        wider = dict(type(model)(config).named_modules())
    ups, downs = [], []
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            other = wider[name]
            ups += [name] * (other.out_features == module.out_features + STEP)
            downs += [name] * (other.in_features == module.in_features + STEP)
    if not ups or len(ups) != len(downs):
        raise UserError(
            f"{type(model).__name__} can't be pruned by structure: its feed-forward layers are no "
            "pairs of linear ones; leave `structured` away"
        )
    return list(zip(ups, downs, strict=True))
