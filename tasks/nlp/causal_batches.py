"""Batches of texts whose tokens are guessed one from those before: padded, and packed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tasks.base import Batch
from tasks.kinds.losses import IGNORED
from tasks.nlp import packing
from tasks.nlp.tokenization import pad

if TYPE_CHECKING:
    from tasks.packed import PackedShape

Rows = Sequence[Mapping[str, Any]]
"""Rows of features: `input_ids`, of one piece, `bytes`, `document`, and where not all is learned
`learned`, 1 for each token behind the first that is."""


def labels_of(row: Mapping[str, Any]) -> list[int]:
    """Return at each place of a piece the token behind it, `IGNORED` where it is not learned."""
    [piece] = row["input_ids"]
    if "learned" not in row:
        return list(piece[1:])
    [learned] = row["learned"]
    both = zip(piece[1:], learned, strict=True)
    return [token if is_learned else IGNORED for token, is_learned in both]


def _given(rows: Rows) -> list[dict[str, Any]]:
    """Return the rows without the last token of each piece, behind which nothing is guessed."""
    return [{**row, "input_ids": [piece[:-1] for piece in row["input_ids"]]} for row in rows]


def padded(rows: Rows, pad_token_id: int, buckets: Sequence[int] = ()) -> Batch:
    """Return a batch of pieces padded on the right; see `CausalLM.collate`."""
    import torch

    batch = pad(_given(rows), pad_token_id, buckets=buckets).tensors()
    labels = torch.full_like(batch.inputs["input_ids"], IGNORED)
    for place, row in zip(labels, rows, strict=True):
        known = labels_of(row)
        place[: len(known)] = torch.tensor(known)
    numbers = {
        "bytes": torch.tensor([row["bytes"] for row in rows]),
        "documents": torch.tensor([row["document"] for row in rows]),
    }
    return replace(batch, targets={"labels": labels, **numbers})


def packed(rows: Rows, shape: "PackedShape", pad_token_id: int) -> Batch:
    """Return a batch of pieces in one row; see `tasks.packed.Packs`."""
    batch = packing.pack(_given(rows), shape, pad_token_id)
    return replace(batch, targets=packing.of_tokens([labels_of(row) for row in rows], shape))
