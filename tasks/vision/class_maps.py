"""From logits of pixels to the class of each pixel of an image of any size, and pictures of it."""

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tasks import arrays
from tasks.vision.class_table import IGNORED, ClassTable
from tasks.vision.mask_files import ClassMap

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

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


class _Stitch:
    """The classes of an image from logits of its windows, the mean where they overlap.

    Of logits at the image's size those rows alone are kept that the window last added sees: windows
    come from the top of the image down, and what lies above the last one is decided.
    """

    def __init__(self, height: int, width: int) -> None:
        self._classes = np.empty((height, width), np.uint8)
        self._top = 0
        self._sums: _Floats | None = None  # of logits, [classes, window, width] from row `_top` on

    def add(self, logits: _Floats, top: int, left: int) -> None:
        """Add the logits of a window, float32 [classes, window, window], which begins there."""
        if self._sums is None:
            classes, side, _ = logits.shape
            wide = max(self._classes.shape[1], side)
            self._sums = np.zeros((classes, side, wide), np.float32)
        if done := top - self._top:
            assert done > 0, "windows come from the top down"
            kept = self._sums[:, done:].copy()
            self._decide(done)
            self._sums[:, : kept.shape[1]] = kept
            self._sums[:, kept.shape[1] :] = 0
            self._top = top
        self._sums[:, :, left : left + logits.shape[2]] += logits

    def finish(self) -> ClassMap:
        """Return the class of each pixel, once all windows are added."""
        self._decide(len(self._classes) - self._top)
        return self._classes

    def _decide(self, rows: int) -> None:
        """Write the classes of the first rows kept: a pixel is in as many windows for each class,
        so the largest sum is that of the largest mean."""
        assert self._sums is not None, "every image has a window"
        decided = self._sums[:, :rows, : self._classes.shape[1]].argmax(0)
        self._classes[self._top : self._top + rows] = decided


def stitched(
    logits: Iterable[Any],
    owners: npt.NDArray[np.int64],
    spans: npt.NDArray[np.int64],
    sizes: Sequence[tuple[int, int]],
    side: int,
) -> list[ClassMap]:
    """Return the class of each pixel of some images from the logits of their windows, the mean
    where they overlap: uint8 [height, width] each.

    Windows are taken one by one, and no image's logits are ever in memory whole.

    Args:
        logits: of each window, float32 [classes, h, w], tensors or arrays, which are interpolated
            to its size; image by image, and of each from the top down.
        owners: of each window the place of its image, int64 [windows].
        spans: of each window the row and column of the image where it begins, int64 [windows, 2];
            it may reach beyond the image.
        sizes: height and width of each image.
        side: height and width of a window.
    """
    coming = iter(logits)
    found = []
    for i, size in enumerate(sizes):
        image = _Stitch(*size)
        for top, left in spans[owners == i].tolist():
            image.add(at_size(next(coming), side), top, left)
        found.append(image.finish())
    return found


def overlay(image: _Pixels, classes: ClassMap, table: ClassTable) -> _Pixels:
    """Return an image under the colours of its classes, uint8 [height, width, 3]; ignored pixels
    stay as they are, and so does the background, a class of that name or of the number 0, where it
    is drawn black.

    Args:
        image: uint8 [height, width, 1 or 3].
    """
    colours = np.zeros((256, 3), np.float32)
    cover = np.full(256, COVER, np.float32)
    cover[IGNORED] = 0
    of_classes = zip(table.names, table.values, table.drawn(), strict=True)
    for i, (name, value, colour) in enumerate(of_classes):
        colours[i] = colour
        if colour == (0, 0, 0) and (value == 0 or name.casefold() == "background"):
            cover[i] = 0
    share = cover[classes][:, :, None]
    mixed = image.astype(np.float32) * (1 - share) + colours[classes] * share
    return np.rint(mixed).astype(np.uint8)


def shares(classes: ClassMap) -> list[tuple[int, float]]:
    """Return the classes that a map has, those of most pixels first, and the share of its pixels
    that each has."""
    pixels = np.bincount(classes.ravel())
    order = [int(i) for i in np.argsort(-pixels, kind="stable") if pixels[i]]
    return [(i, float(pixels[i] / classes.size)) for i in order]


def top_confusion(truth: ClassMap, predicted: ClassMap) -> tuple[int, int]:
    """Return the true class and the predicted one that most pixels have, of pixels that are wrong,
    uint8 [n]."""
    pairs = np.bincount(truth.astype(np.int64) * 256 + predicted)
    true, given = divmod(int(pairs.argmax()), 256)
    return true, given


def png_of(there: npt.NDArray[np.bool_]) -> bytes:
    """Return a PNG file of one channel, 255 where a pixel is meant and 0 elsewhere.

    Args:
        there: bool [height, width].
    """
    from PIL import Image

    return _png(Image.fromarray(there.astype(np.uint8) * 255, "L"))


def mask_png(classes: ClassMap, table: ClassTable) -> bytes:
    """Return a mask as a PNG file that is read as it is written: of the value of each pixel's
    class, with a palette of their colours, or in 16 bits of grey where a value is above 255.

    Args:
        classes: uint8 [height, width], each one of the table's.
    """
    from PIL import Image

    values = np.array(table.values, np.uint16)[classes]
    if max(table.values) > 255:
        return _png(Image.fromarray(values))
    palette = np.zeros((256, 3), np.uint8)
    palette[list(table.values)] = table.drawn()
    image = Image.fromarray(values.astype(np.uint8), "P")
    image.putpalette(palette.ravel().tolist())
    return _png(image)


def png(pixels: _Pixels) -> bytes:
    """Return a PNG file of an image, uint8 [height, width, 3]."""
    from PIL import Image

    return _png(Image.fromarray(pixels, "RGB"))


def _png(image: "PILImage") -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()
