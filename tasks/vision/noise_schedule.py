"""How much noise an image has at each timestep of diffusion, and how it is taken away again.

Ho et al. 2020, "Denoising Diffusion Probabilistic Models": at timestep t an image is the square
root of a share times the image, and the square root of the rest times normal noise. Sampling is
that of Song et al. 2020, "Denoising Diffusion Implicit Models", which draws nothing on its way.
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

TIMESTEPS = 1000  # of Ho et al.
LINEAR = (1e-4, 0.02)  # the first and the last beta of Ho et al.
LARGEST_BETA = 0.999  # of Nichol & Dhariwal 2021
Betas = Literal["linear", "cosine"]


@cache
def image_shares(betas: Betas) -> npt.NDArray[np.float64]:
    """Return the share of the image in the variance of each timestep, float64 [TIMESTEPS],
    decreasing: the products of 1 - beta.

    linear: Ho et al. 2020, section 4; cosine: Nichol & Dhariwal 2021, "Improved Denoising Diffusion
    Probabilistic Models", equation 17, which keeps more of small images.
    """
    if betas == "linear":
        return np.cumprod(1 - np.linspace(*LINEAR, TIMESTEPS), dtype=np.float64)
    times = np.arange(TIMESTEPS + 1) / TIMESTEPS
    left = np.cos((times + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.cumprod(1 - np.minimum(1 - left[1:] / left[:-1], LARGEST_BETA))


def sampling_timesteps(steps: int) -> list[int]:
    """Return the timesteps that sampling looks at, from the last one, of pure noise, down; evenly
    spaced ("trailing" of Lin et al. 2023, "Common Diffusion Noise Schedules").

    Args:
        steps: from 1 to TIMESTEPS.
    """
    return [round(TIMESTEPS * (1 - step / steps)) - 1 for step in range(steps)]


def noised(image: "Tensor", noise: "Tensor", shares: "Tensor") -> "Tensor":
    """Return images [b, channels, h, w] with noise of the same shape; `shares` [b] are left of the
    image."""
    shares = shares.view(-1, 1, 1, 1)
    return shares.sqrt() * image + (1 - shares).sqrt() * noise


def denoised(noisy: "Tensor", noise: "Tensor", shares: "Tensor") -> "Tensor":
    """Return what images [b, channels, h, w] of `noised` are without the noise, cut to -1 to 1."""
    shares = shares.view(-1, 1, 1, 1)
    return ((noisy - (1 - shares).sqrt() * noise) / shares.sqrt()).clamp(-1, 1)


def sample(
    start: "Tensor", predict_noise: "Callable[[Tensor, Tensor], Tensor]", betas: Betas, steps: int
) -> "Tensor":
    """Return images [b, channels, h, w], -1 to 1, made of noise by DDIM (Song et al. 2020, equation
    12, with sigma 0); the image at each step is cut to -1 to 1, the noise stays as predicted.

    Args:
        start: standard normal noise of the same shape.
        predict_noise: gives the noise in images at timesteps int64 [b].
        steps: from 1 to TIMESTEPS.
    """
    import torch

    shares = image_shares(betas)
    times = sampling_timesteps(steps)
    x = start
    for time, following in zip(times, (*times[1:], None), strict=True):
        at = torch.full((len(x),), time, dtype=torch.int64, device=x.device)
        noise = predict_noise(x, at)
        image = denoised(x, noise, x.new_full((1,), float(shares[time])))
        left = 1.0 if following is None else float(shares[following])
        x = noised(image, noise, x.new_full((1,), left))
    return x
