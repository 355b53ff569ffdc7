"""What the loss of pixels is made of: logits of as many pixels as a mask has, and the Dice loss."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from tasks.kinds.losses import constant
from tasks.vision.class_table import IGNORED


def upsampled(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Return logits [n, classes, h, w] of so many pixels, interpolated as transformers' losses do
    it (bilinear, between centres of pixels)."""
    if tuple(logits.shape[2:]) == tuple(size):
        return logits
    return F.interpolate(logits, tuple(size), mode="bilinear", align_corners=False)


def losses_of_rows(
    logits: Tensor,
    labels: Tensor,
    dice_weight: float,
    label_smoothing: float = 0.0,
    class_weights: tuple[float, ...] = (),
) -> tuple[Tensor, Tensor]:
    """Return of each row the sum of its loss and the weight of its pixels, float32 [n]; without
    class weights how many pixels count.

    The Dice loss of a row weighs as much as all its pixels, so that rows count alike however they
    are cut into batches. Label smoothing after Szegedy et al. 2016, section 7.

    Args:
        logits: float32 [n, classes, h, w], of as many pixels as the labels or fewer.
        labels: integers [n, height, width], `IGNORED` where a pixel does not count.
        class_weights: what a pixel of each class weighs; by default 1.
    """
    labels = labels.long()
    logits = upsampled(logits, labels.shape[1:])
    weight = constant(class_weights, logits.device) if class_weights else None
    terms = F.cross_entropy(
        logits,
        labels,
        weight,
        ignore_index=IGNORED,
        reduction="none",
        label_smoothing=label_smoothing,
    )
    counted = labels != IGNORED
    if weight is None:
        counts = counted.sum((1, 2)).float()
    else:
        counts = (weight[labels.masked_fill(~counted, 0)] * counted).sum((1, 2))
    sums = terms.sum((1, 2))
    if dice_weight:
        sums = sums + dice_weight * counts * dice_losses(logits, labels)
    return sums, counts


def dice_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Return 1 less the soft Dice of the classes that a row has, their mean, float32 [n]; 0 of a
    row without any pixel that counts (Milletari et al. 2016, with probabilities not squared).

    Args:
        logits: float32 [n, classes, h, w].
        labels: int64 [n, h, w], `IGNORED` where a pixel does not count.
    """
    counted = (labels != IGNORED).unsqueeze(1)
    known = labels.masked_fill(~counted[:, 0], 0)
    truth = F.one_hot(known, logits.shape[1]).movedim(-1, 1) * counted
    given = logits.softmax(1) * counted
    both, true, said = ((x).sum((2, 3)) for x in (given * truth, truth, given))
    present = true > 0
    losses = (1 - 2 * both / (true + said).clamp_min(1e-6)) * present
    return losses.sum(1) / present.sum(1).clamp_min(1)
