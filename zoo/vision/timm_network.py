"""The network of resnet_cls and vit_cls: any classifier of timm, through transformers' TimmWrapper.

So plain transformers loads the checkpoint (Wightman 2019, "PyTorch Image Models").
"""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from zoo import weights
from zoo.loading import load_config, load_model, load_pretrained
from zoo.pruning.narrowing import cut_pairs, rebuilt
from zoo.train.fast_dropout import replace_dropout
from zoo.vision.image_processor import choose_size, load_processor
from zoo.vision.image_processor import make_processor as new_processor

if TYPE_CHECKING:
    from pathlib import Path

    import datasets
    from torch import nn

    from tasks.base import Task

NONE = "none"  # --model: new weights in the shape of --architecture


def make_processor(options: Any, task: "Task", examples: "datasets.DatasetDict", entry: Any) -> Any:
    """A processor for the size and normalisation of the weights, or of the training images.

    Raises `UserError` where there are no such weights.
    """
    if options.model == NONE:
        smallest, step = options.smallest_size()
        return new_processor(choose_size(options.image_size, examples["train"], smallest, step))
    found = weights.find(options.model, entry.presets)
    if _pretrained_here(found.folder):
        processor = load_processor(found.folder)
        side = int(processor.size["height"])
        if options.image_size not in (None, side):
            raise UserError(
                f"--image_size {options.image_size}: {options.model} was pretrained at {side}, and "
                "its positions are those of that size"
            )
        return processor
    config = _config(found.folder)
    cfg = config.pretrained_cfg or {}
    size = options.image_size or int(cfg.get("input_size", (3, 224, 224))[1])
    return new_processor(
        size, cfg.get("mean", (0.485, 0.456, 0.406)), cfg.get("std", (0.229, 0.224, 0.225))
    )


def _config(folder: "Path") -> Any:
    from transformers import TimmWrapperConfig

    return load_config(folder, TimmWrapperConfig)


def _pretrained_here(folder: "Path") -> bool:
    """Whether these are the weights of a masked autoencoder (zoo.vision.mae)."""
    from zoo.vision.masked_autoencoder import is_checkpoint

    return is_checkpoint(folder)


def longest(options: Any, processor: Any, entry: Any) -> int:
    """Pixels of an input."""
    return int(processor.size["height"] * processor.size["width"])


def make(
    options: Any, task: "Task", processor: Any, entry: Any
) -> tuple["nn.Module", dict[str, Any]]:
    """The model in fp32, its head (or all of it) drawn from torch's global random state.

    Raises `UserError` where the weights are not at hand or timm has no such architecture.
    """
    from transformers import TimmWrapperConfig, TimmWrapperForImageClassification

    size = int(processor.size["height"])
    if options.model == NONE:
        config = TimmWrapperConfig(
            architecture=known(options.architecture),
            model_args=options.model_args(size),
            **task.model_config(),
        )
        try:
            return TimmWrapperForImageClassification(config), {"model": None, "license": None}
        except (TypeError, AssertionError) as error:
            raise UserError(f"timm can't make {options.architecture} this way: {error}") from None
    found = weights.find(options.model, entry.presets)
    if _pretrained_here(found.folder):
        from zoo.vision.masked_autoencoder import classifier

        return classifier(found.folder, task.model_config()), found.source(options.model)
    model = load_pretrained(
        TimmWrapperForImageClassification,
        found.folder,
        new_head=True,
        **task.model_config(),
    )
    return model, found.source(options.model)


def known(architecture: str) -> str:
    """The name, if timm has such an architecture; else `UserError` with the nearest."""
    import difflib

    import timm

    if timm.is_model(architecture):
        return architecture
    near = difflib.get_close_matches(architecture, timm.list_models(), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UserError(f"timm has no architecture {architecture!r}{hint}")


def speed_up(model: Any, train: Any) -> None:
    """The faster but equal training code."""
    replace_dropout(model)


def load(folder: "Path") -> tuple["nn.Module", Any]:
    """The model and processor of a checkpoint, as plain transformers loads them."""
    from transformers import AutoModelForImageClassification

    return load_model(AutoModelForImageClassification, folder), load_processor(folder)


def widths(model: Any) -> tuple[int, ...]:
    """The width that `narrow` can lower: that of a vision transformer's inner layers.

    Raises `UserError` where it has no such layers, all of one width.
    """
    inner = {model.get_submodule(up).out_features for up, _ in _feed_forward(model)}
    if len(inner) != 1:
        raise UserError(
            f"{model.config.architecture} can't be pruned by structure: timm's arguments know no "
            "one width of its layers; leave --structured away"
        )
    return (inner.pop(),)


def narrow(model: Any, asked: Sequence[int]) -> "nn.Module":
    """A vision transformer with this inner width, said by timm's `mlp_ratio`; see
    `zoo.pruning.narrowing.narrow`."""
    pairs, (width,) = _feed_forward(model), asked
    outer = model.get_submodule(pairs[0][1]).out_features
    ratio = width / outer
    if int(outer * ratio) != width:  # timm rounds the product down
        ratio = (width + 0.5) / outer
    config = copy.deepcopy(model.config)
    config.model_args = {**(config.model_args or {}), "mlp_ratio": ratio}
    return rebuilt(model, config, cut_pairs(model, pairs, width))


def _feed_forward(model: Any) -> list[tuple[str, str]]:
    """Names of the two linear layers of each block of a plain vision transformer."""
    from timm.layers.mlp import Mlp

    names = [n for n, module in model.named_modules() if type(module) is Mlp and ".blocks." in n]
    return [(f"{name}.fc1", f"{name}.fc2") for name in names]
