"""How likely pixels are: the bins sum to 1, and the bound is that of plain formulas."""

import math

import pytest
import torch

from tasks.vision.likelihood import (
    LEAST_LOG_SCALE,
    divergence,
    log_probability,
    nats_per_dim,
    to_bits,
    to_levels,
)

LEVELS = torch.arange(256, dtype=torch.float32)


@pytest.mark.parametrize("log_scale", [-7.0, -4.0, -1.0, 2.0])
@pytest.mark.parametrize("location", [-3.0, -1.0, 0.1234, 1.0])
def test_the_levels_sum_to_one(location: float, log_scale: float) -> None:
    shape = torch.full((256,), location), torch.full((256,), log_scale)
    total = log_probability(LEVELS, *shape).double().exp().sum()
    assert total == pytest.approx(1, abs=2e-5)


def test_a_level_is_the_difference_of_two_sigmoids() -> None:
    generator = torch.Generator().manual_seed(0)
    # near the level: far away the plain difference is lost in rounding, even in float64
    location = LEVELS * 2 / 255 - 1 + 0.2 * torch.randn(256, generator=generator)
    log_scale = torch.rand(256, generator=generator) * 4 - 4
    scale = log_scale.double().exp()
    centre = LEVELS.double() * 2 / 255 - 1 - location.double()
    upper, lower = (torch.sigmoid((centre + side / 255) / scale) for side in (1, -1))
    upper[255], lower[0] = 1, 0
    found = log_probability(LEVELS, location, log_scale)
    torch.testing.assert_close(found.double(), (upper - lower).log(), rtol=1e-4, atol=1e-4)


def test_what_is_hardly_possible_is_finite_and_can_be_learned() -> None:
    location = torch.tensor([1.0, -1.0, 50.0]).requires_grad_()
    log_scale = torch.tensor([-30.0, -7.0, 0.0]).requires_grad_()
    found = log_probability(torch.tensor([0.0, 255.0, 128.0]), location, log_scale)
    assert found.isfinite().all() and found[0] < -1000
    found.sum().backward()
    assert location.grad is not None and location.grad.isfinite().all() and location.grad.all()
    least = log_probability(torch.tensor([0.0]), torch.ones(1), torch.tensor([LEAST_LOG_SCALE]))
    assert found[0] == least[0], "a smaller scale counts as the least"


def test_the_divergence_is_that_of_normal_distributions() -> None:
    mean, log_variance = torch.randn(3, 5), torch.randn(3, 5)
    own = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    prior = torch.distributions.Normal(torch.zeros(3, 5), torch.ones(3, 5))
    wanted = torch.distributions.kl_divergence(own, prior).sum(1)
    torch.testing.assert_close(divergence(mean, log_variance), wanted)


def test_the_bound_is_both_of_them_per_value() -> None:
    levels = torch.randint(256, (2, 3, 4, 4)).float()
    location, log_scale = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    mean, log_variance = torch.randn(2, 5), torch.randn(2, 5)
    found = nats_per_dim(levels, location, log_scale, mean, log_variance)
    pixels = log_probability(levels, location, log_scale).sum((1, 2, 3))
    torch.testing.assert_close(found, (divergence(mean, log_variance) - pixels) / 48)
    assert float(to_bits(torch.tensor(math.log(256)))) == pytest.approx(8)


def test_normalised_pixels_are_whole_values_again() -> None:
    values = torch.arange(256)
    pixels = (values / 255 - 0.5) / 0.5
    assert torch.equal(to_levels(pixels, 0.5, 0.5), values.float())
    assert to_levels(torch.tensor([-9.0, 9.0]), 0.5, 0.5).tolist() == [0, 255]
