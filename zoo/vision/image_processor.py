"""The image processor that a checkpoint of a vision model carries: resize, rescale, normalise."""

from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from zoo.loading import Unreadable, load_image_processor

if TYPE_CHECKING:
    from pathlib import Path

    import datasets

SAMPLED = 64  # images whose size decides
LARGEST = 224  # side of a new network's input where the images are larger


def make_processor(size: int, mean: Any = (0.5, 0.5, 0.5), std: Any = (0.5, 0.5, 0.5)) -> Any:
    """Resizes to a square of `size` pixels (bilinear), scales to 0..1, normalises by channel."""
    from transformers import ViTImageProcessor

    return ViTImageProcessor(
        size={"height": size, "width": size},
        image_mean=list(mean),
        image_std=list(std),
        do_convert_rgb=True,
    )


def load_processor(folder: "Path") -> Any:
    """The processor of a checkpoint. Raises `UserError` where there is none."""
    try:
        return load_image_processor(folder)
    except Unreadable as error:
        raise UserError(
            f"{folder} has no image processor (preprocessor_config.json) that can be read, so"
            f" nothing says how the model sees: copy it there from where the weights are from"
            f" ({error.reason})"
        ) from None


def choose_size(asked: int | None, train: "datasets.Dataset", smallest: int, step: int) -> int:
    """Side of the square that a new network is made for.

    What was asked for, or the median of the longer sides of some training images, rounded up to a
    multiple of `step`, between `smallest` and `LARGEST`.
    """
    import statistics

    from tasks.media import BadFile
    from tasks.vision import images

    if asked is not None:
        if asked < 8 or asked % step:
            raise UserError(f"--image_size {asked}: a multiple of {step}, at least 8")
        return asked
    sides = []
    for row in range(0, len(train), max(1, len(train) // SAMPLED)):
        try:
            sides.append(max(images.size(train[row]["media"])))
        except BadFile:  # named, and counted, where all are read
            continue
    side = int(statistics.median(sides)) if sides else LARGEST
    return min(LARGEST, max(smallest, -(-side // step) * step))
