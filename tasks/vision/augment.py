"""Augmentation of a batch of images at once, each as its own draws say.

A sample comes out the same, to the last bit, in whatever batch it stands: its parameters are
computed one by one, what touches pixels is elementwise or looks at one sample only, and sums over
an image are sums of integers, which have no order.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from tasks.randomness import SampleRandom
from tasks.vision import geometry, randaugment
from tasks.vision.augment_args import AugmentArgs as AugmentArgs
from tasks.vision.pixels import luma

if TYPE_CHECKING:
    from torch import Tensor

WEAK_SHIFT = 0.125  # of the side, as in FixMatch
ERASED = (0.02, 1 / 3)  # shares of the area; with the aspect below the paper's and timm's
ERASED_ASPECT = (0.3, 1 / 0.3)
CROP_ASPECT = (3 / 4, 4 / 3)


def augment(images: "Tensor", draws: SampleRandom, args: AugmentArgs) -> "Tensor":
    """The standard view of training: float32 [b, c, h, w] in 0 .. 1.

    Args:
        images: [b, c, h, w], c 1 or 3; uint8, or floats in 0 .. 1.
        draws: of the b samples.
        args: what is done. `hflip` "auto" counts as "on": the caller knows the images.
    """
    if args.augment == "none":
        return _own(to_float(images), images)
    varied = _placed(images, draws, args)
    if args.augment == "randaugment":
        varied = to_float(randaugment.apply(to_bytes(varied), draws, args.padding))
    else:
        varied = _jittered(to_float(varied), draws, args.color_jitter)
    if args.noise:
        varied = _noisy(varied, draws, args.noise)
    if args.random_erasing:
        varied = _erased(varied, draws, args.random_erasing)
    return _own(varied, images)


def place_masks(masks: "Tensor", draws: SampleRandom, args: AugmentArgs) -> "Tensor":
    """Return masks uint8 [b, h, w] placed as `augment` places their images: flipped, cropped,
    turned and shifted by the same draws, each pixel the class of the nearest.

    What comes from outside the image is 255, the class of pixels that do not count, where `args`
    pads with zeros, and mirrored as the image otherwise.
    """
    import torch

    if args.augment == "none":
        return masks
    # counted from 1, 255 becomes 0, which is what padding brings in
    placed = _placed((masks + 1)[:, None].to(torch.float32), draws, args, "nearest")
    return placed[:, 0].to(torch.uint8) - 1


def weak(images: "Tensor", draws: SampleRandom, args: AugmentArgs) -> "Tensor":
    """The weak view of FixMatch: mirrored where `args` says so, and shifted a little.

    Takes and gives what `augment` does.
    """
    return _own(to_float(_moved(images, draws, args, args.crop_padding or WEAK_SHIFT)), images)


def strong(images: "Tensor", draws: SampleRandom, args: AugmentArgs) -> "Tensor":
    """The strong view of FixMatch (Sohn et al. 2020): the weak view's kind of shift, RandAugment,
    and a grey square of half the side (Cutout, DeVries & Taylor 2017).

    Takes and gives what `augment` does.
    """
    import torch

    moved = _moved(to_bytes(images), draws, args, args.crop_padding or WEAK_SHIFT)
    varied = randaugment.apply(moved, draws, args.padding)
    height, width = images.shape[2:]
    half = np.full(len(draws.ids), 0.5)
    hole = geometry.boxes(
        height, width, draws.uniform("cutout y"), draws.uniform("cutout x"), half, half
    )
    mask = torch.from_numpy(hole)[:, None].to(images.device)
    return to_float(varied.masked_fill(mask, 127))


def _own(result: "Tensor", images: "Tensor") -> "Tensor":
    """The result, for the caller to write to: the images given stay as they are."""
    return result.clone() if result is images else result


def to_float(images: "Tensor") -> "Tensor":
    """Return images as float32: bytes from 0 to 255 become 0 to 1, floats stay as they are."""
    import torch

    if images.dtype == torch.uint8:
        return images.to(torch.float32).div_(255)
    return images.to(torch.float32)


def to_bytes(images: "Tensor") -> "Tensor":
    """Floats 0 .. 1 as the nearest of 0 .. 255, uint8; bytes as they are."""
    import torch

    if images.dtype == torch.uint8:
        return images
    return (images * 255).round_().clamp_(0, 255).to(torch.uint8)


def _placed(
    images: "Tensor",
    draws: SampleRandom,
    args: AugmentArgs,
    mode: geometry.Sampling = "bilinear",
) -> "Tensor":
    """Flips, crop, rotation and shift, in one step; bytes stay bytes where no pixel is new."""
    if args.crop_scale == 1 and not args.rotation:
        return _moved(images, draws, args, args.crop_padding)
    crop = maps(draws, args, *images.shape[2:])
    return geometry.warp(to_float(images), crop, args.padding, mode)


def maps(draws: SampleRandom, args: AugmentArgs, height: int, width: int) -> geometry.Floats:
    """Return where `augment` takes the pixels of each image from, as `tasks.vision.geometry` has
    it, float64 [b, 2, 3]: so boxes and points follow."""
    n = len(draws.ids)
    hflip, vflip = _flips(draws, args)
    area = draws.uniform("crop area", args.crop_scale, 1.0)
    low, high = map(math.log, CROP_ASPECT)
    aspect = geometry.each(math.exp, draws.uniform("crop aspect", low, high))
    if args.crop_scale == 1:
        aspect = np.ones(n)
    wide = np.minimum(np.sqrt(area * aspect), 1)
    tall = np.minimum(np.sqrt(area / aspect), 1)
    crop = geometry.affine(
        n,
        xx=np.where(hflip, -wide, wide),
        yy=np.where(vflip, -tall, tall),
        x=draws.uniform("crop x", -0.5, 0.5) * (1 - wide) * width,
        y=draws.uniform("crop y", -0.5, 0.5) * (1 - tall) * height,
    )
    rows, columns = _shifts(draws, height, width, args.crop_padding)
    shift = geometry.affine(n, x=-columns.astype(np.float64), y=-rows.astype(np.float64))
    crop = geometry.after(crop, shift)
    if args.rotation:
        degrees = draws.uniform("rotation", -args.rotation, args.rotation)
        crop = geometry.after(geometry.rotation(degrees), crop)
    return crop


def _moved(images: "Tensor", draws: SampleRandom, args: AugmentArgs, share: float) -> "Tensor":
    """Flips and shifts by whole pixels; bytes stay bytes."""
    height, width = images.shape[2:]
    rows, columns = _shifts(draws, height, width, share)
    return geometry.move(images, rows, columns, *_flips(draws, args), args.padding)


def _flips(draws: SampleRandom, args: AugmentArgs) -> tuple[geometry.Bools, geometry.Bools]:
    never = np.zeros(len(draws.ids), np.bool_)
    return (
        never if args.hflip == "off" else draws.uniform("hflip") < 0.5,
        draws.uniform("vflip") < 0.5 if args.vflip else never,
    )


def _shifts(
    draws: SampleRandom, height: int, width: int, share: float
) -> tuple[geometry.Ints, geometry.Ints]:
    if not share:
        return np.zeros(len(draws.ids), np.int64), np.zeros(len(draws.ids), np.int64)
    most = round(share * height), round(share * width)
    rows = draws.integers("shift y", 2 * most[0] + 1) - most[0]
    return rows, draws.integers("shift x", 2 * most[1] + 1) - most[1]


def _jittered(images: "Tensor", draws: SampleRandom, strength: float) -> "Tensor":
    """Brightness and contrast, then saturation, each by a factor of 1 - strength .. 1 + strength.

    Contrast keeps the mean brightness, which is summed in whole numbers.
    """
    if not strength:
        return images
    low, high = 1 - strength, 1 + strength
    brightness = draws.uniform("brightness", low, high)
    contrast = draws.uniform("contrast", low, high)
    light = luma(images)
    pixels = light[0].numel()
    mean = (light * 65536).int().sum((1, 2, 3)).cpu().numpy() / (65536 * pixels)
    varied = images * _column(brightness * contrast, images)
    varied += _column(brightness * (1 - contrast) * mean, images)
    varied.clamp_(0, 1)
    if images.shape[1] == 3:
        saturation = draws.uniform("saturation", low, high)
        grey = luma(varied) * _column(1 - saturation, images)
        varied = varied.mul_(_column(saturation, images)).add_(grey).clamp_(0, 1)
    return varied


def _column(values: geometry.Floats, images: "Tensor") -> "Tensor":
    """Return one number for each sample as a float32 tensor [b, 1, 1, 1], on the device of the
    images."""
    import torch

    return torch.from_numpy(values.astype(np.float32)).to(images.device)[:, None, None, None]


def _noisy(images: "Tensor", draws: SampleRandom, deviation: float) -> "Tensor":
    import torch

    noise = np.empty(images.shape, np.float32)
    for i, sample in enumerate(noise):
        draws.generator(i, "noise").standard_normal(out=sample, dtype=np.float32)
    added = torch.from_numpy(noise).to(images.device).mul_(deviation)
    return added.add_(images).clamp_(0, 1)


def _erased(images: "Tensor", draws: SampleRandom, probability: float) -> "Tensor":
    """Random erasing (Zhong et al. 2020) with one random brightness a rectangle."""
    import torch

    height, width = images.shape[2:]
    area = draws.uniform("erased area", *ERASED) * (draws.uniform("erased") < probability)
    low, high = map(math.log, ERASED_ASPECT)
    aspect = geometry.each(math.exp, draws.uniform("erased aspect", low, high))
    hole = geometry.boxes(
        height,
        width,
        draws.uniform("erased y"),
        draws.uniform("erased x"),
        np.sqrt(area * aspect),
        np.sqrt(area / aspect),
    )
    mask = torch.from_numpy(hole)[:, None].to(images.device)
    return torch.where(mask, _column(draws.uniform("erased to"), images), images)
