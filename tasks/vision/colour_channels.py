"""Whether a model of pixels has one channel or three, and images with as many."""

from typing import TYPE_CHECKING

import numpy as np

from tasks.preflight import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    import datasets
    from torch import Tensor

    from tasks.base import Features
    from tasks.vision.image_args import ImageArgs
    from tasks.vision.pixels import Pixels

LOOKED_AT = 64  # training images whose colours decide
LUMA = np.array([299, 587, 114], np.int64)  # of red, green and blue, in thousandths (ITU-R BT.601)


def of_images(train: "datasets.Dataset", args: "ImageArgs") -> int:
    """Return 1 where all of some training images are grey, else 3; those that can't be read are
    left out, which whoever decodes them all says."""
    from tasks.media.source import BadFile
    from tasks.vision import images

    for row in range(0, len(train), max(1, len(train) // LOOKED_AT)):
        try:
            found = images.decode(
                train[row]["media"],
                max_pixels=args.max_pixels,
                background=args.behind,
                value_range=args.value_range,
            )
        except BadFile:
            continue
        if found.shape[2] != 1:
            return 3
    return 1


def with_channels(image: "Pixels", channels: int) -> "Pixels":
    """Return an image uint8 [height, width, 1 or 3] in grey where one channel is wanted; a grey one
    stays as it is."""
    if channels == 3 or image.shape[2] == 1:
        return image
    grey = (image.astype(np.int64) @ LUMA + 500) // 1000
    return grey.astype(np.uint8)[:, :, None]


def to_pictures(values: "Tensor", channels: int) -> "list[Pixels]":
    """Return pixels [b, channels or more, height, width], -1 black and 1 white, as pictures uint8
    [height, width, channels]."""
    if values.shape[1] != channels:  # inputs have three
        values = values[:, :channels]
    found = ((values.float().clamp(-1, 1) + 1) * 127.5).round().cpu().numpy()
    return list(found.astype(np.uint8).transpose(0, 2, 3, 1))


def check(features: "Mapping[str, Features]", color: str, channels: int) -> list[Finding]:
    """Return an error where an image of these splits is in colour, and the model would see it in
    grey without anybody having said so.

    Args:
        color: as it was asked for.
        channels: that are learned.
    """
    if color != "auto" or channels != 1:
        return []
    for name, split in features.items():
        decoded = split.decoded  # type: ignore[attr-defined]
        for i in range(len(decoded)):
            if decoded.get(i).shape[2] != 1:
                return [
                    Finding(
                        "error",
                        f"{name}, row {int(decoded.kept[i]):,} is in colour, and the images that "
                        "were looked at first are grey: give `color` rgb, or `color` grey to "
                        "learn all of them in grey",
                    )
                ]
    return []
