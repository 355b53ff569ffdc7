"""What a run is expected to cost, and that finding out leaves nothing behind."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from tasks.base import Batch
from zoo.train.args import TrainArgs
from zoo.train.reporting.forecast import forecast


class _Train:
    """Eight samples of four numbers."""

    lengths = rows = np.ones(8, np.int64)

    def __len__(self) -> int:
        return 8

    def __getitems__(self, ids: list[int]) -> list[torch.Tensor]:
        return [torch.full((4,), float(i)) for i in ids]


def _accumulator(parameter: nn.Parameter) -> Any:
    """The node of autograd that adds to a parameter's gradient; it lives as long as a pass does."""
    node = parameter.expand_as(parameter).grad_fn
    assert node is not None
    return node.next_functions[0][0]


def test_the_probing_pass_is_not_kept() -> None:
    """Softmax saves its own output, with which a hook could close a circle."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Softmax(-1))
    task = SimpleNamespace(
        collate=lambda rows: Batch({"x": torch.stack(rows)}, torch.arange(len(rows))),
        forward=lambda model, batch: {"logits": model(batch.inputs["x"])},
    )
    found = forecast(model, task, _Train(), TrainArgs(), torch.device("cpu"), torch.float32)
    assert found.memory > 0
    weight = model[0].weight
    _accumulator(weight).metadata["of"] = "the first look"
    assert "of" not in _accumulator(weight).metadata  # gone with the first, as nothing keeps it
