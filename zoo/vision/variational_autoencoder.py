"""The network of vae: a variational autoencoder, new or out of a checkpoint."""

from typing import TYPE_CHECKING, Any

from tasks.vision.image_args import side_of
from zoo.model import own_weights
from zoo.model.network import Network
from zoo.store import own_checkpoint, pretrained
from zoo.vision import image_processor, pixel_processor
from zoo.vision.modeling_vae import GROUPS, VaeConfig, VaeForPreTraining

if TYPE_CHECKING:
    from pathlib import Path

    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.vision.vae import Options


class VariationalAutoencoder(Network):
    """The network of a variational autoencoder."""

    auto_class = "AutoModelForPreTraining"
    load_processor = staticmethod(image_processor.load_processor)
    free_options = ("initialization",)

    def make_processor(
        self, options: "Options", task: Any, splits: "datasets.DatasetDict", entry: Any
    ) -> Any:
        """Return a processor for the requested image size, or for that of the weights or of the
        training images; it carries `num_channels` and `latent_size`, which the task reads.

        Raises `UserError` for options that make no network, or weights of another kind, size or
        number of channels.
        """
        if options.model != pretrained.NEW:
            processor, config = pixel_processor.of_checkpoint(options, task.args, VaeConfig, entry)
            processor.latent_size = config.latent_size
            return processor
        pixel_processor.check_widths(options.widths, GROUPS)
        step = 2 ** len(options.widths)
        processor = pixel_processor.new(options, task.args, splits["train"], step)
        processor.latent_size = options.latent_size
        return processor

    def max_length(self, options: "Options", processor: Any, entry: Any) -> int:
        """Return the number of pixels in an input."""
        return side_of(processor) ** 2

    def options_of_weights(self, options: "Options", processor: Any, entry: Any) -> dict[str, Any]:
        """Return what the weights have, by the names of options (`Network.options_of_weights`)."""
        if options.model == pretrained.NEW:
            return {}
        _, config = own_checkpoint.find(options, VaeConfig, entry)
        return {
            "latent_size": config.latent_size,
            "widths": tuple(config.widths),
            "initialization": config.initialization,
        }

    def build(
        self, options: "Options", task: "Task", processor: Any, entry: Any
    ) -> tuple["nn.Module", dict[str, Any]]:
        """Return the model in fp32, and where its weights came from.

        New weights are drawn from torch's global random state; seed it first.

        Raises `UserError` where the weights are not at hand, or are of another kind.
        """
        settings = task.model_config()
        if options.model != pretrained.NEW:
            found, config = own_checkpoint.find(options, VaeConfig, entry)
            config.initialization = options.initialization
            model = own_weights.begin(
                VaeForPreTraining, config, settings, found.folder, options.model, same_head=True
            )
            source = found.source(options.model)
        else:
            config = VaeConfig(
                image_size=side_of(processor),
                widths=options.widths,
                initialization=options.initialization,
                **settings,
            )
            model, source = VaeForPreTraining(config), {"model": None, "license": None}
        model.computes_loss = False  # the task does
        return model, source

    def load(self, folder: "Path") -> tuple["nn.Module", Any]:
        """Return model and processor of a checkpoint (`Network.load`); the model computes no loss,
        since the task does."""
        model: Any
        model, processor = super().load(folder)
        model.computes_loss = False
        return model, processor


NETWORK = VariationalAutoencoder()
