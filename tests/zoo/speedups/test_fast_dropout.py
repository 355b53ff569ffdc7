"""Dropout with cheap masks has dropout's distribution and gradient."""

import pytest
import torch
from torch import nn

from zoo.speedups.fast_dropout import FastDropout, dropout, keep_mask, replace_dropout


@pytest.mark.parametrize(
    "p",
    [1e-4, 0.05, 0.1, 0.5, 0.9],  # 0 and 1 are torch's own, see below
)
def test_rate_and_scale(p: float) -> None:
    torch.manual_seed(0)
    mask = keep_mask(torch.empty(1_000_000), p)
    assert set(mask.unique().tolist()) <= {0.0, torch.tensor(1 / (1 - p)).item()}
    deviation = (p * (1 - p) / 1e6) ** 0.5
    assert abs((mask == 0).float().mean().item() - p) < 5 * deviation + 1 / 65536
    assert mask.mean().item() == pytest.approx(1, abs=5 * deviation / (1 - p) + 1e-4)


def test_neighbours_are_independent() -> None:
    """Four elements share a draw: no pair of them may know of each other."""
    torch.manual_seed(1)
    dropped = (keep_mask(torch.empty(400_000), 0.3) == 0).float().view(-1, 4)
    correlation = torch.corrcoef(dropped.T) - torch.eye(4)
    assert correlation.abs().max() < 0.02
    assert dropped.mean(0).sub(0.3).abs().max() < 0.01


@pytest.mark.parametrize("shape", [(1,), (3,), (5, 7), (2, 3, 11), (4, 4), (0,), ()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_shape_and_the_gradient(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """The gradient of the sum is the mask itself."""
    torch.manual_seed(2)
    x = torch.randn(shape, dtype=dtype).requires_grad_()
    torch.manual_seed(3)
    y = dropout(x, 0.4)
    y.sum().backward()
    torch.manual_seed(3)
    mask = keep_mask(x, 0.4)
    assert y.shape == x.shape and y.dtype == dtype
    torch.testing.assert_close(x.grad, mask, rtol=0, atol=0)
    torch.testing.assert_close(y, x * mask, rtol=0, atol=0)


def test_the_same_seed_gives_the_same_mask() -> None:
    like = torch.empty(33, 17)
    masks = []
    for seed in (7, 7, 8):
        torch.manual_seed(seed)
        masks.append(keep_mask(like, 0.5))
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])


def test_modules_are_replaced_and_rest_in_evaluation() -> None:
    class Own(nn.Dropout):
        """A dropout of somebody else's."""

    model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.25), nn.Sequential(nn.Dropout(0.5)), Own())
    replace_dropout(model)
    kinds = [type(m) for m in model.modules() if isinstance(m, nn.Dropout)]
    assert kinds == [FastDropout, FastDropout, Own]
    assert model[1].p == 0.25
    x = torch.randn(5, 8)
    model.eval()
    torch.testing.assert_close(model[1:](x), x, rtol=0, atol=0)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_the_ends_are_those_of_torch(p: float) -> None:
    x = torch.randn(6)
    torch.testing.assert_close(FastDropout(p)(x), nn.Dropout(p)(x))
