"""The network of resnet_cls and vit_cls: any classifier of timm, through transformers' TimmWrapper.

So plain transformers loads the checkpoint (Wightman 2019, "PyTorch Image Models").
"""

import copy
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from tasks.errors import UserError, foreign
from tasks.printing import print_lines
from tasks.vision.image_args import side_of
from zoo.model import own_weights, registry
from zoo.model.loading import PROCESSOR, head_names, load_config, load_json, load_with_head
from zoo.model.narrowing import cut_pairs, rebuilt
from zoo.model.network import Network, StateDict
from zoo.store import pretrained
from zoo.store.checkpoint import MANIFEST, read_manifest
from zoo.vision import image_processor
from zoo.vision.image_processor import (
    choose_size,
    processor_of_weights,
    reading_of,
)
from zoo.vision.timm_names import known

if TYPE_CHECKING:
    from pathlib import Path

    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.model.entry import Entry


def usual_reading(folder: "Path", model: str) -> tuple[int, Any, Any]:
    """Return the side in pixels, mean and deviation of inputs for weights without an image
    processor: as timm published them, else the usual ones for their architecture, with a message.
    """
    config = config_of(folder)
    cfg = getattr(config, "pretrained_cfg", None)
    if cfg is None:
        from timm.models import get_pretrained_cfg

        usual = get_pretrained_cfg(config.architecture)
        cfg = {} if usual is None else usual.to_dict()
        size = (config.model_args or {}).get("img_size")
        if size is not None:
            cfg["input_size"] = (3, size, size)
        side = cfg.get("input_size", (3, 224, 224))[1]
        print_lines(
            f"{model} does not say how its images were read ({PROCESSOR}): {side} pixels and the "
            f"normalisation that is usual for {config.architecture} are taken",
            file=sys.stderr,
        )
    size = int(cfg.get("input_size", (3, 224, 224))[1])
    return size, cfg.get("mean", (0.485, 0.456, 0.406)), cfg.get("std", (0.229, 0.224, 0.225))


def config_of(folder: "Path") -> Any:
    """Return the config of one of timm's networks. Raises `UserError` if the folder holds another
    network."""
    from transformers import TimmWrapperConfig

    content = load_json(folder, "config.json")
    kind = content.get("model_type", TimmWrapperConfig.model_type)
    if kind != TimmWrapperConfig.model_type or not isinstance(content.get("architecture"), str):
        raise UserError(
            f"{folder} holds weights of {kind}, and this model takes networks of timm: "
            "checkpoints of its own, or what transformers saved of one"
        )
    known(content["architecture"])
    return load_config(folder, TimmWrapperConfig)


def _has_positions(folder: "Path") -> bool:
    """Return whether a network has weights for each position of its input, which fix its input
    size."""
    if _pretrained_here(folder):
        return True
    from timm.models import get_pretrained_cfg

    config = config_of(folder)
    usual = get_pretrained_cfg(config.architecture)
    fixed = usual is not None and usual.fixed_input_size
    return bool(fixed or (config.model_args or {}).get("img_size"))


def _pretrained_here(folder: "Path") -> bool:
    """Return whether these are the weights of a masked autoencoder (zoo.vision.mae)."""
    from zoo.vision.masked_autoencoder import is_checkpoint

    return is_checkpoint(folder)


def _must_be_of(entry: "Entry", folder: "Path", asked: str) -> None:
    """Raise `UserError` for a checkpoint of another model of the zoo, unless that one pretrains
    for this: its recipe and its options are not those that the network was trained with."""
    if not (folder / MANIFEST).is_file():
        return
    model = str(read_manifest(folder)["model"])
    starts = [each.name for each in registry.entries() if each.pretrains_for == entry.module]
    if model not in (entry.name, *starts):
        own = " or ".join([f"a checkpoint of {entry.name}", *starts])
        raise UserError(
            f"`model` {asked} is a checkpoint of {model}, and not {own}: finetune {model} goes on "
            "from it"
        )


def _heads(model: Any) -> "Sequence[nn.Module]":
    """Return the classifier heads: one, or two in a distilled network."""
    found = model.timm_model.get_classifier()
    return found if isinstance(found, tuple) else (found,)


def _draw_head(model: Any) -> None:
    """Draw the head's weights as transformers does for a missing head."""
    with torch.no_grad():
        for parameter in (one for head in _heads(model) for one in head.parameters()):
            if parameter.ndim > 1:
                parameter.normal_(std=model.config.initializer_range)
            else:
                parameter.zero_()


def _feed_forward(model: Any) -> list[tuple[str, str]]:
    """Return the names of the two linear layers in each block of a plain vision transformer."""
    from timm.layers.mlp import Mlp

    names = [n for n, module in model.named_modules() if type(module) is Mlp and ".blocks." in n]
    return [(f"{name}.fc1", f"{name}.fc2") for name in names]


class TimmNetwork(Network):
    """The network of an image classifier of timm."""

    auto_class = "AutoModelForImageClassification"
    load_processor = staticmethod(image_processor.load_processor)

    def make_processor(
        self, options: Any, task: "Task", splits: "datasets.DatasetDict", entry: Any
    ) -> Any:
        """Return a processor for the size and normalisation of the weights, or of the training
        images.

        Raises `UserError` where there are no such weights, or for a size that they can't have.
        """
        reading = task.args  # type: ignore[attr-defined]
        if options.model == pretrained.NEW:
            smallest, step = options.smallest_size()
            size = choose_size(options.image_size, splits["train"], smallest, step)
            return image_processor.make_processor(size, reading=reading)
        found = pretrained.find(options.model, entry.presets)
        here = _pretrained_here(found.folder)
        if not here:
            config_of(found.folder)  # which refuses what is no network of timm's
        _must_be_of(entry, found.folder, options.model)
        own = processor_of_weights(found.folder, reading)
        if own is None and here:
            raise UserError(f"{options.model} holds no {PROCESSOR}, which says how it sees images")
        if own is not None:
            size, mean, std = side_of(own), own.image_mean, own.image_std
        else:
            size, mean, std = usual_reading(found.folder, options.model)
        if options.image_size not in (None, size):
            if _has_positions(found.folder):
                raise UserError(
                    f"`image_size` {options.image_size}: {options.model} was pretrained at {size}, "
                    "and its positions are those of that size"
                )
            smallest, step = options.smallest_size()
            size = choose_size(options.image_size, splits["train"], smallest, step)
        if own is not None:
            reading = reading_of(own)
        return image_processor.make_processor(size, mean, std, reading)

    def max_length(self, options: Any, processor: Any, entry: Any) -> int:
        """Return the number of pixels in an input."""
        return side_of(processor) ** 2

    def build(
        self, options: Any, task: "Task", processor: Any, entry: Any
    ) -> tuple["nn.Module", dict[str, Any]]:
        """Return the model in fp32, with its head (or all of it) drawn from torch's global random
        state, and where its weights came from.

        Raises `UserError` where the weights are not at hand or timm has no such architecture.
        """
        from transformers import TimmWrapperConfig, TimmWrapperForImageClassification

        size = side_of(processor)
        if options.model == pretrained.NEW:
            config = TimmWrapperConfig(
                architecture=known(options.architecture),
                model_args=options.model_args(size),
                **task.model_config(),
            )
            try:
                return TimmWrapperForImageClassification(config), {"model": None, "license": None}
            except (TypeError, AssertionError) as error:
                raise UserError(
                    f"timm can't make {options.architecture} this way: {foreign(error)}"
                ) from None
        found = pretrained.find(options.model, entry.presets)
        if _pretrained_here(found.folder):
            from zoo.vision.masked_autoencoder import classifier

            model = classifier(found.folder, task.model_config())
            own_weights.tell(options.model, model, head_names(model), (None, task.labels))
            return model, found.source(options.model)
        before, config = config_of(found.folder), config_of(found.folder)
        # one by one: a kind of labels that goes with the number of those before is an error of
        # theirs
        for name, value in task.model_config().items():
            setattr(config, name, value)
        model, drawn = load_with_head(
            TimmWrapperForImageClassification, found.folder, config=config
        )
        knew, now = own_weights.labels_of(before), own_weights.labels_of(model.config)
        if drawn or (knew != now and not own_weights.goes_on(model, knew, now)):
            _draw_head(model)
            drawn = sorted(head_names(model))
        labels = (knew if before.num_labels and knew != now else None, now)
        own_weights.tell(options.model, model, drawn, labels)
        return model, found.source(options.model)

    def from_state_dict(self, weights: StateDict) -> "tuple[nn.Module, Any]":
        """Return timm's network of a state dict of timm's or torchvision's, and its processor
        (`Network.from_state_dict`)."""
        from zoo.vision import timm_import

        return timm_import.convert(weights)

    def model_of(self, model: Any) -> str | None:
        """Return vit_cls of a network that cuts patches and has attention, resnet_cls of one that
        convolves and has none, None of what is neither (`Network.model_of`)."""
        modules = dict(model.timm_model.named_modules())
        if any(name.endswith("attn") for name in modules):
            return "vit_cls" if "patch_embed" in modules else None
        convolutions = sum(isinstance(one, torch.nn.Conv2d) for one in modules.values())
        return "resnet_cls" if convolutions > 1 else None

    def prunable_widths(self, model: Any) -> tuple[int, ...]:
        """Return the width that `prune_units` can lower: that of a vision transformer's inner
        layers.

        Raises `UserError` where it has no such layers, all of one width.
        """
        inner = {model.get_submodule(up).out_features for up, _ in _feed_forward(model)}
        if len(inner) != 1:
            raise UserError(
                f"{model.config.architecture} can't be pruned by structure: timm's arguments know "
                "no one width of its layers; leave `structured` away"
            )
        return (inner.pop(),)

    def prune_units(self, model: Any, asked: Sequence[int]) -> "nn.Module":
        """Return a vision transformer with this inner width, recorded in timm's `mlp_ratio`; see
        `zoo.model.narrowing.narrow`."""
        pairs, (width,) = _feed_forward(model), asked
        outer = model.get_submodule(pairs[0][1]).out_features
        ratio = width / outer
        if int(outer * ratio) != width:  # timm rounds the product down
            ratio = (width + 0.5) / outer
        config = copy.deepcopy(model.config)
        config.model_args = {**(config.model_args or {}), "mlp_ratio": ratio}
        return rebuilt(model, config, cut_pairs(model, pairs, width))


NETWORK = TimmNetwork()
