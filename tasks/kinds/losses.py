"""Losses that several kinds of task share, and what must hold for a teacher's."""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.base import Loss

if TYPE_CHECKING:
    import torch
    from torch import Tensor

IGNORED = -100
"""The label of what is no target: torch's `ignore_index`."""


@functools.lru_cache(maxsize=16)
def constant(values: tuple[float, ...], device: "torch.device") -> "Tensor":
    """Return numbers as a float32 tensor on a device, cached so that it is copied there only once:
    a copy in every pass would wait for the device.

    It must not be changed.
    """
    import torch

    with torch.inference_mode(False):  # or one that an evaluation made could not be trained with
        return torch.tensor(values, device=device)


def balanced(counts: Sequence[int]) -> tuple[float, ...]:
    """Return the weight of each class from how often it comes: n / (classes * count), as
    scikit-learn's "balanced", n being the sum of the counts.

    A class that never comes weighs 1: a smoothed label has a share of every class, and a weight as
    of one that comes once would be all that such a loss sees.
    """
    n = sum(counts)
    return tuple(n / (len(counts) * count) if count else 1.0 for count in counts)


def windows_of(windows: "Tensor", samples: int) -> "Tensor":
    """Return the number of windows of each sample, int64 [samples].

    As `bincount` says it, which waits for a GPU.

    Args:
        windows: int64 [n], the sample that each window belongs to.
    """
    counts = windows.new_zeros(samples)
    return counts.index_add(0, windows, windows.new_ones(()).expand(len(windows)))


def cross_entropy(
    logits: "Tensor", labels: "Tensor", label_smoothing: float
) -> "tuple[Tensor, Tensor | None]":
    """Return the cross entropy summed over targets, and without gradient that of each target, or
    None if labels are smoothed; one softmax serves both.

    Args:
        logits: float32 [b, classes, ...].
        labels: int64 [b, ...]; `IGNORED` is no target.
    """
    import torch.nn.functional as F

    if label_smoothing:
        smooth = F.cross_entropy(logits, labels, reduction="sum", label_smoothing=label_smoothing)
        return smooth, None
    log_probs = logits.log_softmax(1)  # as F.cross_entropy computes it
    terms = F.nll_loss(log_probs.detach(), labels, reduction="none")
    return F.nll_loss(log_probs, labels, reduction="sum"), terms


def of_targets(logits: "Tensor", labels: "Tensor", label_smoothing: float) -> Loss:
    """Return the cross entropy summed over the targets that are not `IGNORED`, and their count; see
    `cross_entropy`. No shape depends on how many targets there are."""
    loss, terms = cross_entropy(logits, labels, label_smoothing)
    return Loss(loss, (labels != IGNORED).sum().float(), {}, terms)


def divergence(logits: "Tensor", taught: "Tensor", temperature: float) -> "Tensor":
    """Return T^2 KL(teacher || student) over the last axis, summed over all others. `taught` are
    the teacher's logits; both have one shape, float32 [..., classes]. Hinton et al. 2015, section
    2."""
    import torch.nn.functional as F

    ours, theirs = logits / temperature, taught / temperature
    gaps = F.kl_div(ours.log_softmax(-1), theirs.log_softmax(-1), reduction="sum", log_target=True)
    return temperature**2 * gaps


def other_names(ours: Sequence[str], theirs: Sequence[str], what: str) -> str | None:
    """Return how the names of a teacher's classes differ from the student's; None if they are
    equal."""
    if list(ours) == list(theirs):
        return None
    odd = sorted(set(ours) ^ set(theirs))
    how = f"only one of both knows {odd[0]!r}" if odd else "they are in another order"
    return f"has other {what} than this data: {how}"
