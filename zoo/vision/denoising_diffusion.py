"""The network of ddpm: a U-Net, new or out of a checkpoint."""

from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from tasks.vision.image_args import side_of
from zoo.model import own_weights
from zoo.model.network import Network
from zoo.store import own_checkpoint, pretrained
from zoo.vision import image_processor, pixel_processor
from zoo.vision.modeling_ddpm import GROUPS, DdpmConfig, DdpmForPreTraining

if TYPE_CHECKING:
    from pathlib import Path

    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.vision.ddpm import Options


class DenoisingDiffusion(Network):
    """The network of denoising diffusion."""

    auto_class = "AutoModelForPreTraining"
    load_processor = staticmethod(image_processor.load_processor)
    free_options = ("initialization",)

    def make_processor(
        self, options: "Options", task: Any, splits: "datasets.DatasetDict", entry: Any
    ) -> Any:
        """Return a processor for the requested image size, or for that of the weights or of the
        training images; it carries `num_channels`, which the task reads.

        Raises `UserError` for options that make no network, or weights of another kind, size,
        number of channels, noise or labels.
        """
        if options.model != pretrained.NEW:
            processor, config = pixel_processor.of_checkpoint(options, task.args, DdpmConfig, entry)
            _must_fit(config, task, options.model)
            return processor
        pixel_processor.check_widths(options.widths, GROUPS)
        step = 2 ** (len(options.widths) - 1)
        return pixel_processor.new(options, task.args, splits["train"], step)

    def max_length(self, options: "Options", processor: Any, entry: Any) -> int:
        """Return the number of pixels in an input."""
        return side_of(processor) ** 2

    def options_of_weights(self, options: "Options", processor: Any, entry: Any) -> dict[str, Any]:
        """Return what the weights have, by the names of options (`Network.options_of_weights`)."""
        if options.model == pretrained.NEW:
            return {}
        _, config = own_checkpoint.find(options, DdpmConfig, entry)
        return {
            "widths": tuple(config.widths),
            "blocks_per_size": config.blocks_per_size,
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
            found, config = own_checkpoint.find(options, DdpmConfig, entry)
            config.initialization = options.initialization
            model = own_weights.begin(
                DdpmForPreTraining, config, settings, found.folder, options.model, same_head=True
            )
            source = found.source(options.model)
        else:
            config = DdpmConfig(
                image_size=side_of(processor),
                widths=options.widths,
                blocks_per_size=options.blocks_per_size,
                initialization=options.initialization,
                **settings,
            )
            model, source = DdpmForPreTraining(config), {"model": None, "license": None}
        model.computes_loss = False  # the task does
        return model, source

    def load(self, folder: "Path") -> tuple["nn.Module", Any]:
        """Return model and processor of a checkpoint (`Network.load`); the model computes no loss,
        since the task does."""
        model: Any
        model, processor = super().load(folder)
        model.computes_loss = False
        return model, processor


def _must_fit(config: DdpmConfig, task: Any, model: str) -> None:
    """Raise `UserError` where weights know other labels, or other noise."""
    if config.betas != task.args.betas:
        raise UserError(
            f"`betas` {task.args.betas}: {model} was trained with {config.betas}; give that, or "
            "start from other weights"
        )
    theirs = own_weights.labels_of(config) if config.num_class_embeds else ()
    if theirs != task.labels:
        known, here = (own_weights.listed(names) or "none" for names in (theirs, task.labels))
        raise UserError(
            f"{model} was trained with the labels {known}, and there are {here} here: start from "
            "other weights" + ("" if theirs else ", or give `conditional` off")
        )


NETWORK = DenoisingDiffusion()
