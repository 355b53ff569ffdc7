"""What a model of pictures is asked for by `predict`: images to judge, repaint or walk between, or
new ones; light, for the command line."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tasks.bounds import Bounded, Bounds, Count, Seed
from tasks.errors import UserError
from tasks.paths import expanded, is_file
from tasks.vision import image_inputs

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tasks.vision.pixels import Pixels

    Latent = npt.NDArray[np.float32]

HIDDEN = ("left", "right", "top", "bottom", "middle")
"""Parts of an image that a mask can name."""


@dataclass(frozen=True)
class Inputs(image_inputs.Inputs, Bounded):
    """What is to be looked at, or made."""

    samples: Annotated[int, Bounds(1, 10_000)] | None = None
    """make so many new pictures"""
    seed: Seed = 0
    """of new pictures: the same seed gives the same ones"""
    walk: Annotated[int, Bounds(2, 1000)] | None = None
    """so many steps of the way from each image, or new picture, to the next"""
    mask: str | None = None
    """part of the images that is painted anew: left, right, top, bottom, middle, or an image file
    in which that part is white"""
    grid: Path | None = None
    """PNG file for the pictures, side by side: new ones; images above what the model makes of
    them"""
    columns: Count | None = None
    """of the grid; by default it is about square"""


def check(asked: Inputs) -> None:
    """Raise `UserError` where flags contradict each other, or nothing is asked for."""
    if asked.samples and asked.image:
        raise UserError("`samples` makes new pictures, and `image` names those there are: give one")
    if not asked.samples and not asked.image:
        raise UserError(
            "what is to be looked at? give `image` with files, folders or globs, or `samples` to "
            "make new pictures"
        )
    if asked.mask is not None and (asked.samples or asked.walk):
        raise UserError("`mask` hides a part of images: it goes with `image`, without `walk`")
    if asked.walk and asked.samples == 1:
        raise UserError("`walk` goes from one picture to the next: give `samples` 2 or more")
    if asked.grid is None:
        for name in ("samples", "walk", "mask", "columns"):
            if getattr(asked, name) is not None:
                raise UserError(f"`{name}` is for pictures: name a file for them with `grid`")


def new_pictures(asked: Inputs, latents: "Latent") -> Iterator[Mapping[str, Any]]:
    """Yield the inputs of new pictures: `name`, and `latent` float32 [size].

    Args:
        latents: those of the pictures, float32 [samples, size].
    """
    if not asked.walk:
        for i, latent in enumerate(latents, 1):
            yield {"name": str(i), "latent": latent}
        return
    for i, (first, second) in enumerate(pairwise(latents), 1):
        for step in range(asked.walk):
            share = step / (asked.walk - 1)
            name = f"{i} to {i + 1}, {share:.0%}"
            yield {"name": name, "latent": on_arc(first, second, share)}


def on_arc(first: "Latent", second: "Latent", share: float) -> "Latent":
    """Return the vector at a share of the way between two, along an arc, which keeps the length
    that normal draws have (White 2016, "Sampling Generative Networks")."""
    import numpy as np

    cosine = float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))
    angle = float(np.arccos(np.clip(cosine, -1, 1)))
    weights = (1 - share, share)
    if np.sin(angle) > 1e-6:
        weights = tuple(np.sin(weight * angle) / np.sin(angle) for weight in weights)
    found: Latent = (weights[0] * first + weights[1] * second).astype(np.float32)
    return found


def pairs(asked: Inputs, images: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the steps from each image to the next: `toward`, the other image, and `share`.

    Raises `UserError` where there are fewer than two.
    """
    assert asked.walk is not None
    count = 0
    for before, item in pairwise(images):
        count += 1
        for step in range(asked.walk):
            share = step / (asked.walk - 1)
            name = f"{before['name']} to {item['name']}, {share:.0%}"
            yield {**before, "name": name, "toward": item["image"], "share": share}
    if not count:
        raise UserError("`walk` goes from one image to the next: give `image` two or more")


def mask_of(
    asked: str, size: int, decode: "Callable[[Mapping[str, Any]], Pixels]"
) -> "Callable[[str, Pixels], npt.NDArray[np.bool_]]":
    """Return what gives the hidden part of an image, bool [size, size] or [height, width].

    Args:
        asked: one of `HIDDEN`, or an image file.
        size: side of the squares that the model sees.
        decode: reads an image file.

    Raises `UserError` for a file that is none, or hides nothing or everything; the result does so
    for an image of another size than the mask.
    """
    import numpy as np

    if asked in HIDDEN:
        half, quarter = size // 2, size // 4
        whole, middle = slice(None), slice(quarter, size - quarter)
        part = {
            "left": (whole, slice(half)),
            "right": (whole, slice(half, None)),
            "top": (slice(half), whole),
            "bottom": (slice(half, None), whole),
            "middle": (middle, middle),
        }[asked]
        square = np.zeros((size, size), np.bool_)
        square[part] = True
        return lambda name, image: square
    hidden = _read_mask(asked, decode)

    def fitting(name: str, image: "Pixels") -> "npt.NDArray[np.bool_]":
        if hidden.shape not in (image.shape[:2], (size, size)):
            (height, width), (rows, places) = hidden.shape, image.shape[:2]
            raise UserError(
                f"`mask` {asked} is {width} x {height} pixels, and {name} {places} x {rows}: give "
                "one of the image's size"
            )
        return hidden

    return fitting


def _read_mask(
    asked: str, decode: "Callable[[Mapping[str, Any]], Pixels]"
) -> "npt.NDArray[np.bool_]":
    from tasks.media.source import BadFile

    path = expanded(asked)
    if not is_file(path):
        raise UserError(f"`mask` {asked} is no file, and none of {', '.join(HIDDEN)}")
    try:
        hidden: npt.NDArray[np.bool_] = decode({"bytes": None, "path": str(path)}).max(2) > 127
    except BadFile as problem:
        raise UserError(f"`mask` {asked}: {problem}") from None
    if hidden.all() or not hidden.any():
        what = "everything is white" if hidden.all() else "nothing is white"
        raise UserError(f"`mask` {asked}: {what}; what is white is painted anew")
    return hidden


def read_images(asked: Inputs, task: Any, stack: ExitStack) -> Iterator[Mapping[str, Any]]:
    """Yield the images that are asked for, decoded: `name`, `image` uint8 [height, width, 1 or 3],
    and `mask` bool where a part is hidden."""
    from tasks.vision import image_classification

    found = image_classification.read_inputs(asked, task, stack)
    if asked.mask is None:
        yield from found
        return
    fitting = mask_of(asked.mask, task.size, lambda media: task.decode(media)[0])
    for item in found:
        yield {**item, "mask": fitting(item["name"], item["image"])}
