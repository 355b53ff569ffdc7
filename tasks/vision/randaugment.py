"""RandAugment (Cubuk et al. 2020): operations drawn for each image, on a batch of bytes at once.

Operations and ranges are those of FixMatch (Sohn et al. 2020, table 12), and what one does to the
colours is what Pillow's ImageOps and ImageEnhance do, with which the papers worked. An operation
runs once, over the images that drew it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tasks.randomness import SampleRandom
from tasks.vision import geometry
from tasks.vision.geometry import Floats, Padding

if TYPE_CHECKING:
    from torch import Tensor

OPERATIONS = 2  # an image
WEIGHT = (0.05, 0.95)  # of the image beside what it is blended with
BITS = (4, 8)
DEGREES = 30.0
SHARE = 0.3  # of the side, for shears and shifts

Operation = Callable[["Tensor", Floats], "Tensor"]
"""Takes images uint8 [k, c, h, w] and a level in 0 .. 1 for each of them [k]."""


def apply(
    images: "Tensor", draws: SampleRandom, padding: Padding, operations: int = OPERATIONS
) -> "Tensor":
    """Return the images uint8 [b, c, h, w], each after as many random operations, one after the
    other.

    Args:
        images: uint8 [b, c, h, w], c 1 or 3; stay as they are.
        draws: of the b samples.
        padding: what shifts, shears and rotations bring in from outside.
    """
    import torch

    varied = images.clone()
    for turn in range(operations):
        choice = choose(draws, turn)
        level = draws.uniform(f"level {turn}")
        for number, operation in enumerate(COLOURS):
            chosen = np.flatnonzero(choice == number)
            if len(chosen):
                here = torch.from_numpy(chosen).to(images.device)
                varied[here] = operation(varied[here], level[chosen])
        chosen = np.flatnonzero((choice >= len(COLOURS)) & (choice < len(COLOURS) + len(PLACES)))
        if len(chosen):
            here = torch.from_numpy(chosen).to(images.device)
            warped_by = maps(choice[chosen] - len(COLOURS), level[chosen], *images.shape[2:])
            warped = geometry.warp(varied[here].float(), warped_by, padding)
            varied[here] = warped.round_().to(torch.uint8)
    return varied


def choose(draws: SampleRandom, turn: int) -> geometry.Ints:
    """Return the next operation of each image, int64 [b]: one of `COLOURS`, then of `PLACES`, and
    the number after them, which is none."""
    return draws.integers(f"operation {turn}", len(COLOURS) + len(PLACES) + 1)


def maps(choice: geometry.Ints, level: Floats, height: int, width: int) -> Floats:
    """The maps (see `geometry`) of those of `PLACES` that were drawn, [k, 2, 3].

    Each goes from one extreme at level 0 to the other at level 1.
    """
    signed = 2 * level - 1

    def where(name: str) -> Floats:
        return np.where(choice == PLACES.index(name), signed, 0.0)

    made = geometry.rotation(DEGREES * where("rotate"))
    made[:, 0, 1] += SHARE * where("shear x")
    made[:, 1, 0] += SHARE * where("shear y")
    made[:, 0, 2] = SHARE * width * where("translate x")
    made[:, 1, 2] = SHARE * height * where("translate y")
    return made


PLACES = ("rotate", "shear x", "shear y", "translate x", "translate y")


# --- operations on colours


def autocontrast(images: "Tensor", level: Floats) -> "Tensor":
    """Stretch each channel from black to white; the level has no effect."""
    low = images.amin((2, 3)).cpu().numpy().astype(np.float64)  # [k, c]
    high = images.amax((2, 3)).cpu().numpy().astype(np.float64)
    flat = high <= low
    scale = 255 / np.where(flat, 255, high - low)
    table = np.arange(256) * scale[..., None] - (np.where(flat, 0, low) * scale)[..., None]
    return _looked_up(images, table.clip(0, 255))


def equalize(images: "Tensor", level: Floats) -> "Tensor":
    """Make the histogram of each channel flat; the level has no effect."""
    import torch

    k, channels = images.shape[:2]
    start = torch.arange(k * channels, device=images.device).view(k, channels, 1, 1) * 256
    counts = (images.long() + start).flatten().bincount(minlength=k * channels * 256)
    histogram = counts.cpu().numpy().reshape(k * channels, 256)
    brightest = 255 - (histogram[:, ::-1] > 0).argmax(1)
    last = histogram[np.arange(len(histogram)), brightest]
    step = (histogram.sum(1) - last) // 255
    before = histogram.cumsum(1) - histogram
    table = (before + (step // 2)[:, None]) // np.maximum(step, 1)[:, None]
    table = np.where(step[:, None] > 0, table.clip(0, 255), np.arange(256))
    return _looked_up(images, table.reshape(k, channels, 256))


def posterize(images: "Tensor", level: Floats) -> "Tensor":
    """Clear all bits of each value but the first 4 to 8."""
    least, most = BITS
    bits = np.minimum(least + (level * (most - least + 1)).astype(np.int64), most)
    mask = (256 - 2 ** (8 - bits)).astype(np.uint8)
    return images & _column(mask, images)


def solarize(images: "Tensor", level: Floats) -> "Tensor":
    """Invert the values that are brighter than the level."""
    import torch

    bright = images >= _column((256 * level).astype(np.int16), images)
    return torch.where(bright, 255 - images, images)


def brightness(images: "Tensor", level: Floats) -> "Tensor":
    """Blend each image with black."""
    import torch

    return _blended(torch.zeros_like(images), images, level)


def contrast(images: "Tensor", level: Floats) -> "Tensor":
    """Blended with the mean of its brightness."""
    import torch

    light = _luma(images)
    pixels = light[0].numel()
    mean = (light.sum((1, 2, 3), dtype=torch.int64, keepdim=True) * 2 + pixels) // (2 * pixels)
    return _blended(mean.to(torch.uint8).expand_as(images), images, level)


def color(images: "Tensor", level: Floats) -> "Tensor":
    """Blend each image with its greyscale."""
    return _blended(_luma(images).expand_as(images), images, level)


def sharpness(images: "Tensor", level: Floats) -> "Tensor":
    """Blended with itself smoothed by a 3 x 3 kernel; the outermost pixels stay."""
    import torch

    if min(images.shape[2:]) < 3:
        return images
    wide = images.to(torch.int16)
    rows = wide[:, :, :-2] + wide[:, :, 1:-1] + wide[:, :, 2:]
    total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * wide[:, :, 1:-1, 1:-1]
    smooth = images.clone()
    smooth[:, :, 1:-1, 1:-1] = ((2 * total + 13) // 26).to(torch.uint8)  # of 13, rounded
    return _blended(smooth, images, level)


COLOURS: tuple[Operation, ...] = (
    autocontrast,
    brightness,
    color,
    contrast,
    equalize,
    posterize,
    sharpness,
    solarize,
)


def _luma(images: "Tensor") -> "Tensor":
    """Brightness as Pillow has it, in whole numbers: uint8 [k, 1, h, w]."""
    import torch

    if images.shape[1] == 1:
        return images
    red, green, blue = images.int().split(1, dim=1)
    light: Tensor = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
    return light.to(torch.uint8)


def _blended(other: "Tensor", images: "Tensor", level: Floats) -> "Tensor":
    import torch

    low, high = WEIGHT
    weight = _column((low + (high - low) * level).astype(np.float32), images)
    base = other.float()
    return (base + (images.float() - base) * weight).to(torch.uint8)


def _looked_up(images: "Tensor", table: np.ndarray) -> "Tensor":
    """Replace each value by its entry in a table [k, c, 256], whose decimals are cut off."""
    import torch

    entries = torch.from_numpy(table.astype(np.uint8)).to(images.device)
    return entries.gather(2, images.flatten(2).long()).view(images.shape)


def _column(values: np.ndarray, images: "Tensor") -> "Tensor":
    """Return one number for each image as a tensor [k, 1, 1, 1], on the device of the images."""
    import torch

    return torch.from_numpy(values).to(images.device)[:, None, None, None]
