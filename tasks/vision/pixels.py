"""Opened images to pixels: transparency laid on a colour, and the square that a model sees."""

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tasks.vision import resizing
from tasks.vision.deep_images import ValueRange, Values, scaled
from tasks.vision.image_args import Colour, ResizeMode

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

Pixels = resizing.Pixels
Facts = dict[str, float]
"""What was remarkable in an image: `transparent`, the share of its pixels that were; `uniform`,
1 where it is of one colour now that they lie on the background; `low` and `high`, the least and the
largest value of one of more than 8 bits, and `cut`, the share of its values outside the range;
`frames`, 1 where it has others that are not read."""

GREY_MODES = ("1", "L", "LA", "La")
LONGEST = 64  # times as long as wide, up to which all of an image is resized before it is cropped


def scale_transparency(image: "PILImage") -> None:
    """Brings PNG's transparent grey of 2 or 4 bits to the 8 bits of the pixels, as Pillow does not.

    To be called before the pixels are read.
    """
    clear, tiles = image.info.get("transparency"), getattr(image, "tile", None)
    factor = {"L;2": 85, "L;4": 17}.get(str(tiles[0].args)) if tiles else None
    if isinstance(clear, int) and factor and image.mode == "L":
        image.info["transparency"] = clear * factor


def of_image(image: "PILImage", background: Colour) -> tuple[Pixels, Facts]:
    """The pixels of an image of 8 bits, uint8 [height, width, 1 or 3].

    One channel where the image is grey, and so is what shows through it.
    """
    mode = image.mode
    if image.has_transparency_data:
        rgba = _with_alpha(image)
        opaque = rgba.getchannel("A").histogram()[255]
        total = image.width * image.height
        if opaque < total:
            from PIL import Image

            canvas = Image.new("RGBA", image.size, (*background, 255))
            canvas.alpha_composite(rgba)
            pixels = np.array(canvas.convert("RGB"))
            grey = mode in GREY_MODES and len(set(background)) == 1
            if grey or (mode in ("P", "PA") and _is_grey(pixels)):
                pixels = pixels[:, :, :1].copy()
            return pixels, _transparency(1 - opaque / total, pixels)
    if mode in GREY_MODES:
        return np.array(image if mode == "L" else image.convert("L"))[:, :, None], {}
    # Changes no pixel of the conversion, and spares a warning about a palette's transparency.
    image.info.pop("transparency", None)
    pixels = np.array(image.convert("RGB"))
    if mode == "P" and _is_grey(pixels):  # as GIF has to store greyscale
        pixels = pixels[:, :, :1].copy()
    return pixels, {}


def _with_alpha(image: "PILImage") -> "PILImage":
    if image.mode in ("La", "RGBa"):  # colours multiplied by alpha
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    return image.convert("RGBA")


def _is_grey(pixels: Pixels) -> bool:
    return bool((pixels == pixels[:, :, :1]).all())


def of_values(
    values: Values, wanted: ValueRange | None, background: Colour
) -> tuple[Pixels, Facts]:
    """The pixels of an image of more than 8 bits, uint8 [height, width, 1 or 3].

    Args:
        wanted: see `deep_images.scaled`, whose errors it raises.
    """
    light = scaled(values, wanted)
    facts: Facts = {"low": float(values.values.min()), "high": float(values.values.max())}
    if wanted is not None:
        outside = (values.values < wanted[0]) | (values.values > wanted[1])
        if outside.any():
            facts["cut"] = float(outside.mean())
    light = light[:, :, None] if light.ndim == 2 else light
    alpha = values.alpha
    if alpha is not None and (alpha < 1).any():
        grey = light.shape[2] == 1 and len(set(background)) == 1
        behind = np.array(background[:1] if grey else background, light.dtype)
        light = light * alpha[:, :, None] + behind * (1 - alpha[:, :, None])
        pixels = np.rint(light).astype(np.uint8)
        return pixels, facts | _transparency(float((alpha < 1).mean()), pixels)
    return np.rint(light).astype(np.uint8), facts


def _transparency(share: float, pixels: Pixels) -> Facts:
    uniform = bool((pixels == pixels[0, 0]).all())
    return {"transparent": share} | ({"uniform": 1.0} if uniform else {})


def resize(image: Pixels, height: int, width: int) -> Pixels:
    """The image at another size, uint8 [height, width, channels]; itself where it fits.

    As transformers' image processors resize (bilinear, antialiased, in integers), so that a network
    sees the same here and there. torch, where it is there, is many times as fast as numpy, and not
    worth its import where nothing else needs it: they give the same bits.
    """
    if image.shape[:2] == (height, width):
        return image
    if sys.modules.get("torch") is None:
        return resizing.resize(image, height, width)
    import torch
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2 import functional as tvf

    # torch warns of memory that is not to be written, such as Arrow's.
    tensor = torch.from_numpy(np.require(image, requirements="W")).permute(2, 0, 1)
    resized = tvf.resize(
        tensor, [height, width], interpolation=InterpolationMode.BILINEAR, antialias=True
    )
    return np.ascontiguousarray(resized.permute(1, 2, 0).numpy())


def fit(image: Pixels, size: int, mode: ResizeMode, background: Colour) -> Pixels:
    """The square that a model sees, uint8 [size, size, 1 or 3].

    Sizes and places are those of transformers' image processors, so that "stretch", "crop", and
    "pad" on black are what they make; but "pad" rounds in integers, where they may lose a pixel.

    Args:
        mode: "stretch" changes the proportions; "crop" resizes the shorter side and takes the
            middle; "pad" resizes the longer side and lays it on the middle of the background.
    """
    height, width = image.shape[:2]
    if height == width or mode == "stretch":
        return resize(image, size, size)
    if mode == "crop":
        return _crop(image, size)
    height, width, top, left = inner_part(height, width, size)
    inner = resize(image, height, width)
    colours = 1 if inner.shape[2] == 1 and len(set(background)) == 1 else 3
    square = np.empty((size, size, colours), np.uint8)
    square[:] = background[:colours]
    square[top : top + height, left : left + width] = inner
    return square


def inner_part(height: int, width: int, size: int) -> tuple[int, int, int, int]:
    """Return height, width, top and left of an image within the square that "pad" makes of it.

    Args:
        height, width: of the image.
        size: side of the square.
    """
    longer = max(height, width)
    rows, columns = (max(1, side * size // longer) for side in (height, width))
    return rows, columns, (size - rows) // 2, (size - columns) // 2


def _crop(image: Pixels, size: int) -> Pixels:
    short, long = sorted(image.shape[:2])
    if long > LONGEST * short:  # which would take memory without end
        start = (long - LONGEST * short) // 2
        middle = slice(start, start + LONGEST * short)
        image = image[middle] if image.shape[0] == long else image[:, middle]
        long = LONGEST * short
    longer = int(size * long / short)
    tall = image.shape[0] > image.shape[1]
    image = resize(image, longer if tall else size, size if tall else longer)
    top, left = (math.floor((side - size) / 2) for side in image.shape[:2])
    return np.ascontiguousarray(image[top : top + size, left : left + size])


def luma(images: Any) -> Any:
    """Return the brightness of images as the eye sees it (ITU-R BT.601): [b, 1, h, w] of colours
    [b, 3, h, w], a tensor or an array; grey ones [b, 1, h, w] as they are."""
    if images.shape[1] == 1:
        return images
    red, green, blue = (images[:, i : i + 1] for i in range(3))
    return red * 0.299 + green * 0.587 + blue * 0.114


def normalised(
    images: Sequence[Pixels] | Pixels, mean: Sequence[float], std: Sequence[float], colours: int = 3
) -> npt.NDArray[np.float32]:
    """Images as a network takes them: scaled to 0..1, less the mean and over the deviation of each
    channel; float32 [images, colours, height, width], channels last in memory, to the bits that
    torch computes.

    Args:
        images: uint8 [height, width, 1 or 3] of one size, or one array of them all.
        colours: 3: grey images become colour; 1: colours become brightness.
        mean: of the three channels.
        std: the standard deviations of the three channels.
    """
    height, width, _ = images[0].shape
    if isinstance(images, np.ndarray):
        kinds = {images.shape[3]}
    else:
        kinds = {image.shape[2] for image in images}
    # grey images stay one channel as long as that saves work
    grey = kinds == {1} and len({*mean}) == len({*std}) == 1
    channels = 1 if grey else 3
    made: npt.NDArray[np.float32]
    if kinds == {channels}:  # first together, then to floats: many small ones would take longer
        whole = images if isinstance(images, np.ndarray) else np.concatenate(images)
        made = whole.astype(np.float32, order="C")
    else:
        made = np.empty((len(images), height, width, channels), np.float32)
        for place, image in zip(made, images, strict=True):
            place[...] = image
    made /= np.float32(255)
    if grey:
        made -= np.float32(mean[0])
        made /= np.float32(std[0])
    else:
        rows = made.reshape(-1, width * 3)  # long rows: numpy is slow where the last axis is 3
        rows -= np.tile(np.asarray(mean, np.float32), width)
        rows /= np.tile(np.asarray(std, np.float32), width)
    made = made.reshape(len(images), height, width, channels)
    if grey and colours == 3:
        made = np.repeat(made, 3, axis=3)
    found = made.transpose(0, 3, 1, 2)
    return luma(found) if colours == 1 else found
