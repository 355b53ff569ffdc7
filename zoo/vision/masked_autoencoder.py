"""The network of mae: a masked autoencoder, new or out of a checkpoint, and a classifier that
starts from its encoder."""

from typing import TYPE_CHECKING, Any

import torch

from tasks.bounds import must_be_multiple
from tasks.errors import UserError, foreign
from tasks.vision.image_args import side_of
from tasks.vision.patches import usual_patch
from zoo.model import own_weights
from zoo.model.loading import load_config, load_json
from zoo.model.network import Network
from zoo.store import own_checkpoint, pretrained
from zoo.vision import image_processor
from zoo.vision.image_processor import choose_size
from zoo.vision.modeling_mae import MaeConfig, MaeForPreTraining
from zoo.vision.timm_names import known

if TYPE_CHECKING:
    from pathlib import Path

    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.vision.mae import Options

ENCODER = "mae.encoder."  # names of its weights in a checkpoint begin so


def is_checkpoint(folder: "Path") -> bool:
    """Return whether a folder with a config.json holds a masked autoencoder."""
    return bool(load_json(folder, "config.json").get("model_type") == MaeConfig.model_type)


def classifier(folder: "Path", settings: dict[str, Any]) -> "nn.Module":
    """Return timm's classifier with the encoder of a checkpoint and a new head, in fp32.

    Args:
        settings: fields of the classifier's config: labels and problem type.

    Raises `UserError` where the checkpoint does not hold what its config says.
    """
    from transformers import TimmWrapperConfig, TimmWrapperForImageClassification

    config = load_config(folder, MaeConfig)
    model = TimmWrapperForImageClassification(
        TimmWrapperConfig(
            architecture=config.architecture, model_args=config.timm_args(), **settings
        )
    )
    tensors = own_weights.read(folder)
    encoder = {
        name.removeprefix(ENCODER): tensor
        for name, tensor in tensors.items()
        if name.startswith(ENCODER)
    }
    network = model.timm_model
    head = {f"head.{name}" for name, _ in network.get_classifier().named_parameters()}
    wanted = set(network.state_dict()) - head
    if wanted != set(encoder):
        name = sorted(wanted ^ set(encoder))[0]
        raise UserError(f"{folder} does not fit {config.architecture}: {name} is in only one")
    with torch.no_grad():
        network.load_state_dict(encoder, strict=False)
    classifier: nn.Module = model
    return classifier


class MaskedAutoencoder(Network):
    """The network of a masked autoencoder."""

    auto_class = "AutoModelForPreTraining"
    load_processor = staticmethod(image_processor.load_processor)
    free_options = ("initialization",)

    def make_processor(
        self, options: "Options", task: Any, splits: "datasets.DatasetDict", entry: Any
    ) -> Any:
        """Return a processor for the requested image size, or for that of the weights or of the
        training images.

        Raises `UserError` for options that make no network, weights of another kind, or patches
        or images of another size than the weights have.
        """
        if options.model != pretrained.NEW:
            found, config = own_checkpoint.find(options, MaeConfig, entry)
            for name, asked, have in (
                ("image_size", options.image_size, config.image_size),
                ("patch_size", task.args.patch_size, config.patch_size),
            ):
                # unsaid, patches are as for new weights: another size of theirs is to be said
                if asked is None and name == "patch_size":
                    asked = usual_patch(config.image_size)
                if asked not in (None, have):
                    raise UserError(
                        f"`{name}` {asked}: {options.model} was pretrained at {have}, and its "
                        f"positions are those of that size: give `{name}` {have}"
                    )
            return image_processor.processor_of_checkpoint(found.folder, options.model, task.args)
        must_be_multiple(options, "decoder_size", "decoder_heads")
        step = task.args.patch_size or 8
        size = choose_size(options.image_size, splits["train"], 16, step)
        return image_processor.make_processor(size, reading=task.args)

    def max_length(self, options: "Options", processor: Any, entry: Any) -> int:
        """Return the number of pixels in an input."""
        return side_of(processor) ** 2

    def options_of_weights(self, options: "Options", processor: Any, entry: Any) -> dict[str, Any]:
        """Return what the weights have, by the names of options (`Network.options_of_weights`)."""
        if options.model == pretrained.NEW:
            return {}
        _, config = own_checkpoint.find(options, MaeConfig, entry)
        shape = ("architecture", "depth", "decoder_size", "decoder_depth", "decoder_heads")
        return {name: getattr(config, name) for name in (*shape, "initialization")}

    def build(
        self, options: "Options", task: "Task", processor: Any, entry: Any
    ) -> tuple["nn.Module", dict[str, Any]]:
        """Return the model in fp32, and where its weights came from.

        New weights are drawn from torch's global random state; seed it first.

        Raises `UserError` where timm has no such vision transformer, or the weights are not at hand
        or of another kind.
        """
        if options.model != pretrained.NEW:
            found, config = own_checkpoint.find(options, MaeConfig, entry)
            known(config.architecture)
            config.initialization = options.initialization
            settings = task.model_config()
            model = own_weights.begin(
                MaeForPreTraining, config, settings, found.folder, options.model, same_head=True
            )
            model.computes_loss = False  # the task does
            return model, found.source(options.model)
        config = MaeConfig(
            architecture=known(options.architecture),
            image_size=side_of(processor),
            depth=options.depth,
            decoder_size=options.decoder_size,
            decoder_depth=options.decoder_depth,
            decoder_heads=options.decoder_heads,
            initialization=options.initialization,
            **task.model_config(),
        )
        try:
            model = MaeForPreTraining(config)
        except (TypeError, AssertionError, ValueError) as error:
            raise UserError(
                f"timm can't make {options.architecture} this way: {foreign(error)}; give a vision "
                "transformer"
            ) from None
        model.computes_loss = False  # the task does
        return model, {"model": None, "license": None}

    def load(self, folder: "Path") -> tuple["nn.Module", Any]:
        """Return model and processor of a checkpoint (`Network.load`); the model computes no loss,
        since the task does."""
        model: Any
        model, processor = super().load(folder)
        model.computes_loss = False
        return model, processor


NETWORK = MaskedAutoencoder()
