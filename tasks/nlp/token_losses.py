"""What the logits of a batch of pieces of documents are worth, where the true tokens are known."""

from typing import TYPE_CHECKING, Any

from tasks.base import Batch, Outputs
from tasks.kinds.losses import IGNORED

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

MOST_LOGITS = 2**24
"""Logits that an evaluation holds at once, 64 MiB in float32."""


def apart(values: "Tensor", batch: Batch) -> "list[np.ndarray]":
    """Return values [b, seq] of a batch of pieces as arrays [tokens], one a piece."""
    known = batch.targets["labels"] != IGNORED
    rows = zip(values.cpu(), known.cpu(), strict=True)
    return [row[chosen].numpy() for row, chosen in rows]


def measured(model: Any, batch: Batch, rows: int) -> Outputs:
    """Return what the logits of a batch say of its labels, computed so many rows at a time; see
    `CausalLM.forward`."""
    import torch

    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for first in range(0, len(batch), rows):
        part = slice(first, first + rows)
        logits = model(**{name: each[part] for name, each in batch.inputs.items()}).logits.float()
        labels = batch.targets["labels"][part]
        score, guess = logits.max(-1)
        total = logits.logsumexp(-1)
        true = logits.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        parts.append(((total - true).masked_fill(labels == IGNORED, 0), guess, score - total))
    columns = (torch.cat(column) for column in zip(*parts, strict=True))
    return dict(zip(("loss", "guess", "score"), columns, strict=True))
