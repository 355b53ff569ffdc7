"""Structured pruning of our convolutional network: channels go, by stage and inside blocks.

Shortcuts add the outputs of a stage's blocks up, so all of them keep the same channels; the inner
channels of a block are its own affair. See `zoo.model.narrowing` for how channels are scored.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tasks.errors import UserError
from zoo.model.narrowing import rebuilt, strongest
from zoo.vision.modeling_cnn import CnnBlock, CnnForImageClassification

State = dict[str, Tensor]
NORM = ("weight", "bias", "running_mean", "running_var")


def widths(model: CnnForImageClassification) -> tuple[int, ...]:
    """Return the number of channels of each stage."""
    return tuple(model.config.widths)


def narrow(model: CnnForImageClassification, asked: Sequence[int]) -> nn.Module:
    """Return the network with `asked` channels in each stage; see `zoo.model.narrowing.narrow`.

    Raises `UserError` where stages of different widths would become equal: what joins them is a
    convolution then, and nothing between equal ones.
    """
    before = widths(model)
    for i in range(1, len(before)):
        if before[i] != before[i - 1] and asked[i] == asked[i - 1]:
            raise UserError(
                f"stages {i} and {i + 1} would both have {asked[i]} channels left, of "
                f"{before[i - 1]} and {before[i]}: lower `sparsity`"
            )
    state = model.state_dict()
    layers: Any = model.cnn.layers
    stages: list[list[tuple[str, CnnBlock]]] = [
        [(f"cnn.layers.{i}.{j}", block) for j, block in enumerate(stage)]
        for i, stage in enumerate(layers)
    ]
    kept = _kept(state, stages, before, asked)
    _take(state, "cnn.stem.0.weight", 0, kept[0])
    _take_norm(state, "cnn.stem.1", kept[0])
    for i, blocks in enumerate(stages):
        for j, (name, block) in enumerate(blocks):
            made, read = f"{name}.conv1.weight", f"{name}.conv2.weight"
            sides = state[made].abs().sum((1, 2, 3)) + state[read].abs().sum((0, 2, 3))
            inner = strongest(sides, asked[i])
            incoming = kept[i - 1] if j == 0 and i else kept[i]
            _take(state, made, 0, inner)
            _take(state, made, 1, incoming)
            _take_norm(state, f"{name}.norm1", inner)
            _take(state, read, 0, kept[i])
            _take(state, read, 1, inner)
            _take_norm(state, f"{name}.norm2", kept[i])
            if isinstance(block.shortcut, nn.Conv2d):
                _take(state, f"{name}.shortcut.weight", 0, kept[i])
                _take(state, f"{name}.shortcut.weight", 1, incoming)
                _take(state, f"{name}.shortcut.bias", 0, kept[i])
    _take(state, "classifier.weight", 1, kept[-1])
    config = copy.deepcopy(model.config)
    config.widths = tuple(asked)
    return rebuilt(model, config, state)


def _kept(
    state: State,
    stages: Sequence[Sequence[tuple[str, CnnBlock]]],
    before: Sequence[int],
    asked: Sequence[int],
) -> list[Tensor]:
    """Return the channels that each stage keeps, int64 [width]. Stages of equal width are joined by
    shortcuts without weights, so they keep the same channels."""
    scores: list[Tensor] = []
    for i, blocks in enumerate(stages):
        made = [f"{name}.conv2.weight" for name, _ in blocks]
        made += [f"{n}.shortcut.weight" for n, b in blocks if isinstance(b.shortcut, nn.Conv2d)]
        made += ["cnn.stem.0.weight"] * (i == 0)
        scores.append(torch.stack([state[name].abs().sum((1, 2, 3)) for name in made]).sum(0))
    kept: list[Tensor] = []
    i = 0
    while i < len(stages):
        end = next((j for j in range(i, len(stages)) if before[j] != before[i]), len(stages))
        chosen = strongest(torch.stack(scores[i:end]).sum(0), asked[i])
        kept += [chosen] * (end - i)
        i = end
    return kept


def _take(state: State, name: str, axis: int, places: Tensor) -> None:
    state[name] = state[name].index_select(axis, places)


def _take_norm(state: State, name: str, places: Tensor) -> None:
    for part in NORM:
        if f"{name}.{part}" in state:
            _take(state, f"{name}.{part}", 0, places)
