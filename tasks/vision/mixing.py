"""Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019) as functions of (seed, epoch, sample).

A partner is drawn among all samples and not within the batch, so that an image is mixed alike in
whatever batch it stands.
"""

from typing import TYPE_CHECKING

import numpy as np

from tasks.randomness import SampleRandom
from tasks.vision import geometry
from tasks.vision.augment_args import AugmentArgs

if TYPE_CHECKING:
    from torch import Tensor


def mixup_partner(draws: SampleRandom, n: int) -> geometry.Ints:
    """Return which of n samples each sample is mixed with, int64 [b] of 0 .. n - 1."""
    return draws.integers("partner", n)


def mix(
    images: "Tensor", partners: "Tensor", draws: SampleRandom, args: AugmentArgs
) -> tuple["Tensor", "Tensor"]:
    """Mixed images float32 [b, c, h, w], and the share `lam` float32 [b] that is each one's own.

    The target is `lam` times the image's own label and the rest its partner's. Where both ways are
    asked for, each sample takes one of them at random.

    Args:
        images: float32 [b, c, h, w].
        partners: float32 [b, c, h, w], the images of `mixup_partner`, augmented themselves.
        draws: of the b samples.
        args: `mixup` and `cutmix` are the alphas of Beta(alpha, alpha), from which lam comes.
    """
    import torch

    height, width = images.shape[2:]
    blends = draws.uniform("mixup or cutmix") < (0.5 if args.cutmix else 1.0)
    blends &= args.mixup > 0
    mixup_lambda = _beta(draws, np.where(blends, args.mixup, args.cutmix))
    side = np.sqrt(np.where(blends, 0, 1 - mixup_lambda))
    pasted = geometry.boxes(
        height, width, draws.uniform("paste y"), draws.uniform("paste x"), side, side
    )
    # A box that the edge cuts off, or whole pixels, leave another share than was drawn.
    lam = np.where(blends, mixup_lambda, 1 - pasted.sum((1, 2)) / (height * width))
    weight = torch.from_numpy(np.where(blends, mixup_lambda, 1).astype(np.float32)).to(
        images.device
    )
    weight = weight[:, None, None, None]
    mask = torch.from_numpy(pasted)[:, None].to(images.device)
    mixed = torch.where(mask, partners, images * weight + partners * (1 - weight))
    return mixed, torch.from_numpy(lam.astype(np.float32)).to(images.device)


def _beta(draws: SampleRandom, alpha: geometry.Floats) -> geometry.Floats:
    """Draw one number for each sample from Beta(alpha, alpha), in 0 .. 1; 1 where alpha is 0."""
    from scipy.special import betaincinv

    uniform = draws.uniform("lam")
    drawn = betaincinv(np.where(alpha > 0, alpha, 1), np.where(alpha > 0, alpha, 1), uniform)
    return np.asarray(np.where(alpha > 0, drawn, 1.0), np.float64)
