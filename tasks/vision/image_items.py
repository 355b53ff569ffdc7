"""One image as Python gives it: to pixels, from a file, a PIL image, an array or a tensor."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.media.items import (
    is_array,
    is_tensor,
    media_of,
    named_errors,
    no_media,
    shape_of,
    to_numpy,
)
from tasks.media.source import BadFile

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    from tasks.vision.images import Pixels

CHANNELS = (1, 2, 3, 4)  # grey, grey and alpha, RGB, RGBA
LEAST_OF_16_BITS = 4096  # that the brightest of colours reaches; below it may be of 12 bits or 8
SLACK = 1e-3  # that numbers from 0 to 1 may be off by, after resampling


def pixels(
    item: Any,
    decode: "Callable[[Mapping[str, Any]], Pixels]",
    convert: "Callable[[PILImage], Pixels]",
) -> "Pixels":
    """The pixels of one image, uint8 [height, width, 1 or 3].

    Args:
        item: a path, a file's content or an open file, a mapping of `bytes` or `path`, or with the
            image itself under `image`, a PIL image, or an array or tensor [height, width], [height,
            width, channels] or [channels, height, width] of grey, RGB, or either with alpha:
            integers in 0..255 (uint16 in 0..65535), booleans, or floats in 0..1 or in 0..255. Where
            both ends could be the channels they are an array's last and a tensor's first.
        decode: the pixels of a file, as the task reads them.
        convert: the pixels of a PIL image, as the task reads them.

    Raises `UserError` for what is no image.
    """
    from PIL.Image import Image

    if isinstance(item, Mapping) and "image" in item:
        item = item["image"]
    media = media_of(item, "image")
    with named_errors(media, "image"):
        if media is not None:
            return decode(media)
        if isinstance(item, Image):
            if 0 in item.size:
                raise BadFile(f"{item.width} x {item.height} pixels, which is no image")
            return convert(item)
        if is_array(item):
            return _of_array(to_numpy(item), is_tensor(item), convert)
    raise no_media(item, "image", "a PIL image, or an array")


def _of_array(
    array: "np.ndarray", is_tensor: bool, convert: "Callable[[PILImage], Pixels]"
) -> "Pixels":
    from PIL import Image

    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or 0 in array.shape:
        raise BadFile(f"{shape_of(array)} is no [height, width, channels] of an image")
    first, last = array.shape[0] in CHANNELS, array.shape[2] in CHANNELS
    if first and (is_tensor or not last):
        array = array.transpose(1, 2, 0)
    elif not last:
        raise BadFile(f"{shape_of(array)} has 1 to 4 channels neither first nor last")
    if array.dtype == np.uint16:
        if array.shape[2] == 1:  # as a file of 16 bits is read
            return convert(Image.fromarray(np.ascontiguousarray(array[:, :, 0])))
        if array.max() < LEAST_OF_16_BITS:
            raise BadFile(f"uint16 up to {array.max():,}, which may be of fewer bits: give uint8")
        values = np.rint(array / 257)
    else:
        values = _in_bytes(array)
    found = np.ascontiguousarray(values.astype(np.uint8))
    if found.shape[2] in (1, 3):
        return found
    return convert(Image.fromarray(found, "LA" if found.shape[2] == 2 else "RGBA"))


def _in_bytes(array: "np.ndarray") -> "np.ndarray":
    """The values brought to 0..255. Raises `BadFile` where nobody can say what they mean."""
    if array.dtype == np.bool_:
        return np.where(array, 255, 0)
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise BadFile(f"{shape_of(array)} holds values that are no finite numbers")
    low, high = float(array.min()), float(array.max())
    if array.dtype.kind != "f":
        if low < 0 or high > 255:
            raise BadFile(f"integers from {low:g} to {high:g}, which are not 0 to 255")
        return array
    if low >= -SLACK and high <= 1 + SLACK:
        scaled: np.ndarray = np.rint(np.clip(array, 0, 1) * 255)
        return scaled
    if low < 0 or not 2 <= high <= 255:  # 0..255 below 2 would be black; it is 0..1 gone beyond
        raise BadFile(
            f"decimal numbers from {low:g} to {high:g}, which are neither 0 to 1 nor 0 to 255: give"
            " the image before it is normalised"
        )
    rounded: np.ndarray = np.rint(array)
    return rounded
