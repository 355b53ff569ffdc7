"""Augmentation: a function of (seed, epoch, sample), whatever the batch, that does what it says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tasks.errors import UserError
from tasks.randomness import EpochView, SampleRandom
from tasks.vision import augment
from tasks.vision.augment_args import AugmentArgs
from tests.cli import run_program

VIEW = EpochView(seed=3, epoch=2)
STILL = AugmentArgs(crop_scale=1, hflip="off", color_jitter=0)
EVERYTHING = AugmentArgs(
    crop_scale=0.3,
    crop_padding=0.1,
    hflip="on",
    vflip=True,
    rotation=20,
    color_jitter=0.4,
    noise=0.05,
    random_erasing=0.5,
)
SETTINGS = {
    "default": AugmentArgs(),
    "none": AugmentArgs(augment="none"),
    "everything": EVERYTHING,
    "zeros": replace(EVERYTHING, padding="zeros", noise=0),
    "randaugment": replace(EVERYTHING, augment="randaugment"),
    "whole pixels": replace(STILL, crop_padding=0.2, hflip="on", vflip=True),
}
VIEWS = {
    **{f"standard, {name}": (augment.augment, args) for name, args in SETTINGS.items()},
    "weak": (augment.weak, AugmentArgs(hflip="on")),
    "strong": (augment.strong, AugmentArgs(hflip="on")),
}


def pictures(count: int, height: int, width: int, channels: int, seed: int = 0) -> Tensor:
    """Uint8 [count, channels, height, width], laid out as decoded images are when stacked."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, -(-height // 4), -(-width // 4), channels))
    fine = coarse.repeat(4, 1).repeat(4, 2)[:, :height, :width] + rng.integers(-20, 20)
    return torch.from_numpy(fine.clip(0, 255).astype(np.uint8)).permute(0, 3, 1, 2)


def ids(count: int) -> np.ndarray:
    return np.arange(count) * 37 + 5


def draws(which: np.ndarray, view: EpochView = VIEW) -> SampleRandom:
    return SampleRandom(view, which)


# --- one sample is augmented alike everywhere


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(
    ("height", "width", "channels"), [(28, 28, 1), (33, 21, 3), (5, 7, 1), (160, 160, 3)]
)
@pytest.mark.parametrize("name", VIEWS)
def test_alone_and_in_any_batch(
    name: str, height: int, width: int, channels: int, dtype: str
) -> None:
    function, args = VIEWS[name]
    count = 13 if height == 160 else 29
    images = pictures(count, height, width, channels)
    if dtype == "float32":
        images = images.float() / 255
    whole = function(images, draws(ids(count)), args)
    assert (whole.dtype, whole.shape) == (torch.float32, images.shape)
    assert whole.min() >= 0 and whole.max() <= 1 and whole.std() > 0.05
    for place in range(0, count, 4):
        alone = function(images[place : place + 1], draws(ids(count)[place : place + 1]), args)
        assert torch.equal(alone[0], whole[place])
    back = np.arange(count)[::-1].copy()
    reversed_ = function(images[back], draws(ids(count)[back]), args)
    assert torch.equal(reversed_, whole[back])
    parts = [
        function(images[part], draws(ids(count)[part]), args)
        for part in np.array_split(np.arange(count), 3)
    ]
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("name", VIEWS)
def test_threads_do_not_matter(name: str) -> None:
    function, args = VIEWS[name]
    images = pictures(8, 200, 200, 3)
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(function(images, draws(ids(8)), args))
            found.append(function(images[:1], draws(ids(1)), args))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, found[0]) for a in found[::2])
    assert all(torch.equal(a[0], found[0][0]) for a in found[1::2])


@pytest.mark.parametrize("name", [name for name in VIEWS if name != "standard, none"])
def test_epochs_seeds_and_strengths_differ(name: str) -> None:
    function, args = VIEWS[name]
    images = pictures(32, 28, 28, 1)
    views = [VIEW, EpochView(3, 3), EpochView(4, 2), EpochView(3, 2, "weak")]
    found = [function(images, draws(ids(32), view), args) for view in views]
    again = function(images, draws(ids(32)), args)
    assert torch.equal(found[0], again)
    assert not any(torch.equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize("name", VIEWS)
def test_images_given_stay_as_they_are(name: str) -> None:
    function, args = VIEWS[name]
    for images in (pictures(16, 28, 28, 1), pictures(16, 28, 28, 3).float() / 255):
        before = images.clone()
        function(images, draws(ids(16)), args).add_(1)
        assert torch.equal(images, before)


@pytest.mark.parametrize("name", VIEWS)
def test_no_global_randomness(name: str) -> None:
    function, args = VIEWS[name]
    images = pictures(4, 28, 28, 1)
    state, theirs = torch.get_rng_state(), np.random.get_state()[1].copy()
    function(images, draws(ids(4)), args)
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1] == theirs).all()


# --- what is done


def ramp(count: int, height: int = 20, width: int = 20, channels: int = 1) -> Tensor:
    """Images in which every pixel is another."""
    one = torch.arange(height * width, dtype=torch.uint8 if height * width < 257 else None)
    one = (one.float() / (height * width)).view(1, 1, height, width)
    return one.expand(count, channels, height, width).clone()


def test_none_and_still_change_nothing() -> None:
    images = pictures(8, 28, 28, 3)
    for args in (AugmentArgs(augment="none"), STILL):
        assert torch.equal(augment.augment(images, draws(ids(8)), args), images.float() / 255)


@pytest.mark.parametrize(("flag", "axis"), [("hflip", 3), ("vflip", 2)])
def test_flips_half_of_the_time(flag: str, axis: int) -> None:
    images = ramp(2000)
    args = replace(STILL, **{flag: "on" if flag == "hflip" else True})
    found = augment.augment(images, draws(ids(2000)), args)
    same = (found == images).flatten(1).all(1)
    flipped = (found == images.flip(axis)).flatten(1).all(1)
    assert (same | flipped).all()
    assert 900 < flipped.sum() < 1100


def test_flips_in_the_warped_path_are_flips() -> None:
    images = ramp(50)
    args = replace(STILL, hflip="on", vflip=True)
    fast = augment.augment(images, draws(ids(50)), args)
    slow = augment.augment(images, draws(ids(50)), replace(args, rotation=1e-9))
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=0)


@pytest.mark.parametrize("padding", ["reflection", "zeros"])
def test_shifts_are_the_same_in_both_paths(padding: str) -> None:
    images = ramp(60)
    args = replace(STILL, hflip="on", crop_padding=0.3, padding=padding)
    fast = augment.augment(images, draws(ids(60)), args)
    slow = augment.augment(images, draws(ids(60)), replace(args, rotation=1e-9))
    torch.testing.assert_close(fast, slow, atol=1e-4, rtol=0)
    assert (fast == 0).flatten(1).sum(1).max() >= (60 if padding == "zeros" else 0)


def test_shifts_are_even() -> None:
    images = torch.zeros(4000, 1, 21, 21)
    images[:, :, 10, 10] = 1
    args = replace(STILL, crop_padding=0.1)
    found = augment.augment(images, draws(ids(4000)), args)
    row, column = np.unravel_index(found.flatten(1).argmax(1).numpy(), (21, 21))
    for places in (row, column):
        counts = np.bincount(places, minlength=21)
        assert set(np.flatnonzero(counts)) == set(range(8, 13))
        assert counts[8:13].min() > 700  # of 800
    assert abs(np.corrcoef(row, column)[0, 1]) < 0.06


def test_a_crop_shows_part_of_the_image() -> None:
    """Of an image whose values are its columns and rows, a crop tells where it was."""
    y, x = np.mgrid[:64, :64] / 63
    images = torch.tensor(np.stack([x, y, x]), dtype=torch.float32).expand(500, 3, 64, 64)
    args = replace(STILL, crop_scale=0.25)
    found = augment.augment(images, draws(ids(500)), args)
    wide = (found[:, 0, 32, -1] - found[:, 0, 32, 0]).numpy()
    tall = (found[:, 1, -1, 32] - found[:, 1, 0, 32]).numpy()
    area, aspect = wide * tall, wide / tall
    assert 0.2 < area.min() < 0.3 and 0.9 < area.max() < 1.05 and 0.55 < area.mean() < 0.65
    assert 0.7 < aspect.min() < 0.85 and 1.2 < aspect.max() < 1.4
    left = found[:, 0, 32, 0].numpy()
    assert left.min() >= 0 and (left + wide).max() <= 1
    assert np.corrcoef(left, wide)[0, 1] < -0.3


def test_rotation() -> None:
    images = torch.zeros(300, 1, 41, 41)
    images[:, :, 20, 38] = 1
    found = augment.augment(images, draws(ids(300)), replace(STILL, rotation=30, padding="zeros"))
    row, column = np.unravel_index(found.flatten(1).argmax(1).numpy(), (41, 41))
    angle = np.degrees(np.arctan2(row - 20, column - 20))
    assert -31 < angle.min() < -25 and 25 < angle.max() < 31 and abs(angle.mean()) < 3
    assert np.abs(np.hypot(row - 20, column - 20) - 18).max() < 1.5


def test_color_jitter() -> None:
    images = pictures(400, 24, 24, 3).float() / 255 * 0.4 + 0.3  # nothing is clamped
    found = augment.augment(images, draws(ids(400)), replace(STILL, color_jitter=0.2))
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    before, after = ((x * weights).sum(1).flatten(1) for x in (images, found))
    brightness = after.mean(1) / before.mean(1)
    assert 0.79 < brightness.min() < 0.83 and 1.17 < brightness.max() < 1.21
    assert abs(brightness.mean() - 1) < 0.03
    contrast = after.std(1) / before.std(1) / brightness
    assert 0.79 < contrast.min() < 0.83 and 1.17 < contrast.max() < 1.21
    assert abs(np.corrcoef(brightness, contrast)[0, 1]) < 0.2
    colour = [(x - (x * weights).sum(1, keepdim=True)).flatten(1).std(1) for x in (images, found)]
    saturation = colour[1] / colour[0] / contrast / brightness
    assert 0.78 < saturation.min() < 0.83 and 1.17 < saturation.max() < 1.22


def test_noise() -> None:
    images = torch.full((64, 1, 28, 28), 0.5)
    found = augment.augment(images, draws(ids(64)), replace(STILL, noise=0.05)) - 0.5
    assert abs(found.std() - 0.05) < 0.001 and abs(found.mean()) < 0.001
    flat = found.flatten(1).numpy()
    assert np.abs(np.corrcoef(flat) - np.eye(64)).max() < 0.2


@pytest.mark.parametrize("probability", [0.25, 1.0])
def test_random_erasing(probability: float) -> None:
    images = ramp(1000, 40, 40)
    args = replace(STILL, random_erasing=probability)
    changed = augment.augment(images, draws(ids(1000)), args) != images
    share = changed.flatten(1).float().mean(1)
    assert abs((share > 0).float().mean() - probability) < 0.05
    assert 0.25 < share.max() < 0.36
    for mask in changed[share > 0][:50, 0]:
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        inside = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert inside.float().mean() > 0.9  # a rectangle; a pixel may have had that brightness


def test_the_weak_view_moves_and_the_strong_one_changes() -> None:
    images = ramp(200, 28, 28)
    args = AugmentArgs(hflip="off", padding="zeros")
    weak = augment.weak(images, draws(ids(200)), args)
    assert (torch.isin(weak, torch.cat([images[0].flatten(), torch.zeros(1)]))).all()
    column = weak[:, 0, 14].diff().argmin(1)  # where the image's end has come to, if it has
    assert (column < 27).sum() > 0
    strong = augment.strong(images, draws(ids(200)), args)
    grey = (strong == 127 / 255).flatten(1).sum(1)
    assert grey.min() >= 49 and 120 < grey.float().mean() < 196  # a square of 14, cut at the edge


@settings(max_examples=40)
@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    channels=st.sampled_from([1, 3]),
    count=st.integers(1, 5),
    name=st.sampled_from(sorted(VIEWS)),
    seed=st.integers(0, 1000),
)
def test_any_size(height: int, width: int, channels: int, count: int, name: str, seed: int) -> None:
    function, args = VIEWS[name]
    images = pictures(count, height, width, channels, seed)
    found = function(images, draws(ids(count), EpochView(seed, 0)), args)
    assert found.shape == images.shape
    assert found.isfinite().all() and found.min() >= 0 and found.max() <= 1
    alone = function(images[-1:], draws(ids(count)[-1:], EpochView(seed, 0)), args)
    assert torch.equal(alone[0], found[-1])


@pytest.mark.parametrize(
    "asked",
    [
        {"crop_scale": 0.0},
        {"crop_scale": 1.5},
        {"crop_padding": 0.7},
        {"rotation": -1.0},
        {"noise": float("nan")},
        {"random_erasing": 2.0},
        {"mixup": -0.1},
    ],
)
def test_refusals(asked: dict[str, float]) -> None:
    with pytest.raises(UserError, match=rf"^`{next(iter(asked))}` .* is outside"):
        AugmentArgs(**asked)


def test_flags_and_inputs_are_light() -> None:
    code = (
        "import sys, tasks.vision.augment_args, tasks.vision.image_inputs; "
        "print({'torch', 'numpy', 'PIL', 'datasets'} & set(sys.modules))"
    )
    done = run_program(code)
    assert done.out.strip() == "set()"
