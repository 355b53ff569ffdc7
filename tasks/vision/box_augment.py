"""Boxes that follow the augmentation of their image.

What `tasks.vision.augment` does to an image is one affine map a sample, and boxes follow it: a
turned box becomes the upright one around its corners. What `tasks.vision.compositions` does comes
before. All of it is a function of (seed, epoch, sample), as there.

Reflected padding would show objects that have no box: `padding` is to be "zeros".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.randomness import SampleRandom
from tasks.vision import augment, compositions, geometry
from tasks.vision.augment_args import AugmentArgs
from tasks.vision.box_args import BoxAugmentArgs
from tasks.vision.compositions import Image, Window

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
        partners: none, or the three that `compositions.mosaic_partners` says, of the same size.
    """
    if args.augment == "none":
        return sample
    assert args.augment == "default", "boxes don't follow what RandAugment does"
    height, width = sample.image.shape[:2]
    if partners:
        sample = _mosaic([sample, *partners], draws, more)
    if more.zoom_out > 1:
        zoom = compositions.zoom(draws, more.zoom_out, height, width)
        sample = _placed(sample, compositions.warped(sample.image, zoom), zoom[0], more)
    pixels = augment.augment(compositions.tensor_of(sample.image), draws, args)
    place = augment.maps(draws, args, height, width)[0]
    return _placed(sample, compositions.array_of(pixels), place, more)


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


def _mosaic(samples: Sequence[Pictured], draws: SampleRandom, more: BoxAugmentArgs) -> Pictured:
    """Four images in one of the same size; see `compositions.mosaic_parts`."""
    height, width = samples[0].image.shape[:2]
    colour = max(sample.image.shape[2] for sample in samples)
    canvas = np.zeros((height, width, colour), np.uint8)
    parts: list[Pictured] = []
    places = compositions.mosaic_parts(draws, height, width)
    for sample, (place, window) in zip(samples, places, strict=True):
        canvas[window] = compositions.warped(sample.image, place)[window]
        parts.append(_placed(sample, canvas, place[0], more, window))
    return Pictured(
        canvas,
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.crowd for part in parts]),
    )
