"""Boxes that follow the augmentation of their image.

What `tasks.vision.augment` does to an image is one affine map a sample, and boxes follow it: a
turned box becomes the upright one around its corners. What `tasks.vision.compositions` does comes
before. All of it is a function of (seed, epoch, sample), as there.

Reflected padding would show objects that have no box: `padding` is to be "zeros".
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tasks.randomness import SampleRandom
from tasks.vision import augment, compositions, geometry
from tasks.vision.augment_args import AugmentArgs
from tasks.vision.box_args import BoxAugmentArgs
from tasks.vision.compositions import Image

if TYPE_CHECKING:
    from torch import Tensor

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
    samples: Sequence[Pictured],
    draws: SampleRandom,
    args: AugmentArgs,
    more: BoxAugmentArgs,
    partners: Sequence[Sequence[Pictured]],
) -> list[Pictured]:
    """Return samples as training sees them: put together with their partners, zoomed out, and then
    what `tasks.vision.augment.augment` does. A sample comes out the same in whatever batch.

    Args:
        samples: with images of one size.
        draws: of these samples.
        args: what is done to any image; `hflip` "auto" counts as "on".
        partners: of each sample none, or the three that `compositions.mosaic_partners` says, of
            that size.
    """
    if args.augment == "none":
        return list(samples)
    assert args.augment == "default", "boxes don't follow what RandAugment does"
    groups = [[one, *others] for one, others in zip(samples, partners, strict=True)]
    colours = [max(one.image.shape[2] for one in group) for group in groups]
    varied = list(samples)
    for colour in set(colours):  # grey ones apart: they have grey noise, and less is computed
        places = [i for i, own in enumerate(colours) if own == colour]
        found = _varied([groups[i] for i in places], draws.part(places), args, more)
        for i, one in zip(places, found, strict=True):
            varied[i] = one
    return varied


@dataclass(frozen=True, eq=False)
class _Objects:
    """The objects of b images."""

    boxes: npt.NDArray[np.floating]  # [n, 4]
    labels: npt.NDArray[np.int64]  # [n]
    crowd: npt.NDArray[np.bool_]  # [n]
    owners: npt.NDArray[np.int64]  # [n]: which of the b images each is in, ascending

    @classmethod
    def of(cls, samples: Sequence[Pictured]) -> "_Objects":
        """Return the objects of these images."""
        return cls(
            np.concatenate([one.boxes for one in samples]),
            np.concatenate([one.labels for one in samples]),
            np.concatenate([one.crowd for one in samples]),
            np.repeat(np.arange(len(samples)), [len(one.boxes) for one in samples]),
        )

    def where(self, kept: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> "_Objects":
        """Return the objects of a mask [n], or at these places."""
        return _Objects(self.boxes[kept], self.labels[kept], self.crowd[kept], self.owners[kept])


def _varied(
    groups: Sequence[Sequence[Pictured]],
    draws: SampleRandom,
    args: AugmentArgs,
    more: BoxAugmentArgs,
) -> list[Pictured]:
    """See `vary`; each sample with its partners, grey throughout or with a colour in each group."""
    images, objects = _joined(groups, draws, more)
    height, width = images.shape[2:]
    if more.zoom_out > 1:
        zoom = compositions.zoom(draws, more.zoom_out, height, width)
        images = compositions.warped(images, zoom)
        objects = _followed(objects, zoom, (height, width), more)
    pixels = augment.to_bytes(augment.augment(images, draws, args))
    maps = augment.maps(draws, args, height, width)
    objects = _followed(objects, maps, (height, width), more)
    ends = np.searchsorted(objects.owners, np.arange(len(groups) + 1))
    found = []
    for i, image in enumerate(pixels.permute(0, 2, 3, 1).contiguous().numpy()):
        own = objects.where(np.arange(ends[i], ends[i + 1]))
        found.append(Pictured(image, own.boxes, own.labels, own.crowd))
    return found


def place_boxes(
    boxes: npt.NDArray[np.floating],
    places: geometry.Floats,
    size: tuple[int, int],
    windows: geometry.Floats | None = None,
) -> tuple[geometry.Floats, geometry.Floats]:
    """Return boxes as they lie after their images were warped, cut at the edges, float64 [n, 4],
    and the share of each that is left, float64 [n].

    Args:
        boxes: [n, 4] of x0, y0, x1, y1 in pixels.
        places: [n, 2, 3], the map of `tasks.vision.geometry.warp` of the image that each is in,
            from the result to the image.
        size: height and width of the images.
        windows: [n, 4], x0, y0, x1 and y1 in the result, at which each is cut; by default the
            edges.
    """
    height, width = size
    if windows is None:
        windows = np.array([[0.0, 0.0, width, height]])
    (xx, xy, x), (yx, yy, y) = places.transpose(1, 2, 0)[..., None]  # each [n, 1]
    # not by `@`: its rounding may depend on how many are computed together
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].astype(np.float64)
    from_x, from_y = corners[:, ::2] - width / 2 - x, corners[:, 1::2] - height / 2 - y
    area = xx * yy - xy * yx
    to_x = (yy * from_x - xy * from_y) / area + width / 2  # [n, 4 corners]
    to_y = (xx * from_y - yx * from_x) / area + height / 2
    moved = np.stack([to_x.min(1), to_y.min(1), to_x.max(1), to_y.max(1)], axis=1)
    left = np.clip(moved, windows[:, [0, 1, 0, 1]], windows[:, [2, 3, 2, 3]])
    inside, whole = ((one[:, 2:] - one[:, :2]).prod(1) for one in (left, moved))
    return left, np.divide(inside, whole, out=np.zeros(len(left)), where=whole > 0)


def _followed(
    objects: _Objects,
    maps: geometry.Floats,
    size: tuple[int, int],
    more: BoxAugmentArgs,
    windows: geometry.Floats | None = None,
) -> _Objects:
    """The objects of b images that were warped by maps [b, 2, 3], without those of which too little
    is left in windows [b, 4].

    What is left of a crowd stays, however small a share: there are things in it, and no background.
    """
    cut = None if windows is None else windows[objects.owners]
    boxes, visible = place_boxes(objects.boxes, maps[objects.owners], size, cut)
    enough = (visible > 0) & ((visible >= more.least_visible) | objects.crowd)
    enough &= (boxes[:, 2:] - boxes[:, :2] >= _LEAST_SIDE).all(1)
    return replace(objects, boxes=boxes).where(enough)


def _joined(
    groups: Sequence[Sequence[Pictured]], draws: SampleRandom, more: BoxAugmentArgs
) -> "tuple[Tensor, _Objects]":
    """Return the images of samples, uint8 [b, c, h, w], and their objects; a sample with partners
    is a mosaic of the four."""
    firsts = [group[0] for group in groups]
    alone = [i for i, group in enumerate(groups) if len(group) == 1]
    if len(alone) == len(groups):
        return _stack(firsts), _Objects.of(firsts)
    colour = max(one.image.shape[2] for group in groups for one in group)
    images = _stack(firsts, colour)
    places = [i for i, group in enumerate(groups) if len(group) > 1]
    images[places], mixed = _mosaics([groups[i] for i in places], draws.part(places), more)
    parts = [_Objects.of(firsts), replace(mixed, owners=np.array(places)[mixed.owners])]
    parts[0] = parts[0].where(np.isin(parts[0].owners, alone))
    return images, _together(parts)


def _mosaics(
    groups: Sequence[Sequence[Pictured]], draws: SampleRandom, more: BoxAugmentArgs
) -> "tuple[Tensor, _Objects]":
    """Return mosaics uint8 [b, c, h, w] of four images each, and their objects."""
    import torch

    height, width = groups[0][0].image.shape[:2]
    colour = max(one.image.shape[2] for group in groups for one in group)
    canvas = torch.zeros(len(groups), colour, height, width, dtype=torch.uint8)
    parts = []
    for i, (maps, windows) in enumerate(compositions.mosaic_parts(draws, height, width)):
        samples = [group[i] for group in groups]
        compositions.paste(canvas, compositions.warped(_stack(samples, colour), maps), windows)
        parts.append(_followed(_Objects.of(samples), maps, (height, width), more, windows))
    return canvas, _together(parts)


def _together(parts: Sequence[_Objects]) -> _Objects:
    """The objects of several parts of the same images, those of an image in the order of parts."""
    names = ("boxes", "labels", "crowd", "owners")
    found = _Objects(*(np.concatenate([getattr(one, name) for one in parts]) for name in names))
    return found.where(np.argsort(found.owners, kind="stable"))


def _stack(samples: Sequence[Pictured], colour: int | None = None) -> "Tensor":
    """The images of samples, uint8 [b, c, h, w]; grey ones in so many channels."""
    return compositions.stack([sample.image for sample in samples], colour)
