"""Images of more than 8 bits: their values, and which of them are black and white.

A file of 16 bits often holds 12 (X-rays, cameras), and one of 32 may hold anything. The range of
the type would make all of them nearly black, and each image's own range would make bright and dark
ones alike. So one range holds for all: what was asked for, or what the training images fill.
"""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.media.source import BadFile

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage
    from PIL.ImageFile import ImageFile

ValueRange = tuple[float, float]
"""The values that become 0 and 255."""
SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
"""Pillow reads the first byte of 16-bit colours; told the other byte order, it reads the second."""


Numbers = npt.NDArray[np.floating[Any]]

GREY_ALPHA = "LA;16B"  # Pillow's name for how 16-bit greyscale with alpha lies in a PNG


class Values(NamedTuple):
    """The pixels of an image with all the bits that its file has."""

    values: Numbers  # [height, width] or [height, width, 3]
    alpha: Numbers | None  # [height, width], 0 to 1
    declared: ValueRange | None  # the range of the type; None for decimal numbers
    white_is_zero: bool = False
    explicit: bool = False  # whether the file itself says what is white, as PGM does


def is_deep(image: "PILImage") -> bool:
    """Return whether an image has more than 8 bits; nothing but its header need be read."""
    tiles = getattr(image, "tile", None)
    grey = is_deep_grey(image) or (tiles and tiles[0].args == GREY_ALPHA)
    return bool(grey or has_deep_colour(image) or _largest(image) > 255)


def has_deep_colour(image: "PILImage") -> bool:
    """Return whether an image has 16-bit colours, whose low bytes `open_low_bytes` gives."""
    return _colour_bytes(image) is not None


def is_deep_grey(image: "PILImage") -> bool:
    """Return whether Pillow itself keeps all bits of an image: greyscale of 16 and 32 bits, and
    decimal numbers."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def grey_values(image: "PILImage") -> Values:
    """The values of greyscale, for which `is_deep_grey` holds."""
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})  # of TIFF
    # 16 bits are exact in float32 too; more are not
    values: Numbers = np.array(image, np.float64 if image.mode == "I" else np.float32)
    declared: ValueRange | None
    explicit = False
    if image.mode == "F":
        declared = None
    elif image.mode == "I" and tags:
        bits = tags.get(258, (32,))[0]
        if tags.get(339, (1,))[0] == 1:  # unsigned, which Pillow reads as if it had a sign
            declared = 0, 2**bits - 1
            values[values < 0] += 2**bits
        else:
            declared = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    else:
        bits = tags.get(258, (16,))[0]
        declared, explicit = (0, 2**bits - 1), bits < 16
        if largest := image.info.get("maxval"):  # of PGM, which Pillow brings to 16 bits
            values = np.rint(values * (largest / 65535))
            declared, explicit = (0, largest), largest < 65535
    clear = image.info.get("transparency")
    alpha = None if clear is None else (values != clear).astype(np.float32)
    return Values(values, alpha, declared, tags.get(262) == 0, explicit)


def open_all_bits(image: "ImageFile") -> bool:
    """Makes Pillow read the bytes that it would leave out, before any pixel is read.

    Returns whether `grey_alpha_values` is to make values of them.
    """
    if not image.tile or image.tile[0].args != GREY_ALPHA:
        return False
    # four bytes a pixel, as 8-bit RGBA has them
    image.tile = [tile._replace(args="RGBA") for tile in image.tile]
    return True


def grey_alpha_values(image: "PILImage") -> Values:
    """The values of 16-bit greyscale with alpha that was opened by `open_all_bits`."""
    parts = np.array(image).astype(np.float32)  # [height, width, 4]: high and low bytes
    values, alpha = parts[:, :, 0] * 256 + parts[:, :, 1], parts[:, :, 2] * 256 + parts[:, :, 3]
    return Values(values, alpha / 65535, (0, 65535))


def open_low_bytes(image: "ImageFile") -> None:
    """Makes Pillow read the low byte of each 16-bit colour instead of the high one."""
    raw = _colour_bytes(image)
    assert raw is not None
    swapped = raw[:-1] + SWAPPED[raw[-1]]
    image.tile = [tile._replace(args=_with_raw_mode(tile.args, swapped)) for tile in image.tile]


def colour_values(high: "PILImage", low: "PILImage") -> Values:
    """The values of 16-bit colours, of which Pillow has read the high and the low bytes."""
    values: Numbers = np.array(high).astype(np.float32) * 256 + np.array(low)
    alpha = values[:, :, 3] / 65535 if values.shape[2] == 4 else None
    values = values[:, :, :3]
    clear = high.info.get("transparency")
    if clear is not None:
        alpha = (values != np.array(clear)).any(2).astype(np.float32)
    return Values(values, alpha, (0, 65535))


def portable_values(image: "ImageFile", largest: int) -> Values:
    """The values of a binary PPM in colour of more than 8 bits, which Pillow rounds to 8.

    Raises `BadFile` for one that is written in digits, or cut short.
    """
    tile = image.tile[0]
    if tile.codec_name != "ppm":
        raise BadFile("colour of more than 8 bits in digits: save it as PNG")
    file, (width, height) = image.fp, image.size
    assert file is not None
    file.seek(tile.offset)
    content = file.read(height * width * 6)
    if len(content) < height * width * 6:
        raise BadFile("truncated")
    values = np.frombuffer(content, ">u2").reshape(height, width, 3).astype(np.float32)
    return Values(values, None, (0, largest), explicit=largest < 65535)


def largest_of_portable(image: "PILImage") -> int | None:
    """Return the value that a PPM in colour of more than 8 bits declares as white; None for any
    other image."""
    largest = _largest(image)
    return largest if image.mode == "RGB" and largest > 255 else None


def _largest(image: "PILImage") -> int:
    """The value that a PPM or PGM declares as white; 0 of other formats, and of raw 16 bits."""
    if image.format != "PPM" or not getattr(image, "tile", None):
        return 0
    args = image.tile[0].args  # type: ignore[attr-defined]
    return int(args[1]) if isinstance(args, tuple) and isinstance(args[-1], int) else 0


def remember_largest(image: "PILImage") -> None:
    """Notes what a PGM declares as white, which is forgotten once its pixels are read."""
    if is_deep_grey(image) and (largest := _largest(image)) > 255:
        image.info["maxval"] = largest


def _colour_bytes(image: "PILImage") -> str | None:
    """Pillow's name for how 16-bit colours lie in the file; None where there are none."""
    tiles = getattr(image, "tile", None)
    if not tiles:
        return None
    args = tiles[0].args
    raw = args if isinstance(args, str) else args[0] if args else None
    if not isinstance(raw, str) or not raw.endswith((";16B", ";16L", ";16N")):
        return None
    return raw if raw.startswith("RGB") else None


def _with_raw_mode(args: Any, raw: str) -> Any:
    return raw if isinstance(args, str) else (raw, *args[1:])


def scaled(values: Values, wanted: ValueRange | None) -> Numbers:
    """Values brought to 0 .. 255, not rounded; what lies outside the range is cut.

    Args:
        wanted: the values that become 0 and 255; None takes the range of the type.

    Raises `BadFile` where that leaves open what is white: most of the range is not used.
    """
    low, high = check_finite(values.values)
    if wanted is None:
        wanted = own_range(values, low, high)
    black, white = wanted
    result = (values.values - black) * (255 / (white - black))
    np.clip(result, 0, 255, out=result)
    if values.white_is_zero:
        np.subtract(255, result, out=result)
    return result


def check_finite(values: Numbers) -> ValueRange:
    """The least and the largest value. Raises `BadFile` where one is no number, or has no end."""
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise BadFile(f"decimal numbers from {low:g} to {high:g}, which are no brightness")
    return low, high


def own_range(values: Values, low: float, high: float) -> ValueRange:
    """The range that one image by itself declares. Raises `BadFile` where it is not plain."""
    asks = "training has to say which are black and white (`value_range`)"
    if values.declared is None:
        white = next((float(most) for most in (1, 255, 65535) if high <= most), None)
        if low < 0 or white is None:
            numbers = f"decimal numbers from {low:g} to {high:g}, which are no brightness"
            raise BadFile(f"{numbers}: {asks}")
        black = 0.0
    else:
        black, white = values.declared
    if values.explicit or white == 1 or low == high == 0:
        return black, white
    reach = max(high, -low)
    if reach <= white / 2 or low >= 0 > black:  # one bit that is not used may be chance
        raise BadFile(
            f"its values are {low:,.0f} to {high:,.0f}, where its type has {black:,.0f} to"
            f" {white:,.0f}: {asks}, or convert it to 8 bits"
        )
    return black, white


def full_scale(largest: float, decimals: bool = False) -> float:
    """Return the value that is white where this is the largest one: 1 for decimal numbers up to 1,
    else the smallest of 255, 511, 1023, ... that holds it."""
    if decimals and largest <= 1:
        return 1.0
    bits = 8
    while 2**bits - 1 < largest:
        bits += 1
    return float(2**bits - 1)
