"""The network of fcos_det: an anchor-free detector, new, out of a checkpoint, or on the weights of
a classifier of timm."""

import sys
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError, foreign
from tasks.printing import print_lines
from tasks.vision.image_args import side_of
from zoo.model import own_weights
from zoo.model.loading import load_json
from zoo.model.network import Network
from zoo.store import own_checkpoint, pretrained
from zoo.vision import image_processor, timm_network
from zoo.vision.fcos_processor import of_detector
from zoo.vision.image_processor import choose_size
from zoo.vision.modeling_fcos import GROUPS, FcosConfig, FcosForObjectDetection
from zoo.vision.timm_names import known

if TYPE_CHECKING:
    import datasets
    from torch import Tensor, nn

    from tasks.base import Task
    from tasks.vision.image_args import ImageArgs
    from zoo.vision.fcos_det import Options

SMALLEST = 64  # side of new images in pixels
BODY = "fcos.backbone.body."  # names of the backbone's weights begin so


class FcosNetwork(Network):
    """The network of an anchor-free detector."""

    auto_class = "AutoModelForObjectDetection"
    load_processor = staticmethod(image_processor.load_processor)

    def make_processor(
        self, options: "Options", task: Any, splits: "datasets.DatasetDict", entry: Any
    ) -> Any:
        """Return a processor for the requested image size, or for that of a detector's weights or
        of the training images; its `strides` are those of the points that have predictions.

        Raises `UserError` for options that make no network, or weights of another kind.
        """
        if options.hidden_size % GROUPS:
            raise UserError(f"`hidden_size` {options.hidden_size}: a multiple of {GROUPS}")
        asked, strides = options.image_size, FcosConfig.strides
        step = strides[-1]
        if options.model == pretrained.NEW:
            options.backbone_args()
            size = choose_size(asked, splits["train"], SMALLEST, step)
            processor = image_processor.make_processor(size, reading=task.args)
        elif self._is_detector(options, entry):
            found, config = own_checkpoint.find(options, FcosConfig, entry)
            strides = tuple(config.strides)
            if asked is not None:
                asked = choose_size(asked, splits["train"], SMALLEST, step)
            processor = image_processor.processor_of_checkpoint(
                found.folder, options.model, task.args, asked
            )
        else:
            mean, std, reading = self._normalisation(options, task.args, entry)
            size = choose_size(asked, splits["train"], SMALLEST, step)
            processor = image_processor.make_processor(size, mean, std, reading)
        return of_detector(processor, strides)

    @staticmethod
    def _is_detector(options: "Options", entry: Any) -> bool:
        """Return whether the weights that the options name are a detector's, and no backbone's."""
        folder = pretrained.find(options.model, entry.presets).folder
        kind = load_json(folder, "config.json").get("model_type")
        return bool(kind == FcosConfig.model_type)

    @staticmethod
    def _normalisation(
        options: "Options", args: "ImageArgs", entry: Any
    ) -> tuple[Any, Any, "ImageArgs"]:
        """Return mean and deviation of the images that a backbone was trained on, and how files
        were read. How they were resized is no matter: a detector sees whole images."""
        from dataclasses import replace

        folder = pretrained.find(options.model, entry.presets).folder
        timm_network.config_of(folder)  # which refuses what is no network of timm's
        unset = replace(args, resize="stretch")
        own = image_processor.processor_of_weights(folder, unset)
        if own is None:
            _, mean, std = timm_network.usual_reading(folder, options.model)
            return mean, std, args
        reading = replace(image_processor.reading_of(own), resize=args.resize)
        return own.image_mean, own.image_std, reading

    def options_of_weights(self, options: "Options", processor: Any, entry: Any) -> dict[str, Any]:
        """Return what the weights have, by the names of options (`Network.options_of_weights`)."""
        if options.model == pretrained.NEW:
            return {}
        if not self._is_detector(options, entry):
            folder = pretrained.find(options.model, entry.presets).folder
            config = timm_network.config_of(folder)
            return {"architecture": config.architecture, **_shape(config.model_args)}
        _, config = own_checkpoint.find(options, FcosConfig, entry)
        return {
            "architecture": config.architecture,
            **_shape(config.backbone_args),
            "hidden_size": config.hidden_size,
            "head_layers": config.head_layers,
        }

    def max_length(self, options: "Options", processor: Any, entry: Any) -> int:
        """Return the number of pixels in an input."""
        return side_of(processor) ** 2

    def build(
        self, options: "Options", task: "Task", processor: Any, entry: Any
    ) -> tuple["nn.Module", dict[str, Any]]:
        """Return the model in fp32, and where its weights came from.

        New weights, or a new pyramid and head, are drawn from torch's global random state; seed it
        first.

        Raises `UserError` where the weights are not at hand or of another kind, or timm has no such
        backbone.
        """
        new = options.model == pretrained.NEW
        if not new and self._is_detector(options, entry):
            found, config = own_checkpoint.find(options, FcosConfig, entry)
            config.image_size = side_of(processor)
            settings = task.model_config()
            model = own_weights.begin(
                FcosForObjectDetection, config, settings, found.folder, options.model
            )
            return model, found.source(options.model)
        args = options.backbone_args() if new else None
        if not new:
            found = pretrained.find(options.model, entry.presets)
            args = timm_network.config_of(found.folder).model_args
        config = FcosConfig(
            architecture=known(options.architecture),
            backbone_args=args,
            image_size=side_of(processor),
            hidden_size=options.hidden_size,
            head_layers=options.head_layers,
            **task.model_config(),
        )
        try:
            model = FcosForObjectDetection(config)
        except (TypeError, AssertionError, ValueError) as error:
            raise UserError(
                f"timm can't make {options.architecture} this way: {foreign(error)}"
            ) from None
        if new:
            return model, {"model": None, "license": None}
        _fill_backbone(model, own_weights.read(found.folder), options.model)
        return model, found.source(options.model)


def _shape(args: dict[str, Any] | None) -> dict[str, Any]:
    """Return the options that timm's arguments of a ResNet come from."""
    args = args or {}
    widths, layers = args.get("channels"), args.get("layers")
    return {
        "widths": None if widths is None else tuple(widths),
        "depth": None if layers is None else layers[0],
        "norm": "group" if "norm_layer" in args else "batch",
    }


def _fill_backbone(model: "nn.Module", tensors: "dict[str, Tensor]", asked: str) -> None:
    """Copy the weights of a classifier of timm into a detector's backbone, and say so.

    Raises `UserError` where some are missing or have another shape.
    """
    body = model.get_submodule(BODY.removesuffix("."))
    given = {name.removeprefix("timm_model."): tensor for name, tensor in tensors.items()}
    own = body.state_dict()
    own_weights.fill(body, {name: given[name] for name in own if name in given}, asked)
    if own_weights.is_first():
        print_lines(
            f"{asked}: its backbone is kept ({len(own):,} tensors); the feature pyramid and the "
            "head are drawn anew",
            file=sys.stderr,
        )


NETWORK = FcosNetwork()
