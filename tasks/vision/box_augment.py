"""Boxes that follow the augmentation of their image, and images made of several.

What `tasks.vision.augment` does to an image is one affine map a sample, and boxes follow it: a
turned box becomes the upright one around its corners. Mosaic (Bochkovskiy et al. 2020, "YOLOv4")
and zooming out (Liu et al. 2016, "SSD", section 3.6) come before. All of it is a function of (seed,
epoch, sample), as there.

Reflected padding would show objects that have no box: `padding` is to be "zeros".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tasks.randomness import SampleRandom
from tasks.vision import augment, geometry
from tasks.vision.augment_args import AugmentArgs
from tasks.vision.box_args import BoxAugmentArgs

if TYPE_CHECKING:
    from torch import Tensor

Image = npt.NDArray[np.uint8]
Window = tuple[slice, slice]
"""Rows and columns."""

PARTNERS = 3
"""Other images in a mosaic."""
_CENTRE = 0.3, 0.7  # where the four images of a mosaic meet, as shares of the sides
_LEAST_SIDE = 2.0  # pixels of a box that is still worth finding


@dataclass(frozen=True, eq=False)
class Pictured:
    """An image and the objects in it."""

    image: Image
    """[height, width, 1 or 3]"""
    boxes: npt.NDArray[np.floating]
    """[n, 4]: x0, y0, x1, y1 in pixels"""
    labels: npt.NDArray[np.int64]
    """[n]"""
    crowd: npt.NDArray[np.bool_]
    """[n]"""


def mosaic_partners(draws: SampleRandom, args: BoxAugmentArgs, n: int) -> geometry.Ints:
    """Return which of n samples each sample is put together with, int64 [b, 3]; -1 where it stays
    alone."""
    chosen = np.stack([draws.integers(f"mosaic {i}", n) for i in range(PARTNERS)], axis=1)
    return np.where((draws.uniform("mosaic") < args.mosaic)[:, None], chosen, -1)


def vary(
    sample: Pictured,
    draws: SampleRandom,
    args: AugmentArgs,
    more: BoxAugmentArgs,
    partners: Sequence[Pictured] = (),
) -> Pictured:
    """Return a sample as training sees it: put together with its partners, zoomed out, and then
    what `tasks.vision.augment.augment` does.

    Args:
        draws: of this sample alone.
        args: what is done to any image; `hflip` "auto" counts as "on".
        partners: none, or the three that `mosaic_partners` says, of the same size.
    """
    if args.augment == "none":
        return sample
    assert args.augment == "default", "boxes don't follow what RandAugment does"
    height, width = sample.image.shape[:2]
    if partners:
        sample = _mosaic([sample, *partners], draws, more)
    if more.zoom_out > 1:
        zoom = _zoom(draws, more.zoom_out, height, width)
        sample = _placed(sample, _warped(sample.image, zoom), zoom[0], more)
    pixels = augment.augment(_tensor(sample.image), draws, args)
    place = augment.maps(draws, args, height, width)[0]
    return _placed(sample, _array(pixels), place, more)


def place_boxes(
    boxes: npt.NDArray[np.floating],
    place: geometry.Floats,
    size: tuple[int, int],
    window: Window | None = None,
) -> tuple[geometry.Floats, geometry.Floats]:
    """Return boxes as they lie after their image was warped, cut at the edges, float64 [n, 4], and
    the share of each that is left, float64 [n].

    Args:
        boxes: [n, 4] of x0, y0, x1, y1 in pixels.
        place: [2, 3], the map of `tasks.vision.geometry.warp`, from the result to the image.
        size: height and width of the image.
        window: rows and columns of the result at whose edges boxes are cut; all of it by default.
    """
    rows, columns = window or (slice(0, size[0]), slice(0, size[1]))
    low, high = np.array([columns.start, rows.start]), np.array([columns.stop, rows.stop])
    middle = np.array([size[1] / 2, size[0] / 2])
    inverse = np.linalg.inv(place[:, :2])
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2).astype(np.float64) - middle
    moved = (corners - place[:, 2]) @ inverse.T + middle  # [n, 4 corners, 2]
    first, last = moved.min(1), moved.max(1)
    left = np.concatenate([np.clip(first, low, high), np.clip(last, low, high)], axis=1)
    area, whole = (left[:, 2:] - left[:, :2]).prod(1), (last - first).prod(1)
    return left, np.divide(area, whole, out=np.zeros(len(area)), where=whole > 0)


def _placed(
    sample: Pictured,
    image: Image,
    place: geometry.Floats,
    more: BoxAugmentArgs,
    window: Window | None = None,
) -> Pictured:
    """A sample that was warped to an image, without the objects of which too little is left.

    What is left of a crowd stays, however small a share: there are things in it, and no background.
    """
    height, width = sample.image.shape[:2]
    boxes, visible = place_boxes(sample.boxes, place, (height, width), window)
    enough = (visible > 0) & ((visible >= more.least_visible) | sample.crowd)
    enough &= (boxes[:, 2:] - boxes[:, :2] >= _LEAST_SIDE).all(1)
    return Pictured(image, boxes[enough], sample.labels[enough], sample.crowd[enough])


def _zoom(draws: SampleRandom, most: float, height: int, width: int) -> geometry.Floats:
    """Maps [b, 2, 3] that make images smaller, anywhere in their canvas."""
    factor = draws.uniform("zoom", 1.0, most)
    return geometry.affine(
        len(draws.ids),
        xx=factor,
        yy=factor,
        x=draws.uniform("zoom x", -0.5, 0.5) * (factor - 1) * width,
        y=draws.uniform("zoom y", -0.5, 0.5) * (factor - 1) * height,
    )


def _mosaic(samples: Sequence[Pictured], draws: SampleRandom, more: BoxAugmentArgs) -> Pictured:
    """Four images in one of the same size, which meet at a random point: each lies with a corner
    there, made smaller as far as its part of the area is filled."""
    height, width = samples[0].image.shape[:2]
    row, column = (
        round(float(draws.uniform(f"mosaic {axis}", *_CENTRE)[0]) * side)
        for axis, side in (("y", height), ("x", width))
    )
    colour = max(sample.image.shape[2] for sample in samples)
    canvas = np.zeros((height, width, colour), np.uint8)
    parts: list[Pictured] = []
    for i, sample in enumerate(samples):
        below, right = divmod(i, 2)
        tall, wide = height - row if below else row, width - column if right else column
        scale = float(draws.uniform(f"mosaic scale {i}", max(tall / height, wide / width), 1.0)[0])
        # the corner at the meeting point: of the image, and where it lies in the result
        corner = np.array([-width if right else width, -height if below else height]) / 2
        meets = np.array([column - width / 2, row - height / 2])
        x, y = corner - meets / scale
        place = geometry.affine(1, xx=1 / scale, yy=1 / scale, x=x, y=y)
        window = (
            slice(row, height) if below else slice(0, row),
            slice(column, width) if right else slice(0, column),
        )
        canvas[window] = _warped(sample.image, place)[window]
        parts.append(_placed(sample, canvas, place[0], more, window))
    return Pictured(
        canvas,
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.crowd for part in parts]),
    )


def _warped(image: Image, place: geometry.Floats) -> Image:
    """An image [h, w, c] sampled where a map [1, 2, 3] says, black outside."""
    return _array(geometry.warp(augment.to_float(_tensor(image)), place, "zeros"))


def _array(pixels: "Tensor") -> Image:
    """Pixels [1, c, h, w] as an image [h, w, c]."""
    found: Image = augment.to_bytes(pixels)[0].permute(1, 2, 0).contiguous().numpy()
    return found


def _tensor(image: Image) -> "Tensor":
    """An image [h, w, c] as uint8 [1, c, h, w]."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
