"""How noise grows with time, and how DDIM takes it away."""

import numpy as np
import pytest
import torch

from tasks.vision import noise_schedule
from tasks.vision.noise_schedule import TIMESTEPS, image_shares


@pytest.mark.parametrize(
    ("betas", "first", "middle", "last"),
    [("linear", 0.9999, 0.0786, 4.04e-5), ("cosine", 0.99996, 0.4938, 2.43e-9)],
)
def test_noise_grows(betas: str, first: float, middle: float, last: float) -> None:
    """To the numbers of diffusers' DDIMScheduler."""
    shares = image_shares(betas)
    assert len(shares) == TIMESTEPS and (np.diff(shares) < 0).all()
    found = shares[[0, 499, -1]]
    np.testing.assert_allclose(found, [first, middle, last], rtol=1e-2)


def test_timesteps_begin_with_pure_noise() -> None:
    assert noise_schedule.sampling_timesteps(4) == [999, 749, 499, 249]
    assert noise_schedule.sampling_timesteps(1) == [999]
    assert noise_schedule.sampling_timesteps(TIMESTEPS) == list(range(999, -1, -1))


@pytest.mark.parametrize("betas", ["linear", "cosine"])
def test_who_knows_the_noise_gets_the_image(betas: str) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, 4, 4, generator=generator) * 2 - 1
    noise = torch.randn(image.shape, generator=generator)
    shares = torch.from_numpy(image_shares(betas)).float()
    noisy = noise_schedule.noised(image, noise, shares[[0, 700]])
    made = noise_schedule.denoised(noisy, noise, shares[[0, 700]])
    torch.testing.assert_close(made, image, rtol=1e-4, atol=1e-4)
    seen = []

    def predict_noise(x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        seen.append(times.tolist())
        left = shares[times].view(-1, 1, 1, 1)
        return (x - left.sqrt() * image) / (1 - left).sqrt()

    found = noise_schedule.sample(noise, predict_noise, betas, 5)
    torch.testing.assert_close(found, image, rtol=1e-4, atol=1e-4)
    assert seen == [[999] * 2, [799] * 2, [599] * 2, [399] * 2, [199] * 2]
