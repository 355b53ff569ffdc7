"""Where the pixels of a batch come from: one affine map a sample, or whole-pixel shifts and flips.

A map is given as float64 [b, 2, 3] and leads from a pixel of the result to a place in the image,
both as (x, y, 1) in pixels from the centre. Maps are made from numbers of one sample at a time, by
`math` where rounding could depend on how many are computed together.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Padding = Literal["reflection", "zeros"]
Sampling = Literal["bilinear", "nearest"]


def each(function: Callable[[float], float], values: Floats) -> Floats:
    """The function of every value, float64 [n]; numpy's own may round with the place in the row."""
    return np.array([function(value) for value in values.tolist()], np.float64)


def affine(
    n: int,
    xx: Floats | float = 1,
    xy: Floats | float = 0,
    yx: Floats | float = 0,
    yy: Floats | float = 1,
    x: Floats | float = 0,
    y: Floats | float = 0,
) -> Floats:
    """Maps [n, 2, 3] with the rows (xx, xy, x) and (yx, yy, y)."""
    maps = np.empty((n, 2, 3))
    maps[:, 0, 0], maps[:, 0, 1], maps[:, 0, 2] = xx, xy, x
    maps[:, 1, 0], maps[:, 1, 1], maps[:, 1, 2] = yx, yy, y
    return maps


def rotation(degrees: Floats) -> Floats:
    """Maps [n, 2, 3] that turn about the centre."""
    angles = np.radians(degrees)
    cos, sin = each(math.cos, angles), each(math.sin, angles)
    return affine(len(degrees), cos, -sin, sin, cos)


def after(outer: Floats, inner: Floats) -> Floats:
    """Maps [n, 2, 3] that lead through `inner` and from there through `outer`."""
    both = outer[:, :, :1] * inner[:, :1] + outer[:, :, 1:2] * inner[:, 1:]
    both[:, :, 2] += outer[:, :, 2]
    return both


def warp(images: "Tensor", maps: Floats, padding: Padding, mode: Sampling = "bilinear") -> "Tensor":
    """Return each image sampled at the places its map leads to.

    Args:
        images: float32 [b, c, h, w].
        maps: [b, 2, 3].
        padding: what lies outside the image: its mirror, or zeros.
        mode: bilinear between pixels, or the value of the nearest, as masks want it.
    """
    import torch
    from torch.nn.functional import grid_sample

    height, width = images.shape[2:]
    # grid_sample counts half the side as 1
    scaled = maps * np.array([2 / width, 2 / height])[:, None]
    m = torch.from_numpy(scaled.astype(np.float32)).to(images.device)[:, :, :, None, None]
    x = (torch.arange(width, device=images.device) - (width - 1) / 2)[None, :]
    y = (torch.arange(height, device=images.device) - (height - 1) / 2)[:, None]
    grid = torch.empty(len(images), height, width, 2, device=images.device)
    for axis in range(2):
        # multiplied and added apart: fused, it would round otherwise at the end of a vector
        torch.add(m[:, axis, 0] * x + m[:, axis, 2], m[:, axis, 1] * y, out=grid[..., axis])
    return grid_sample(images, grid, mode=mode, padding_mode=padding, align_corners=False)


def move(
    images: "Tensor",
    rows: Ints,
    columns: Ints,
    hflip: Bools,
    vflip: Bools,
    padding: Padding,
) -> "Tensor":
    """Return each image flipped, then shifted by whole pixels down and to the right; of the same
    type.

    Args:
        images: [b, c, h, w] of any type.
        rows, columns: how far [b].
        hflip, vflip: whether [b].
        padding: as in `warp`.
    """
    import torch

    b, channels, height, width = images.shape
    if not (rows.any() or columns.any()):
        return _flipped(images, hflip, vflip)
    from_row, row_inside = _sources(height, rows, vflip)
    from_column, column_inside = _sources(width, columns, hflip)
    places = torch.from_numpy(from_row[:, :, None] * width + from_column[:, None, :])
    flat = places.view(b, 1, -1).expand(b, channels, -1).to(images.device)
    moved = images.reshape(b, channels, -1).gather(2, flat).view(images.shape)
    if padding == "zeros" and not (row_inside.all() and column_inside.all()):
        inside = torch.from_numpy(row_inside[:, :, None] & column_inside[:, None, :])
        moved *= inside[:, None].to(images.device)
    return moved


def _flipped(images: "Tensor", hflip: Bools, vflip: Bools) -> "Tensor":
    """Return each image flipped; the images themselves where none is."""
    import torch

    flipped = images
    for axes, chosen in (
        ((3,), hflip & ~vflip),
        ((2,), vflip & ~hflip),
        ((2, 3), hflip & vflip),
    ):
        if chosen.any():
            if flipped is images:
                flipped = images.clone()
            places = torch.from_numpy(np.flatnonzero(chosen)).to(images.device)
            flipped[places] = images[places].flip(axes)
    return flipped


def _sources(size: int, shifts: Ints, flips: Bools) -> tuple[Ints, Bools]:
    """Return the place from which each place of an axis is taken, mirrored at the edges, int64 [b,
    size]; and whether it lies inside without mirroring, bool [b, size]."""
    places = np.arange(size) - shifts[:, None]
    inside = (places >= 0) & (places < size)
    wrapped = places % (2 * size)
    places = np.minimum(wrapped, 2 * size - 1 - wrapped)
    return np.where(flips[:, None], size - 1 - places, places), inside


def boxes(
    height: int, width: int, y: Floats, x: Floats, box_height: Floats, box_width: Floats
) -> Bools:
    """Rectangles, cut off at the edges, bool [b, height, width].

    Args:
        y, x: their centres [b] as shares of the sides.
        box_height, box_width: their sides [b] as shares of the sides.
    """
    return _spans(height, y, box_height)[:, :, None] & _spans(width, x, box_width)[:, None, :]


def _spans(size: int, centres: Floats, lengths: Floats) -> Bools:
    first = np.rint((centres - lengths / 2) * size)[:, None]
    end = first + np.rint(lengths * size)[:, None]
    places = np.arange(size)
    return (places >= first) & (places < end)
