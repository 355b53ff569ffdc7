"""The network of cnn_cls: a small convolutional classifier with new weights."""

from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from tasks.vision.image_args import side_of
from zoo.model.network import Network
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

    def make_processor(
        self, options: "Options", task: "Task", splits: "datasets.DatasetDict", entry: Any
    ) -> Any:
        """Return a processor for the requested image size, or for that of the training images.

        Raises `UserError` for options that make no network.
        """
        if len(options.widths) < 1 or min(options.widths) < 8 or any(w % 8 for w in options.widths):
            raise UserError(f"`widths` {' '.join(map(str, options.widths))}: multiples of 8")
        smallest = 2 ** (len(options.widths) - 1)
        size = choose_size(options.image_size, splits["train"], max(8, smallest), 4)
        return image_processor.make_processor(size, reading=task.args)  # type: ignore[attr-defined]

    def max_length(self, options: "Options", processor: Any, entry: Any) -> int:
        """Return the number of pixels in an input."""
        return side_of(processor) ** 2

    def build(
        self, options: "Options", task: "Task", processor: Any, entry: Any
    ) -> tuple["nn.Module", dict[str, Any]]:
        """Return the model in fp32 with weights drawn from torch's global random state; seed it
        first."""
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
