"""The network of a checkpoint, with its weights."""

import importlib
from typing import TYPE_CHECKING, Any

from zoo.model.loading import must_agree

if TYPE_CHECKING:
    import torch
    from torch import nn

    from zoo.store.checkpoint import Checkpoint


def load_network(checkpoint: "Checkpoint", device: "torch.device") -> tuple["nn.Module", Any]:
    """The model in fp32, ready to evaluate, and its processor."""
    network = importlib.import_module(checkpoint.entry.network)
    model, processor = network.load(checkpoint.folder)
    must_agree(checkpoint.folder, checkpoint.task, processor)
    return model.to(device).eval(), processor
