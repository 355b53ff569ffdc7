"""Mixup and CutMix: each sample's own partner and share, whatever the batch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tasks.randomness import EpochView, SampleRandom
from tasks.vision import mixing
from tasks.vision.augment_args import AugmentArgs

WAYS = {
    "mixup": AugmentArgs(mixup=0.4),
    "cutmix": AugmentArgs(cutmix=1.0),
    "both": AugmentArgs(mixup=0.4, cutmix=1.0),
}


def draws(which: np.ndarray) -> SampleRandom:
    return SampleRandom(EpochView(1, 1), which)


def mixed(count: int, args: AugmentArgs, size: int = 24) -> tuple[Tensor, Tensor]:
    """Of white images with black partners: the mean is the share."""
    white = torch.ones(count, 1, size, size)
    return mixing.mix(white, torch.zeros_like(white), draws(np.arange(count)), args)


@pytest.mark.parametrize("way", WAYS)
def test_the_share_is_what_is_left_of_the_image(way: str) -> None:
    images, share = mixed(500, WAYS[way])
    assert (images.dtype, share.dtype, share.shape) == (torch.float32, torch.float32, (500,))
    assert share.min() >= 0 and share.max() <= 1
    torch.testing.assert_close(images.mean((1, 2, 3)), share, atol=1e-5, rtol=0)


def test_mixup_blends_and_cutmix_pastes() -> None:
    blended, share = mixed(500, WAYS["mixup"])
    assert (blended == share[:, None, None, None]).all()
    pasted, _ = mixed(500, WAYS["cutmix"])
    assert ((pasted == 0) | (pasted == 1)).all()
    for image in pasted[:100, 0]:
        rows, columns = (image == 0).any(1), (image == 0).any(0)
        assert ((image == 0) == (rows[:, None] & columns[None, :])).all()  # a rectangle
    both, share = mixed(2000, WAYS["both"])
    blends = (both == share[:, None, None, None]).flatten(1).all(1) & (share > 0) & (share < 1)
    assert 0.45 < blends.float().mean() < 0.55


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_shares_are_of_the_beta_distribution(alpha: float) -> None:
    from scipy.stats import beta, kstest

    _, share = mixed(4000, AugmentArgs(mixup=alpha), size=1)
    assert kstest(share.numpy(), beta(alpha, alpha).cdf).pvalue > 0.001


def test_partners_are_drawn_among_all() -> None:
    partners = mixing.mixup_partner(draws(np.arange(20_000)), 10)
    assert partners.dtype == np.int64
    counts = np.bincount(partners)
    assert len(counts) == 10 and counts.min() > 1800 and counts.max() < 2200
    assert mixing.mixup_partner(draws(np.arange(50)), 1).tolist() == [0] * 50


@settings(max_examples=30)
@given(
    way=st.sampled_from(sorted(WAYS)),
    count=st.integers(2, 20),
    size=st.integers(1, 33),
    channels=st.sampled_from([1, 3]),
)
def test_alone_and_in_any_batch(way: str, count: int, size: int, channels: int) -> None:
    images, partners = torch.from_numpy(
        np.random.default_rng(count).random((2, count, channels, size, size), np.float32)
    )
    ids = np.arange(count) * 11
    kept = images.clone(), partners.clone()
    whole, share = mixing.mix(images, partners, draws(ids), WAYS[way])
    other = mixing.mixup_partner(draws(ids), 1000)
    for place in {0, count // 2, count - 1}:
        one = slice(place, place + 1)
        alone, its = mixing.mix(images[one], partners[one], draws(ids[one]), WAYS[way])
        assert torch.equal(alone[0], whole[place]) and its[0] == share[place]
        assert mixing.mixup_partner(draws(ids[one]), 1000)[0] == other[place]
    assert torch.equal(images, kept[0]) and torch.equal(partners, kept[1])
