"""RandAugment: Pillow's operations to the last bit, each drawn as often as the others."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from tasks.randomness import EpochView, SampleRandom
from tasks.vision import randaugment


def in_pillow(name: str, image: Image.Image, level: float) -> Image.Image:
    weight = float(np.float32(0.05 + 0.9 * level))
    if name in ("brightness", "color", "contrast", "sharpness"):
        return getattr(ImageEnhance, name.capitalize())(image).enhance(weight)
    if name == "solarize":
        return ImageOps.solarize(image, int(256 * level))
    if name == "posterize":
        return ImageOps.posterize(image, min(8, 4 + int(5 * level)))
    return getattr(ImageOps, name)(image)


def batch(kind: str, channels: int, seed: int, height: int = 17, width: int = 23) -> np.ndarray:
    """Uint8 [6, height, width, channels]."""
    rng = np.random.default_rng(seed)
    shape = (6, height, width, channels)
    if kind == "noise":
        return rng.integers(0, 256, shape, np.uint8)
    if kind == "dark":  # most of it black, as digits are
        return (rng.integers(0, 256, shape) * (rng.random(shape) < 0.2)).astype(np.uint8)
    if kind == "narrow":
        return rng.integers(90, 120, shape, np.uint8)
    return np.broadcast_to(rng.integers(0, 256, (6, 1, 1, channels), np.uint8), shape).copy()


def shown(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image if image.shape[2] == 3 else image[:, :, 0])


def tensor(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2)


@settings(max_examples=120)
@given(
    operation=st.sampled_from(randaugment.COLOURS),
    kind=st.sampled_from(["noise", "dark", "narrow", "one colour"]),
    channels=st.sampled_from([1, 3]),
    levels=st.lists(st.floats(0, 1, exclude_max=True), min_size=6, max_size=6),
    seed=st.integers(0, 2**16),
)
def test_operations_are_pillow_s(
    operation: randaugment.Operation, kind: str, channels: int, levels: list[float], seed: int
) -> None:
    images = batch(kind, channels, seed)
    found = operation(tensor(images), np.array(levels)).permute(0, 2, 3, 1).numpy()
    for image, level, ours in zip(images, levels, found, strict=True):
        theirs = np.asarray(in_pillow(operation.__name__, shown(image), level))
        np.testing.assert_array_equal(ours.reshape(theirs.shape), theirs)


def test_tiny_images() -> None:
    for height, width in ((1, 1), (2, 5), (5, 2), (3, 3)):
        images = batch("noise", 3, 0, height, width)
        for operation in randaugment.COLOURS:
            found = operation(tensor(images), np.full(6, 0.3))
            theirs = in_pillow(operation.__name__, shown(images[0]), 0.3)
            np.testing.assert_array_equal(found[0].permute(1, 2, 0).numpy(), np.asarray(theirs))


PLACES = ("rotate", "shear x", "shear y", "translate x", "translate y")


@pytest.mark.parametrize("place", PLACES)
def test_places_move_the_right_way(place: str) -> None:
    """By how the centre of mass of a dot right below the centre moves; level 1 is the most."""
    images = torch.zeros(3, 1, 61, 61)
    images[:, :, 38:41, 34:37] = 1  # 9 below the centre and 5 to the right
    choice = np.full(3, randaugment.PLACES.index(place))
    maps = randaugment.maps(choice, np.array([0.0, 0.5, 1.0]), 61, 61)
    moved = randaugment.geometry.warp(images, maps, "zeros")[:, 0].numpy()
    mass = moved.sum((1, 2))
    y = (moved.sum(2) * np.arange(61)).sum(1) / mass - 30
    x = (moved.sum(1) * np.arange(61)).sum(1) / mass - 30
    np.testing.assert_allclose((x[1], y[1]), (5, 9), atol=0.01)
    change = {
        "rotate": None,
        "shear x": (-0.3 * 9, 0),
        "shear y": (0, -0.3 * 5),
        "translate x": (-0.3 * 61, 0),
        "translate y": (0, -0.3 * 61),
    }[place]
    if change is None:
        np.testing.assert_allclose(np.hypot(x, y), np.hypot(5, 9), atol=0.1)
        angle = np.degrees(np.arctan2(y, x))
        np.testing.assert_allclose(angle - angle[1], [30, 0, -30], atol=0.5)
    else:
        np.testing.assert_allclose((x[2] - 5, y[2] - 9), change, atol=0.05)
        np.testing.assert_allclose((x[0] - 5, y[0] - 9), [-c for c in change], atol=0.05)


def test_every_operation_is_drawn_as_often() -> None:
    draws = SampleRandom(EpochView(0, 0), np.arange(14_000))
    counts = np.bincount(randaugment.choose(draws, 0), minlength=14)
    assert len(counts) == 14 and counts.min() > 850 and counts.max() < 1150
    both = np.histogram2d(randaugment.choose(draws, 0), randaugment.choose(draws, 1), bins=14)[0]
    assert both.min() > 35 and both.max() < 115  # 71 of each pair


def test_no_operation_changes_nothing_and_the_batch_stays() -> None:
    images = tensor(batch("noise", 3, 0))
    before = images.clone()
    draws = SampleRandom(EpochView(0, 0), np.arange(6))
    assert torch.equal(randaugment.apply(images, draws, "zeros", operations=0), images)
    assert not torch.equal(randaugment.apply(images, draws, "zeros"), before)
    assert torch.equal(images, before)
