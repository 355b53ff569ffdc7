"""Networks that take pixels or spectrograms, with bf16 weights: inputs are cast, norms are not."""

import torch
from torch import nn

from zoo.speedups.bf16_weights import Bf16Weights


def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 2)
    )


def test_pixels_are_cast_and_batch_norms_stay_fp32() -> None:
    model = _network()
    weights = Bf16Weights(model)
    pixels = torch.randn(4, 3, 8, 8)
    out = model(pixels)
    assert out.dtype == torch.bfloat16 and pixels.dtype == torch.float32
    assert model[0].weight.dtype == model[4].weight.dtype == torch.bfloat16
    assert model[1].weight.dtype == model[1].running_mean.dtype == torch.float32
    out.float().sum().backward()
    weights.collect()
    named = dict(weights.named_parameters())
    assert all(p.dtype == torch.float32 and p.grad is not None for p in named.values())
    assert set(weights.masters) == {"0.weight", "0.bias", "4.weight", "4.bias"}


def test_full_precision_takes_pixels_as_they_are() -> None:
    model, plain = _network().eval(), _network().eval()
    weights = Bf16Weights(model)
    pixels = torch.randn(4, 3, 8, 8)
    with weights.full_precision(), torch.no_grad():
        assert torch.equal(model(pixels), plain(pixels))
    assert model(pixels).dtype == torch.bfloat16


def test_integers_are_left_alone() -> None:
    model = nn.Embedding(5, 3)
    Bf16Weights(model)
    assert model(torch.tensor([1, 2])).dtype == torch.bfloat16
