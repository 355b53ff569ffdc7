"""An embedding of which only the rows that the training data uses are trained.

A vocabulary has 30,000 tokens, a data set uses some of them and a batch a few hundred. The gradient
of
an embedding is dense all the same: it is zeroed, measured, clipped and stepped through whole. Rows
that no example touches have no gradient, so leaving them out changes nothing but the time (weight
decay aside: unused rows keep their pretrained values).
"""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, place: Tensor, owner: "SparseEmbeddingGrad") -> Tensor:
        ctx.place, ctx.owner = place, owner
        return F.embedding(place, rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None]:
        ctx.owner.add_gradient(ctx.place, gradient)
        return None, None, None


class SparseEmbeddingGrad(nn.Module):
    """Replaces an nn.Embedding and trains only its used rows; the state dict stays the
    embedding's."""

    def __init__(self, embedding: nn.Embedding, used: np.ndarray) -> None:
        """Args: used: int64 [u], the ids that occur in training, sorted."""
        super().__init__()
        self.padding_idx = embedding.padding_idx
        self.rows = nn.Parameter(embedding.weight.detach()[torch.from_numpy(used)].clone())
        # plain attributes: a buffer would be broadcast by DDP with every step
        self._used = torch.from_numpy(used)
        self._whole = embedding.weight.detach()  # [vocabulary, hidden]
        self._place = torch.full((len(self._whole),), -1)
        self._place[self._used] = torch.arange(len(used))
        padding = embedding.padding_idx
        place = -1 if padding is None else int(self._place[padding])
        self._padding_place = place if place >= 0 else None
        # one memory for all gradients: set where no other rank waits for autograd to add them up
        self.reuse_gradient = False
        self._gradient: Tensor | None = None
        self._touched: list[Tensor] = []

    def forward(self, input: Tensor) -> Tensor:
        """Map ids, int64 [...], to vectors [..., hidden]; in training all ids must be used ones."""
        if self.training and self.reuse_gradient and self.rows.requires_grad:
            lookup: Callable[..., Tensor] = _Lookup.apply
            return lookup(self.rows, self._place[input], self)
        if self.training:
            return F.embedding(self._place[input], self.rows, self._padding_place)
        return F.embedding(input, self._whole, self.padding_idx)

    def add_gradient(self, place: Tensor, gradient: Tensor) -> None:
        """Add to the gradient of the rows; only rows touched before are zeroed, not the whole
        memory.

        Args: place: int64 [...]; gradient: [..., hidden].
        """
        if self.rows.grad is None:
            if self._gradient is None:
                self._gradient = torch.zeros_like(self.rows)
            for touched in self._touched:
                self._gradient[touched] = 0
            self._touched.clear()
            self.rows.grad = self._gradient
        touched, inverse = place.unique(return_inverse=True)
        sums = torch.ops.aten.embedding_dense_backward(gradient, inverse, len(touched), -1, False)
        self.rows.grad[touched] += sums.to(self.rows.dtype)
        if self._padding_place is not None:
            self.rows.grad[self._padding_place] = 0
        self._touched.append(touched)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; before evaluation, copy the trained rows into the full weight."""
        if not mode:
            self.whole()
        return super().train(mode)

    def whole(self) -> Tensor:
        """Return the embedding's full weight [vocabulary, hidden], with the trained rows."""
        with torch.no_grad():
            self._whole[self._used] = self.rows
        return self._whole

    def grown(self, rows: Tensor, others: Tensor | None = None) -> Tensor:
        """Return values of the trained rows [u, hidden] placed among those of all rows,
        [vocabulary, hidden].

        Args: others: values of the other rows, [vocabulary, hidden]; None: zeros.
        """
        found = rows.new_zeros(self._whole.shape) if others is None else others.clone()
        found[self._used] = rows.detach().to(found.dtype)
        return found

    def cut(self, values: Tensor) -> Tensor:
        """Return the values of the trained rows, [u, hidden], out of those of all rows,
        [vocabulary, hidden]; [u, hidden] is returned unchanged."""
        return values[self._used] if len(values) == len(self._whole) else values

    @property
    def untrained(self) -> Tensor:
        """Return the weight [vocabulary, hidden] whose untrained rows are valid; a resume writes to
        it."""
        return self._whole

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._used, self._place = fn(self._used), fn(self._place)
        self._whole = fn(self._whole)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        destination[f"{prefix}weight"] = self.whole().clone()

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        with torch.no_grad():
            self._whole.copy_(state_dict[f"{prefix}weight"])
            self.rows.copy_(self._whole[self._used])


def embeddings_of_rows(model: nn.Module) -> dict[str, SparseEmbeddingGrad]:
    """Return the `SparseEmbeddingGrad` modules of a model, by the name of their `rows`
    parameter."""
    return {
        f"{prefix}.rows" if prefix else "rows": module
        for prefix, module in model.named_modules()
        if isinstance(module, SparseEmbeddingGrad)
    }


def train_used_rows(model: nn.Module, embedding: nn.Embedding, used: np.ndarray) -> None:
    """Replace a trained embedding inside `model` by `SparseEmbeddingGrad`, on the CPU only.

    A GPU reads the whole weight in less time than it would wait for the ids of a batch.
    """
    padding, weight = embedding.padding_idx, embedding.weight
    if not weight.requires_grad or type(embedding) is not nn.Embedding:
        return
    if weight.device.type != "cpu":
        return
    if padding is not None:  # collation pads with it
        used = np.union1d(used, [padding])
    for module in list(model.modules()):
        for name, child in module.named_children():
            if child is embedding:
                setattr(module, name, SparseEmbeddingGrad(embedding, used))
