"""Windows of images at their own size: where they lie, and what each of them sees."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.randomness import SampleRandom
from tasks.vision import class_maps
from tasks.vision.class_table import IGNORED
from tasks.vision.image_args import Colour

Ints = npt.NDArray[np.int64]


def all_of(sizes: Ints, window: int, overlap: float) -> tuple[Ints, Ints]:
    """Return the windows that see all of some images: the image of each, int64 [n], and the row and
    column where it begins, int64 [n, 2].

    Args:
        sizes: height and width of each image, int64 [b, 2].
        window: height and width of a window.
        overlap: see `class_maps.starts`.
    """
    owners, spans = [], []
    for i, size in enumerate(sizes.tolist()):
        tops, lefts = (class_maps.starts(side, window, overlap) for side in size)
        spans += [(top, left) for top in tops for left in lefts]
        owners += [i] * (len(tops) * len(lefts))
    return np.array(owners, np.int64), np.array(spans, np.int64).reshape(-1, 2)


def drawn(rows: Sequence[Mapping[str, Any]], draws: SampleRandom, window: int) -> Ints:
    """Return where one random window of each row's image begins, int64 [b, 2]."""
    shapes = np.array([row["image"].shape[:2] for row in rows], np.int64)
    room = np.maximum(shapes - window, 0) + 1
    shares = np.stack([draws.uniform("window y"), draws.uniform("window x")], axis=1)
    places: Ints = np.minimum((shares * room).astype(np.int64), room - 1)
    return places


def cut(
    rows: Sequence[Mapping[str, Any]], places: Ints, window: int, background: Colour
) -> list[dict[str, Any]]:
    """Return the rows with what a window sees of image and mask; beyond the image lie the
    background, and pixels that do not count."""
    found = []
    for row, (top, left) in zip(rows, places.tolist(), strict=True):
        part = slice(top, top + window), slice(left, left + window)
        image = row["image"][part]
        if image.shape[:2] != (window, window):
            image = _padded(image, window, background)
        seen = {**row, "image": image}
        if "mask" in row:
            mask = np.full((window, window), IGNORED, np.uint8)
            inner = row["mask"][part]
            mask[: inner.shape[0], : inner.shape[1]] = inner
            seen["mask"] = mask
        found.append(seen)
    return found


def _padded(image: npt.NDArray[np.uint8], window: int, background: Colour) -> Any:
    height, width, channels = image.shape
    channels = 1 if channels == 1 and len(set(background)) == 1 else 3
    padded = np.empty((window, window, channels), np.uint8)
    padded[:] = background[:channels]
    padded[:height, :width] = image
    return padded


def count_once(labels: npt.NDArray[np.uint8], windows: Ints, spans: Ints) -> None:
    """Let each pixel count in the first window alone that sees it, in place.

    Args:
        labels: of the pixels of each window, uint8 [n, window, window].
        windows, spans: as `all_of` gives them.
    """
    side = labels.shape[1]
    for i in np.unique(windows):
        mine = (windows == i).nonzero()[0]
        height, width = spans[mine].max(0) + side
        seen = np.zeros((height, width), np.bool_)
        for j in mine:
            top, left = spans[j]
            part = seen[top : top + side, left : left + side]
            labels[j][part] = IGNORED
            part[:] = True
