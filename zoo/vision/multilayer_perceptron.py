"""The network of mlp_cls: a multilayer perceptron, new or out of a checkpoint."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tasks.vision.image_args import side_of
from zoo.model import own_weights, perceptron
from zoo.model.network import Network
from zoo.store import own_checkpoint, pretrained
from zoo.vision import image_processor
from zoo.vision.image_processor import choose_size
from zoo.vision.modeling_mlp import MlpConfig, MlpForImageClassification

if TYPE_CHECKING:
    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.vision.mlp_cls import Options

LARGEST = 64  # side of a new network's input where the images are larger


class MultilayerPerceptron(Network):
    """The network of an image classifier of linear layers."""

    auto_class = "AutoModelForImageClassification"
    load_processor = staticmethod(image_processor.load_processor)
    quantization_methods = ("dynamic", "static")
    free_options = ("mlp_dropout", "initialization")

    def make_processor(
        self, options: "Options", task: "Task", splits: "datasets.DatasetDict", entry: Any
    ) -> Any:
        """Return a processor for the requested image size, or for that of the weights or of the
        training images.

        Raises `UserError` for options that make no network, or weights of another kind.
        """
        reading = task.args  # type: ignore[attr-defined]
        if options.model != pretrained.NEW:
            # its first layer has a weight for each pixel: another size would be another network
            found, config = own_checkpoint.find(options, MlpConfig, entry)
            processor = image_processor.processor_of_checkpoint(
                found.folder, options.model, reading
            )
            processor.num_channels = config.num_channels
            return processor
        size = choose_size(options.image_size, splits["train"], 8, 1, LARGEST)
        made = image_processor.make_processor(size, reading=reading)
        # what `build` is not told otherwise: it has no images
        made.num_channels = options.num_channels or image_processor.channels(
            splits["train"],
            task.decode,  # type: ignore[attr-defined]
        )
        return made

    def options_of_weights(self, options: "Options", processor: Any, entry: Any) -> dict[str, Any]:
        """Return what the weights have, by the names of options (`Network.options_of_weights`)."""
        if options.model == pretrained.NEW:
            return {}
        _, config = own_checkpoint.find(options, MlpConfig, entry)
        return {
            "image_size": config.image_size,
            "num_channels": config.num_channels,
            "hidden_sizes": tuple(config.hidden_sizes),
            "activation": config.hidden_act,
            "mlp_dropout": config.hidden_dropout_prob,
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
            found, config = own_checkpoint.find(options, MlpConfig, entry)
            config.hidden_dropout_prob = options.mlp_dropout
            config.initialization = options.initialization
            settings = task.model_config()
            model = own_weights.begin(
                MlpForImageClassification, config, settings, found.folder, options.model
            )
            return model, found.source(options.model)
        config = MlpConfig(
            num_channels=processor.num_channels,
            image_size=side_of(processor),
            hidden_sizes=options.hidden_sizes,
            hidden_dropout_prob=options.mlp_dropout,
            hidden_act=options.activation,
            initialization=options.initialization,
            **task.model_config(),
        )
        return MlpForImageClassification(config), {"model": None, "license": None}

    def prunable_widths(self, model: Any) -> tuple[int, ...]:
        """Return the number of neurons of each hidden layer."""
        return tuple(model.config.hidden_sizes)

    def prune_units(self, model: Any, asked: Sequence[int]) -> "nn.Module":
        """Return the network with `asked` neurons in each hidden layer
        (`zoo.model.perceptron.narrow`)."""
        return perceptron.narrow(model, asked)


NETWORK = MultilayerPerceptron()
