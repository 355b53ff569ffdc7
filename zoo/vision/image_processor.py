"""The image processor that a checkpoint of a vision model carries: resize, rescale, normalise."""

import importlib
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from tasks.printing import print_lines
from tasks.vision.image_args import SAVED_AS, ImageArgs, side_of
from zoo.model import loading
from zoo.model.loading import PROCESSOR, Unreadable, load_image_processor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import datasets

SAMPLED = 64  # images whose size decides
MADE = (
    "ViTImageProcessor",
    "SegformerImageProcessor",
    "DetrImageProcessor",
    "YolosImageProcessor",
    "ConditionalDetrImageProcessor",
    "DeformableDetrImageProcessor",
    "RTDetrImageProcessor",
)
"""transformers' classes of the processors that are made here."""
LARGEST = 224  # side of a new network's input where the images are larger
KIND = "image_processor_type"  # the name of a processor's class in its file
OWN = {"FcosImageProcessor": "zoo.vision.modeling_fcos"}
"""Classes of processors that are ours, with the modules that tell transformers of them."""


def make_processor(
    size: int,
    mean: Any = (0.5, 0.5, 0.5),
    std: Any = (0.5, 0.5, 0.5),
    reading: ImageArgs | None = None,
    kind: Any = None,
) -> Any:
    """Return an image processor that makes squares of `size` pixels (bilinear), scales to 0..1 and
    normalises by channel.

    It carries the background, the way of resizing and the range of deep values that its model is
    trained with. Of these transformers itself knows cropping, and padding on black; transparency
    and deep values it reads in its own way.

    Args:
        kind: the class of the processor; transformers' ViTImageProcessor by default.
    """
    from transformers import ViTImageProcessor

    reading = reading or ImageArgs()
    square = {"height": size, "width": size}
    mode = reading.resize or "stretch"
    sizes: dict[str, Any] = {"size": square}
    if mode == "crop":
        sizes = {"size": {"shortest_edge": size}, "do_center_crop": True, "crop_size": square}
    elif mode == "pad":
        smaller = {"max_height": size, "max_width": size}
        sizes = {"size": smaller, "do_center_crop": True, "crop_size": square}
    kept = {"background": reading.background or "white", "resize_mode": mode}
    if reading.value_range is not None:
        kept["value_range"] = list(reading.value_range)  # type: ignore[assignment]
    return (kind or ViTImageProcessor)(
        **sizes, image_mean=list(mean), image_std=list(std), do_convert_rgb=True, **kept
    )


def segmentation_processor(processor: Any) -> Any:
    """Return an image processor as `make_processor` makes it, of the kind whose models' logits
    transformers' pipeline makes masks of."""
    from transformers import SegformerImageProcessor

    settings = processor.to_dict()
    settings.pop(KIND, None)
    return SegformerImageProcessor(**settings)


def processor_of_weights(folder: "Path", args: ImageArgs) -> Any | None:
    """Return a processor with the size and normalisation of the one in a folder of weights, and its
    background and way of resizing unless `args` sets others; None if the folder has none.

    Raises `UserError` for one that makes no squares of one size, or scales in a way of its own.
    """
    if not (folder / PROCESSOR).is_file():
        return None
    found = load_processor(folder)
    if abs(getattr(found, "rescale_factor", 1 / 255) - 1 / 255) > 1e-9:
        raise UserError(
            f"the image processor in {folder} multiplies pixels by {found.rescale_factor:g}, and "
            "only 1/255 is known here: give other weights"
        )
    plain = not getattr(found, "do_normalize", True)
    mean, std = ((0, 0, 0), (1, 1, 1)) if plain else (found.image_mean, found.image_std)
    known: dict[str, Any] = {
        name: getattr(args, name) or getattr(found, attribute, None)
        for name, attribute in SAVED_AS.items()
    }
    if known["resize"] is None and getattr(found, "do_center_crop", False):
        known["resize"] = "crop"
    return make_processor(side_of(found), mean, std, ImageArgs(**known))


def processor_of_checkpoint(
    folder: "Path", model: str, args: ImageArgs, size: int | None = None
) -> Any:
    """Return the processor of a checkpoint of one of our own networks, with what `args` say
    otherwise, for inputs of another `size` where one is given, which is said.

    Args:
        model: what the user calls the checkpoint.

    Raises `UserError` where it has none, or one as of `processor_of_weights`.
    """
    found = processor_of_weights(folder, args)
    if found is None:
        raise UserError(f"{model} holds no {PROCESSOR}, which says how it sees images")
    before = side_of(found)
    if size in (None, before):
        return found
    print_lines(f"{model} was trained at {before} pixels, and goes on at {size}", file=sys.stderr)
    return make_processor(size or before, found.image_mean, found.image_std, reading_of(found))


def reading_of(processor: Any) -> ImageArgs:
    """Return the file reading options that `make_processor` was given."""
    known: dict[str, Any] = {
        name: getattr(processor, attribute, None) for name, attribute in SAVED_AS.items()
    }
    return ImageArgs(**known)


def load_processor(folder: "Path") -> Any:
    """Return the processor of a checkpoint. Raises `UserError` if there is none."""
    try:
        if (folder / PROCESSOR).is_file():
            kind = loading.load_json(folder, PROCESSOR).get(KIND)
            if kind in OWN:
                importlib.import_module(OWN[kind])
        return load_image_processor(folder)
    except Unreadable as error:
        raise UserError(
            f"{folder} has no image processor (preprocessor_config.json) that can be read, so"
            f" nothing says how the model sees: copy it there from where the weights are from"
            f" ({error.reason})"
        ) from None


def load_settings(folder: "Path") -> Any:
    """Return the processor settings of a checkpoint as attributes: all that a task needs, since it
    resizes and normalises itself. It is transformers' own processor if `make_processor` did not
    make it.

    Raises `UserError` where there is none.
    """
    if not (folder / PROCESSOR).is_file():
        return load_processor(folder)
    settings = loading.load_json(folder, PROCESSOR)
    if settings.get(KIND) not in (*MADE, *OWN):
        return load_processor(folder)
    found = SimpleNamespace(**settings)
    with loading.told(folder, "image processor"):
        loading.must_make_images(found)
    return found


def channels(train: "datasets.Dataset", decode: "Callable[[Any], Any]") -> int:
    """Return 1 where some training images are all grey, else 3.

    Args:
        decode: the pixels [height, width, 1 or 3] of a row's media, and more.
    """
    from tasks.media.source import BadFile

    if "media" not in train.column_names:  # a network with random weights, for no data
        return 3
    for row in _sampled(train):
        try:
            pixels, *_ = decode(train[row]["media"])
        except BadFile:  # named, and counted, where all are read
            continue
        if pixels.shape[2] > 1:
            return 3
    return 1


def _sampled(train: "datasets.Dataset") -> range:
    return range(0, len(train), max(1, len(train) // SAMPLED))


def choose_size(
    asked: int | None,
    train: "datasets.Dataset",
    smallest: int,
    step: int,
    largest: int = LARGEST,
) -> int:
    """Return the side, in pixels, of the square inputs of a new network.

    It is the requested side, or the median of the longer sides of some training images, rounded up
    to a multiple of `step`, between `smallest` and `largest`.
    """
    import statistics

    from tasks.media.source import BadFile
    from tasks.vision import images

    if asked is not None:
        if asked < 8 or asked % step:
            raise UserError(f"`image_size` {asked}: a multiple of {step}, at least 8")
        return asked
    sides = []
    for row in _sampled(train):
        try:
            sides.append(max(images.size(train[row]["media"])))
        except BadFile:  # named, and counted, where all are read
            continue
    side = int(statistics.median(sides)) if sides else largest
    return min(largest, max(smallest, -(-side // step) * step))
