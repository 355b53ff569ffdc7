"""The network of unet_seg: a U-Net, new or out of a checkpoint."""

from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from tasks.vision.image_args import side_of
from zoo.model import own_weights
from zoo.model.network import Network
from zoo.store import own_checkpoint, pretrained
from zoo.vision import image_processor
from zoo.vision.image_processor import choose_size, segmentation_processor
from zoo.vision.modeling_unet import UnetConfig, UnetForSemanticSegmentation

if TYPE_CHECKING:
    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.vision.unet_seg import Options

STEP = 8  # of widths: groups of a norm have as many channels


def _step_of(widths: "tuple[int, ...]", stem_stride: int) -> int:
    """Return what the side of an image is a multiple of."""
    step: int = stem_stride * 2 ** (len(widths) - 1)
    return step


class UnetNetwork(Network):
    """The network of a small U-Net."""

    auto_class = "AutoModelForSemanticSegmentation"
    load_processor = staticmethod(image_processor.load_processor)
    free_options = ("unet_dropout", "initialization")

    def make_processor(
        self, options: "Options", task: "Task", splits: "datasets.DatasetDict", entry: Any
    ) -> Any:
        """Return a processor for the requested image size, or for that of the weights or of the
        training images.

        Raises `UserError` for options that make no network, or weights of another kind.
        """
        reading = task.args  # type: ignore[attr-defined]
        if options.model != pretrained.NEW:
            found, config = own_checkpoint.find(options, UnetConfig, entry)
            size = options.image_size
            if size is not None:
                step = _step_of(config.widths, config.stem_stride)
                size = choose_size(size, splits["train"], max(8, step), step)
            return segmentation_processor(
                image_processor.processor_of_checkpoint(found.folder, options.model, reading, size)
            )
        shown = " ".join(map(str, options.widths))
        if not options.widths or any(width % STEP for width in options.widths):
            raise UserError(f"`widths` {shown}: multiples of {STEP}")
        step = _step_of(options.widths, options.stem_stride)
        if step > image_processor.LARGEST:
            raise UserError(
                f"`widths` {shown}: {len(options.widths)} scales want images whose side is a"
                f" multiple of {step:,} pixels; name fewer"
            )
        size = choose_size(options.image_size, splits["train"], max(8, step), step)
        return segmentation_processor(image_processor.make_processor(size, reading=reading))

    def options_of_weights(self, options: "Options", processor: Any, entry: Any) -> dict[str, Any]:
        """Return what the weights have, by the names of options (`Network.options_of_weights`)."""
        if options.model == pretrained.NEW:
            return {}
        _, config = own_checkpoint.find(options, UnetConfig, entry)
        return {
            "widths": tuple(config.widths),
            "stem_stride": config.stem_stride,
            "norm": config.norm,
            "no_residual": not config.residual,
            "activation": config.hidden_act,
            "unet_dropout": config.hidden_dropout_prob,
            "initialization": config.initialization,
        }

    def max_length(self, options: "Options", processor: Any, entry: Any) -> int:
        """Return the number of pixels in an input."""
        return side_of(processor) ** 2

    def build(
        self, options: "Options", task: "Task", processor: Any, entry: Any
    ) -> tuple["nn.Module", dict[str, Any]]:
        """Return the model in fp32, and where its weights came from.

        New weights, or a new head, are drawn from torch's global random state; seed it first.

        Raises `UserError` where the weights are not at hand, or are of another kind.
        """
        if options.model != pretrained.NEW:
            found, config = own_checkpoint.find(options, UnetConfig, entry)
            config.image_size = side_of(processor)
            config.hidden_dropout_prob = options.unet_dropout
            config.initialization = options.initialization
            settings = task.model_config()
            model = own_weights.begin(
                UnetForSemanticSegmentation, config, settings, found.folder, options.model
            )
            return model, found.source(options.model)
        config = UnetConfig(
            image_size=side_of(processor),
            widths=options.widths,
            stem_stride=options.stem_stride,
            norm=options.norm,
            residual=not options.no_residual,
            hidden_dropout_prob=options.unet_dropout,
            hidden_act=options.activation,
            initialization=options.initialization,
            **task.model_config(),
        )
        return UnetForSemanticSegmentation(config), {"model": None, "license": None}


NETWORK = UnetNetwork()
