"""torchvision's names of weights as timm's: its ResNets have the same, three other families do not.

Checked against torchvision 0.28 and timm 1.0.31: the same tensors give the same outputs.
"""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    Tensors = Mapping[str, Tensor]

VIT = (
    (r"^class_token$", "cls_token"),
    (r"^encoder\.pos_embedding$", "pos_embed"),
    (r"^conv_proj\.", "patch_embed.proj."),
    (r"^encoder\.ln\.", "norm."),
    (r"^heads\.head\.", "head."),
    (r"^heads\.0\.", "head."),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
    (r"\.ln_(\d)\.", r".norm\1."),
    (r"\.self_attention\.in_proj_", ".attn.qkv."),
    (r"\.self_attention\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.(0|linear_1)\.", ".mlp.fc1."),
    (r"\.mlp\.(3|linear_2)\.", ".mlp.fc2."),
)
CONVNEXT = (
    (r"^features\.0\.(\d)\.", r"stem.\1."),
    (r"\.block\.0\.", ".conv_dw."),
    (r"\.block\.2\.", ".norm."),
    (r"\.block\.3\.", ".mlp.fc1."),
    (r"\.block\.5\.", ".mlp.fc2."),
    (r"\.layer_scale$", ".gamma"),
    (r"^classifier\.0\.", "head.norm."),
    (r"^classifier\.2\.", "head.fc."),
)
MBCONV = {
    "0.0": "conv_pw",
    "0.1": "bn1",
    "1.0": "conv_dw",
    "1.1": "bn2",
    "2.fc1": "se.conv_reduce",
    "2.fc2": "se.conv_expand",
    "3.0": "conv_pwl",
    "3.1": "bn3",
}
"""Parts of a block of EfficientNet (Tan & Le 2019)."""
FIRST = {
    "0.0": "conv_dw",
    "0.1": "bn1",
    "1.fc1": "se.conv_reduce",
    "1.fc2": "se.conv_expand",
    "2.0": "conv_pw",
    "2.1": "bn2",
}
"""Parts of a block of its first stage, which does not expand."""


def to_timm(tensors: "Tensors") -> "tuple[dict[str, Tensor], bool]":
    """Return tensors by timm's names, and whether they had torchvision's."""
    rename: Callable[[str], str]
    if "encoder.pos_embedding" in tensors:
        rename = _by(VIT)
    elif (
        any(name.endswith(".layer_scale") for name in tensors) and "features.0.0.weight" in tensors
    ):
        rename = _convnext
    elif "features.1.0.block.0.0.weight" in tensors:
        stages = {name.split(".")[1] for name in tensors if name.startswith("features.")}
        rename = _efficientnet(len(stages) - 1)
    else:
        return dict(tensors), False
    renamed = {rename(name): tensor for name, tensor in tensors.items()}
    return {n: t.flatten() if n.endswith(".gamma") else t for n, t in renamed.items()}, True


def _by(rules: tuple[tuple[str, str], ...]) -> Callable[[str], str]:
    def rename(name: str) -> str:
        for pattern, into in rules:
            name = re.sub(pattern, into, name)
        return name

    return rename


def _convnext(name: str) -> str:
    """Stages and what shrinks between them take turns in torchvision's `features`."""
    name = _by(CONVNEXT)(name)
    if (found := re.match(r"features\.(\d+)\.(\d+)\.", name)) is None:
        return name
    place, inner = int(found[1]), found[2]
    part = f"blocks.{inner}" if place % 2 else f"downsample.{inner}"
    return f"stages.{(place - 1) // 2 if place % 2 else place // 2}.{part}.{name[found.end() :]}"


def _efficientnet(last: int) -> Callable[[str], str]:
    ends = {"features.0.0": "conv_stem", "features.0.1": "bn1", "classifier.1": "classifier"}
    ends |= {f"features.{last}.0": "conv_head", f"features.{last}.1": "bn2"}

    def rename(name: str) -> str:
        before, _, tensor = name.rpartition(".")
        if before in ends:
            return f"{ends[before]}.{tensor}"
        found = re.fullmatch(r"features\.(\d+)\.(\d+)\.block\.(\d\.\w+)", before)
        parts = FIRST if found and found[1] == "1" else MBCONV
        if found is None or found[3] not in parts:
            return name
        return f"blocks.{int(found[1]) - 1}.{found[2]}.{parts[found[3]]}.{tensor}"

    return rename
