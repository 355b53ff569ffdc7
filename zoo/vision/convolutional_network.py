"""The network of cnn_cls: a small convolutional classifier, new or out of a checkpoint."""

from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from tasks.vision.image_args import side_of
from zoo.model import own_weights
from zoo.model.network import Network
from zoo.store import own_checkpoint, pretrained
from zoo.vision import image_processor, narrow_cnn
from zoo.vision.image_processor import choose_size
from zoo.vision.modeling_cnn import CnnConfig, CnnForImageClassification

if TYPE_CHECKING:
    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.vision.cnn_cls import Options


class ConvolutionalNetwork(Network):
    """The network of a small convolutional image classifier."""

    auto_class = "AutoModelForImageClassification"
    load_processor = staticmethod(image_processor.load_processor)
    prunable_widths = staticmethod(narrow_cnn.widths)
    prune_units = staticmethod(narrow_cnn.narrow)
    free_options = ("cnn_dropout", "initialization")

    def make_processor(
        self, options: "Options", task: "Task", splits: "datasets.DatasetDict", entry: Any
    ) -> Any:
        """Return a processor for the requested image size, or for that of the weights or of the
        training images.

        Raises `UserError` for options that make no network, or weights of another kind.
        """
        reading = task.args  # type: ignore[attr-defined]
        if options.model != pretrained.NEW:
            found, config = own_checkpoint.find(options, CnnConfig, entry)
            size = options.image_size
            if size is not None:
                smallest = max(8, 2 ** (len(config.widths) - 1))
                size = choose_size(size, splits["train"], smallest, 4)
            return image_processor.processor_of_checkpoint(
                found.folder, options.model, reading, size
            )
        if len(options.widths) < 1 or min(options.widths) < 8 or any(w % 8 for w in options.widths):
            raise UserError(f"`widths` {' '.join(map(str, options.widths))}: multiples of 8")
        smallest = 2 ** (len(options.widths) - 1)
        size = choose_size(options.image_size, splits["train"], max(8, smallest), 4)
        return image_processor.make_processor(size, reading=reading)

    def options_of_weights(self, options: "Options", processor: Any, entry: Any) -> dict[str, Any]:
        """Return what the weights have, by the names of options (`Network.options_of_weights`)."""
        if options.model == pretrained.NEW:
            return {}
        _, config = own_checkpoint.find(options, CnnConfig, entry)
        return {
            "widths": tuple(config.widths),
            "depth": config.depth,
            "norm": config.norm,
            "activation": config.hidden_act,
            "cnn_dropout": config.hidden_dropout_prob,
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
            found, config = own_checkpoint.find(options, CnnConfig, entry)
            config.image_size = side_of(processor)
            config.hidden_dropout_prob = options.cnn_dropout
            config.initialization = options.initialization
            settings = task.model_config()
            model = own_weights.begin(
                CnnForImageClassification, config, settings, found.folder, options.model
            )
            return model, found.source(options.model)
        config = CnnConfig(
            image_size=side_of(processor),
            widths=options.widths,
            depth=options.depth,
            norm=options.norm,
            hidden_dropout_prob=options.cnn_dropout,
            hidden_act=options.activation,
            initialization=options.initialization,
            **task.model_config(),
        )
        return CnnForImageClassification(config), {"model": None, "license": None}


NETWORK = ConvolutionalNetwork()
