"""From logits of pixels to the class of each pixel of an image of any size, and pictures of it."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks import arrays
from tasks.vision.class_table import IGNORED
from tasks.vision.image_args import Colour
from tasks.vision.mask_files import ClassMap

BAND = 2**22
"""Logits that are computed at once at the size of the image: 16 MiB."""
COVER = 0.5  # of an overlay that is the colour of the class

_Floats = npt.NDArray[np.float32]
_Pixels = npt.NDArray[np.uint8]


def of_logits(logits: Any, height: int, width: int) -> ClassMap:
    """Return the likeliest class of each pixel, uint8 [height, width].

    Logits of another size are interpolated (bilinear, between centres of pixels), as transformers'
    `post_process_semantic_segmentation` does it.

    Args:
        logits: float32 [classes, h, w], a tensor or an array.
    """
    if not isinstance(logits, np.ndarray) and len(logits) * height * width <= BAND:
        import torch.nn.functional as F

        if logits.shape[1:] != (height, width):
            size = (height, width)
            logits = F.interpolate(logits[None], size, mode="bilinear", align_corners=False)[0]
        found: ClassMap = logits.argmax(0).cpu().numpy().astype(np.uint8)
        return found
    values = arrays.to_numpy(logits)
    classes = np.empty((height, width), np.uint8)
    rows = max(1, BAND // (len(values) * width))
    for first in range(0, height, rows):
        part = slice(first, first + rows)
        classes[part] = _interpolated(values, height, width, part).argmax(0)
    return classes


def at_size(logits: Any, side: int) -> _Floats:
    """Return logits interpolated as by `of_logits`, float32 [classes, side, side].

    Args:
        logits: float32 [classes, h, w], a tensor or an array.
    """
    return _interpolated(arrays.to_numpy(logits), side, side, slice(0, side))


def _interpolated(values: _Floats, height: int, width: int, rows: slice) -> _Floats:
    """Return some rows of logits at another size, float32 [classes, rows, width]."""
    if values.shape[1:] == (height, width):
        return values[:, rows]
    above, below, down = _between(values.shape[1], height)
    left, right, across = _between(values.shape[2], width)
    tall = _mixed(values[:, above[rows]], values[:, below[rows]], down[rows, None])
    return _mixed(tall[:, :, left], tall[:, :, right], across)


def _between(size: int, wanted: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any], _Floats]:
    """Return of each of `wanted` places along an axis its two neighbours among `size`, and how much
    the second counts."""
    centres = np.maximum((np.arange(wanted) + 0.5) * (size / wanted) - 0.5, 0)
    first = np.minimum(centres.astype(np.int64), size - 1)
    return first, np.minimum(first + 1, size - 1), (centres - first).astype(np.float32)


def _mixed(one: _Floats, other: _Floats, share: _Floats) -> _Floats:
    mixed: _Floats = one * (1 - share) + other * share
    return mixed


def starts(size: int, window: int, overlap: float) -> list[int]:
    """Return where windows begin along an axis: evenly, so that each overlaps the next by a share
    of `overlap` or more, and all of the axis is seen. One for an axis that is shorter."""
    if size <= window:
        return [0]
    step = max(1, int(window * (1 - overlap)))
    count = -(-(size - window) // step) + 1
    return [round(i * (size - window) / (count - 1)) for i in range(count)]


def stitched(
    logits: Sequence[Any], spans: npt.NDArray[np.int64], height: int, width: int
) -> _Floats:
    """Return the logits of an image from those of its windows, the mean where they overlap: float32
    [classes, height, width].

    Args:
        logits: float32 [classes, window, window] each, tensors or arrays.
        spans: of each window the row and column of the image where it begins, int64 [windows, 2];
            it may reach beyond the image.
    """
    classes, tall, wide = logits[0].shape
    sums = np.zeros((classes, max(height, tall), max(width, wide)), np.float32)
    counts = np.zeros(sums.shape[1:], np.float32)
    for one, (top, left) in zip(logits, spans.tolist(), strict=True):
        sums[:, top : top + tall, left : left + wide] += arrays.to_numpy(one)
        counts[top : top + tall, left : left + wide] += 1
    sums /= counts
    return sums[:, :height, :width]


def overlay(image: _Pixels, classes: ClassMap, colours: Sequence[Colour]) -> _Pixels:
    """Return an image under the colours of its classes, uint8 [height, width, 3]; the first class,
    which is mostly the background, and ignored pixels stay as they are where it is drawn black.

    Args:
        image: uint8 [height, width, 1 or 3].
    """
    table = np.zeros((256, 3), np.float32)
    table[: len(colours)] = colours
    cover = np.full(256, COVER, np.float32)
    cover[IGNORED] = 0
    if tuple(colours[0]) == (0, 0, 0):
        cover[0] = 0
    share = cover[classes][:, :, None]
    mixed = image.astype(np.float32) * (1 - share) + table[classes] * share
    return np.rint(mixed).astype(np.uint8)


def shares(classes: ClassMap) -> list[tuple[int, float]]:
    """Return the classes that a map has, those of most pixels first, and the share of its pixels
    that each has."""
    pixels = np.bincount(classes.ravel())
    order = [int(i) for i in np.argsort(-pixels, kind="stable") if pixels[i]]
    return [(i, float(pixels[i] / classes.size)) for i in order]


def png_of(there: npt.NDArray[np.bool_]) -> bytes:
    """Return a PNG file of one channel, 255 where a pixel is meant and 0 elsewhere.

    Args:
        there: bool [height, width].
    """
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(there.astype(np.uint8) * 255, "L").save(content, "PNG")
    return content.getvalue()


def png(pixels: _Pixels, colours: Sequence[Colour] | None = None) -> bytes:
    """Return a PNG file: of an image [height, width, 3], or of classes [height, width] with a
    palette of their colours."""
    from PIL import Image

    image = Image.fromarray(pixels, "RGB" if colours is None else "P")
    if colours is not None:
        image.putpalette([channel for colour in colours for channel in colour])
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()
