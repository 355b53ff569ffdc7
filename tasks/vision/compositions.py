"""Images made of several, and of a smaller one: where each lies, whether boxes or masks follow.

Mosaic (Bochkovskiy et al. 2020, "YOLOv4") puts four images together, zooming out (Liu et al. 2016,
"SSD", section 3.6) one in a larger canvas. Both come before what `tasks.vision.augment` does, and
are a function of (seed, epoch, sample) as that is.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tasks.errors import UserError
from tasks.randomness import SampleRandom
from tasks.vision import augment, geometry
from tasks.vision.augment_args import AugmentArgs
from tasks.vision.composition_args import CompositionArgs

if TYPE_CHECKING:
    from torch import Tensor

Image = npt.NDArray[np.uint8]

PARTNERS = 3
"""Other images in a mosaic."""
_CENTRE = 0.3, 0.7  # where the four images of a mosaic meet, as shares of the sides


def must_vary(args: AugmentArgs, more: CompositionArgs) -> None:
    """Raise `UserError` for images that are to be composed and left as they are."""
    if args.augment == "none" and (more.mosaic or more.zoom_out > 1):
        raise UserError("`augment` none leaves images as they are: no `mosaic` and no `zoom_out`")


def mosaic_partners(draws: SampleRandom, args: CompositionArgs, n: int) -> geometry.Ints:
    """Return which of n samples each sample is put together with, int64 [b, 3]; -1 where it stays
    alone."""
    chosen = np.stack([draws.integers(f"mosaic {i}", n) for i in range(PARTNERS)], axis=1)
    return np.where((draws.uniform("mosaic") < args.mosaic)[:, None], chosen, -1)


def give_partners(
    rows: Sequence[dict[str, Any]],
    draws: SampleRandom,
    args: CompositionArgs,
    n: int,
    row_of: Callable[[int], dict[str, Any]],
) -> None:
    """Add `partners` to the rows of samples that do not stay alone: the rows of three others.

    Args:
        draws: of the samples of the rows.
        n: how many samples there are.
        row_of: the row of each.
    """
    for row, partners in zip(rows, mosaic_partners(draws, args, n).tolist(), strict=True):
        if partners[0] >= 0:
            row["partners"] = [row_of(i) for i in partners]


def mosaic_parts(
    draws: SampleRandom, height: int, width: int
) -> Iterator[tuple[geometry.Floats, geometry.Floats]]:
    """Yield of each of the four images of mosaics the maps [b, 2, 3] that make it smaller, and the
    part of each canvas that it fills, [b, 4]: x0, y0, x1, y1 in whole pixels.

    The four meet at a random point: each lies with a corner there, made smaller as far as its part
    of the area is filled.

    Args:
        draws: of the b samples.
        height, width: of each image, and of the canvases.
    """
    row, column = (
        np.rint(draws.uniform(f"mosaic {axis}", *_CENTRE) * side)
        for axis, side in (("y", height), ("x", width))
    )
    for i in range(1 + PARTNERS):
        below, right = divmod(i, 2)
        tall, wide = height - row if below else row, width - column if right else column
        scale = draws.uniform(f"mosaic scale {i}", np.maximum(tall / height, wide / width), 1.0)
        # the corner at the meeting point: of the image, and where it lies in the result
        x = (-width if right else width) / 2 - (column - width / 2) / scale
        y = (-height if below else height) / 2 - (row - height / 2) / scale
        maps = geometry.affine(len(draws.ids), xx=1 / scale, yy=1 / scale, x=x, y=y)
        left, top = column * right, row * below
        yield maps, np.stack([left, top, left + wide, top + tall], axis=1)


def paste(canvases: "Tensor", images: "Tensor", windows: geometry.Floats) -> None:
    """Put windows [b, 4] of images [b, c, h, w] where they lie in canvases of that shape."""
    for place, one, (x0, y0, x1, y1) in zip(canvases, images, windows.astype(int), strict=True):
        place[:, y0:y1, x0:x1] = one[:, y0:y1, x0:x1]


def zoom(draws: SampleRandom, most: float, height: int, width: int) -> geometry.Floats:
    """Return maps [b, 2, 3] that make images smaller, anywhere in their canvas."""
    factor = draws.uniform("zoom", 1.0, most)
    return geometry.affine(
        len(draws.ids),
        xx=factor,
        yy=factor,
        x=draws.uniform("zoom x", -0.5, 0.5) * (factor - 1) * width,
        y=draws.uniform("zoom y", -0.5, 0.5) * (factor - 1) * height,
    )


def warped(images: "Tensor", maps: geometry.Floats) -> "Tensor":
    """Return images uint8 [b, c, h, w] sampled where maps [b, 2, 3] say, black outside."""
    return augment.to_bytes(geometry.warp(augment.to_float(images), maps, "zeros"))


def stack(images: Sequence[Image], colour: int | None = None) -> "Tensor":
    """Return images [h, w, c] of one size together, uint8 [b, c, h, w]; grey ones in so many
    channels."""
    import torch

    if colour is not None:
        images = [np.broadcast_to(one, (*one.shape[:2], colour)) for one in images]
    return torch.from_numpy(np.stack([one.transpose(2, 0, 1) for one in images]))
