"""What a variational autoencoder says of an image: how likely its pixels are, in nats and bits.

A value of 8 bits has the probability that a logistic distribution gives to its bin (the discretized
logistic of Kingma et al. 2016, section 5.2, and Salimans et al. 2017, section 2.1): the bins of 0
and 255 reach to infinity, so the 256 of them sum to 1. With the divergence from the prior it bounds
the log-likelihood of the image from below (Kingma & Welling 2013), and minus that bound, per value
and in bits, is what a lossless code of the images would take at most.
"""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LEVELS = 256
UNIFORM_BITS = 8.0
"""Bits per dimension where every value is as likely as any other."""
LEAST_LOG_SCALE = -7.0
"""Of the logistic distribution, as in the code of Salimans et al.: a scale of a ninth of a bin."""


def to_levels(pixels: "Tensor", mean: float, std: float) -> "Tensor":
    """Return the values of 8 bits, 0 to 255 in float32, that normalised pixels stand for."""
    return ((pixels.float() * std + mean) * (LEVELS - 1)).round().clamp(0, LEVELS - 1)


def log_probability(levels: "Tensor", location: "Tensor", log_scale: "Tensor") -> "Tensor":
    """Return the log-probability of each value in nats, float32 of the same shape.

    The difference of two sigmoids is written as a product, sigmoid(a) sigmoid(-b) (1 - e^(b - a)),
    whose logarithm is finite wherever its factors are.

    Args:
        levels: values, 0 to 255.
        location: of the logistic distribution, where -1 is the value 0 and 1 the value 255.
        log_scale: logarithm of its scale on the same axis; below `LEAST_LOG_SCALE` it counts as
            that.
    """
    import torch
    from torch.nn.functional import logsigmoid

    per_scale = torch.exp(-log_scale.clamp(min=LEAST_LOG_SCALE))
    half = 1 / (LEVELS - 1)  # of a bin
    centred = levels * (2 * half) - 1 - location
    upper, lower = (centred + half) * per_scale, (centred - half) * per_scale
    below_upper = torch.where(levels >= LEVELS - 1, 0.0, logsigmoid(upper))
    above_lower = torch.where(levels <= 0, 0.0, logsigmoid(-lower))
    inner = (levels > 0) & (levels < LEVELS - 1)
    width = torch.where(inner, torch.log(-torch.expm1(-2 * half * per_scale)), 0.0)
    return below_upper + above_lower + width


def divergence(mean: "Tensor", log_variance: "Tensor") -> "Tensor":
    """Return the Kullback-Leibler divergence of normal distributions [b, latents] from the standard
    normal, in nats, float32 [b] (Kingma & Welling 2013, appendix B)."""
    mean, log_variance = mean.float(), log_variance.float()
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)


def nats_per_dim(
    levels: "Tensor",
    location: "Tensor",
    log_scale: "Tensor",
    mean: "Tensor",
    log_variance: "Tensor",
) -> "Tensor":
    """Return minus the bound on the log-likelihood of each image, per value, float32 [b].

    Args:
        levels, location, log_scale: [b, channels, height, width], as of `log_probability`; the
            distribution of the values given one latent vector that was drawn.
        mean, log_variance: [b, latents], of the normal distribution that it was drawn from.
    """
    nats = -log_probability(levels, location.float(), log_scale.float()).flatten(1).sum(1)
    return (nats + divergence(mean, log_variance)) / levels[0].numel()


def to_bits(nats: "Tensor") -> "Tensor":
    """Return nats in bits."""
    return nats / math.log(2)
