"""Rows whose padding may be anywhere, moved so that what counts comes first."""

import torch
from torch import Tensor


def places_in_front(mask: Tensor) -> Tensor:
    """Return the place of each position once those that count are moved to the front, in their
    order.

    Args:
        mask: [batch, positions], not 0 where a position counts.

    Returns int64 [batch, positions], a permutation of each row; padding goes behind. Where padding
    is on the right already, each position stays. By sums: ExecuTorch has no operator to sort with.
    """
    counts = (mask != 0).long()
    behind = counts.sum(1, keepdim=True) + (1 - counts).cumsum(1)
    return torch.where(counts == 1, counts.cumsum(1), behind) - 1


def in_front(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Rows x [batch, positions, width] with what counts in front, and int64 [batch], how much does.

    Args:
        mask: [batch, positions], not 0 where a position counts.
    """
    places = places_in_front(mask)
    position = torch.arange(mask.shape[1], device=mask.device).expand_as(places)
    order = torch.zeros_like(places).scatter(1, places, position)  # what stands at each place
    rows = torch.arange(x.shape[0], device=x.device).unsqueeze(1) * x.shape[1]
    return x.flatten(0, 1)[(rows + order).flatten()].view_as(x), (mask != 0).sum(1)
