"""A network of timm out of a state dict of timm's or torchvision's: which one, and how it sees."""

import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from tasks.errors import UserError
from tasks.printing import print_lines
from zoo.model import own_weights
from zoo.vision import image_processor
from zoo.vision.timm_names import known
from zoo.vision.torchvision_names import to_timm

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.model.network import StateDict

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of all of torchvision's classifiers."""
FAMILIES = {
    "layer1.0.conv1.weight": (
        *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet26"),
        *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d", "wide_resnet50_2"),
        *("wide_resnet101_2", "resnet26d", "resnet50d", "resnet101d", "test_resnet"),
    ),
    "stages.0.blocks.0.conv_dw.weight": tuple(
        f"convnext_{size}" for size in ("tiny", "small", "base", "large", "atto", "nano")
    ),
    "blocks.0.0.conv_dw.weight": tuple(f"efficientnet_b{i}" for i in range(8)),
}
"""By a tensor that only they have, architectures whose shapes tell them apart."""
VITS = {192: "tiny", 384: "small", 768: "base", 1024: "large"}
EPSILON_OF_TORCHVISION = {f"efficientnet_b{i}": 1e-3 for i in (5, 6, 7)}
"""Epsilon of torchvision's batch norms where it is not that of timm, 1e-5; no tensor tells it."""
HEAD_IN_PARTS = re.compile(r"(fc|classifier|head|head\.fc)(?:\.\d+)+\.(weight|bias)")
"""A linear layer in a Sequential with layers without weights, say Dropout, for a head."""
WRAPPED = "timm_model."


def convert(weights: "StateDict") -> tuple[Any, Any]:
    """Return the network of a state dict in fp32, with outputs without names, and its processor.

    Raises `UserError` if no architecture has these tensors, or if the one named has others.
    """
    tensors = {name.removeprefix(WRAPPED): t for name, t in weights.tensors.items()}
    tensors, is_torchvision = to_timm(tensors)
    tensors = _with_plain_head(tensors)
    architecture, arguments = _architecture(weights, tensors)
    if is_torchvision and architecture in EPSILON_OF_TORCHVISION:
        arguments |= {"bn_eps": EPSILON_OF_TORCHVISION[architecture]}
    model = _network(weights, tensors, architecture, arguments)
    named = {f"{WRAPPED}{name}": tensor for name, tensor in tensors.items()}
    # files of before batch norms counted their batches; nothing here reads the count
    counts = {n for n in model.state_dict() if n.endswith("num_batches_tracked")} - set(named)
    own_weights.fill(model, named, weights.asked, counts)
    return model, _processor(weights, model.config, is_torchvision)


def _with_plain_head(tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Return tensors where a head of one linear layer in a Sequential is that layer."""
    parts = {name: found for name in tensors if (found := HEAD_IN_PARTS.fullmatch(name))}
    linear = {name.rpartition(".")[0] for name in parts}
    if len(linear) != 1 or tensors.get(f"{min(linear)}.weight", torch.empty(0)).ndim != 2:
        return dict(tensors)
    plain = {name: f"{found[1]}.{found[2]}" for name, found in parts.items()}
    return {plain.get(name, name): tensor for name, tensor in tensors.items()}


def _network(
    weights: "StateDict", tensors: "Mapping[str, Tensor]", name: str, arguments: dict[str, Any]
) -> Any:
    from transformers import TimmWrapperConfig, TimmWrapperForImageClassification

    head = _head(_empty(name, arguments), name)
    if f"{head}.weight" not in tensors:
        raise UserError(
            f"{weights.asked} has no head ({head}.weight of {name}), so it names nothing: give the"
            " weights of a classifier"
        )
    labels = len(tensors[f"{head}.weight"])
    config = TimmWrapperConfig(architecture=name, model_args=arguments, num_labels=labels)
    return TimmWrapperForImageClassification(config)


def _head(network: Any, name: str) -> str:
    """Return the name of the classifier's layer in an architecture of timm."""
    heads = [n for n, module in network.named_modules() if module is network.get_classifier()]
    if not heads:
        raise UserError(f"{name} has two heads, and one is known here", "architecture")
    return str(heads[0])


def _empty(name: str, arguments: Mapping[str, Any]) -> Any:
    """Return an architecture of timm whose tensors have shapes and no memory."""
    import timm

    with torch.device("meta"):
        return timm.create_model(name, pretrained=False, num_classes=1, **arguments)


def _architecture(
    weights: "StateDict", tensors: "Mapping[str, Tensor]"
) -> tuple[str, dict[str, Any]]:
    """Return timm's name of the network that has these tensors, and timm's arguments for it."""
    if "pos_embed" in tensors and "patch_embed.proj.weight" in tensors:
        return _vision_transformer(weights, tensors)
    if weights.architecture is not None:
        return known(weights.architecture), {}
    tried = next((names for tensor, names in FAMILIES.items() if tensor in tensors), ())
    faults: dict[str, list[str]] = {}
    for name in tried:
        if not (wrong := _differences(name, tensors)):
            return name, {}
        faults[name] = wrong
    nearest = min(faults, key=lambda name: len(faults[name]), default=None)
    closest = f" ({nearest} is nearest: {own_weights.listed(faults[nearest])})" if nearest else ""
    raise UserError(
        f"{weights.asked} has the tensors of no network that is known by them{closest}: say which "
        "with `architecture`, one of timm's names"
    )


def _differences(name: str, tensors: "Mapping[str, Tensor]") -> list[str]:
    """Return how tensors differ from those of an architecture of timm, but for the classes that a
    head has; none where it is theirs."""
    network = _empty(name, {})
    head = _head(network, name)
    free, counts = {f"{head}.weight", f"{head}.bias"}, "num_batches_tracked"
    wanted = {n: t for n, t in network.state_dict().items() if not n.endswith(counts)}
    return own_weights.faults(
        {n: tensor for n, tensor in wanted.items() if n not in free},
        {n: t for n, t in tensors.items() if n not in free and not n.endswith(counts)},
    )


def _vision_transformer(
    weights: "StateDict", tensors: "Mapping[str, Tensor]"
) -> tuple[str, dict[str, Any]]:
    width, _, patch, _ = tensors["patch_embed.proj.weight"].shape
    name = weights.architecture
    if name is None:
        if width not in VITS:
            raise UserError(
                f"{weights.asked} is a vision transformer of width {width}, which has no usual "
                "name: say which with `architecture`, one of timm's names"
            )
        name = f"vit_{VITS[width]}_patch16_224"  # the size of the patches is said below
    has_token = "cls_token" in tensors
    side = round((tensors["pos_embed"].shape[1] - has_token) ** 0.5) * patch
    depth = len({n.split(".")[1] for n in tensors if n.startswith("blocks.")})
    arguments: dict[str, Any] = {"img_size": side, "patch_size": patch, "depth": depth}
    if not has_token:
        arguments |= {"class_token": False, "global_pool": "avg"}
    return known(name), arguments


def _processor(weights: "StateDict", config: Any, is_torchvision: bool) -> Any:
    """Return the image processor: what was said of the weights, else what is usual for them."""
    from timm.models import get_pretrained_cfg

    usual = get_pretrained_cfg(config.architecture)
    cfg = {} if usual is None else usual.to_dict()
    fixed = (config.model_args or {}).get("img_size")
    size = weights.image_size or fixed or int(cfg.get("input_size", (3, 224, 224))[1])
    if fixed not in (None, size):
        raise UserError(
            f"`image_size` {size}: {weights.asked} was trained at {fixed}, and its positions are "
            "those of that size"
        )
    mean, std = IMAGENET if is_torchvision else (cfg.get("mean"), cfg.get("std"))
    mean, std = weights.mean or mean or IMAGENET[0], weights.std or std or IMAGENET[1]
    if not (weights.image_size and weights.mean and weights.std):
        shown = ", ".join(f"{m:g} and {s:g}" for m, s in zip(mean, std, strict=True))
        print_lines(
            f"{weights.asked} does not say how its images were read: {size} pixels, and by channel "
            f"mean and deviation {shown} are taken, as is usual for {config.architecture}",
            file=sys.stderr,
        )
    return image_processor.make_processor(size, mean, std)
