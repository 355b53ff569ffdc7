"""The image processor of models that make pixels: a size, and grey or colour, which they learn."""

from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from tasks.vision import colour_channels
from zoo.store import own_checkpoint
from zoo.vision import image_processor
from zoo.vision.image_processor import choose_size

if TYPE_CHECKING:
    import datasets

    from zoo.model.entry import Entry

CHANNELS = {"grey": 1, "rgb": 3}


def of_checkpoint(options: Any, args: Any, kind: Any, entry: "Entry") -> tuple[Any, Any]:
    """Return the processor of the checkpoint that `options.model` names, with `num_channels`, and
    the configuration of its network.

    Args:
        options: with `model` and `image_size`.
        args: of the task, with `color`.
        kind: class of the configuration, with `image_size` and `num_channels`.

    Raises `UserError` where the weights are of another kind, size or number of channels.
    """
    found, config = own_checkpoint.find(options, kind, entry)
    if options.image_size not in (None, config.image_size):
        raise UserError(
            f"`image_size` {options.image_size}: {options.model} was trained at "
            f"{config.image_size}: give that, or new weights"
        )
    if CHANNELS.get(args.color) not in (None, config.num_channels):
        theirs = next(name for name, n in CHANNELS.items() if n == config.num_channels)
        raise UserError(
            f"`color` {args.color}: {options.model} was trained in {theirs}; leave it "
            "out, or start from other weights"
        )
    processor = image_processor.processor_of_checkpoint(found.folder, options.model, args)
    processor.num_channels = config.num_channels
    return processor, config


def new(options: Any, args: Any, train: "datasets.Dataset", step: int) -> Any:
    """Return a processor for the requested image size and colours, or those of the training images,
    with `num_channels`.

    Args:
        options: with `image_size`.
        args: of the task, with `color`.
        step: what the side of an image is a multiple of.

    Raises `UserError` for another size.
    """
    size = choose_size(options.image_size, train, max(8, step), step)
    processor = image_processor.make_processor(size, reading=args)
    processor.num_channels = CHANNELS.get(args.color) or colour_channels.of_images(train, args)
    return processor


def check_widths(widths: tuple[int, ...], groups: int) -> None:
    """Raise `UserError` where there are no widths, or some are no multiples of `groups`."""
    if not widths or any(width % groups for width in widths):
        shown = " ".join(map(str, widths))
        raise UserError(f"`widths` {shown}: one or more multiples of {groups}")
