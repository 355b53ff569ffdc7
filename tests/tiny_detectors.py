"""Tiny detectors of transformers whose queries predict a set, for tests: random weights in folders
as others save them, and the shape of a new one."""

from pathlib import Path
from typing import Any

SHAPE: tuple[object, ...] = ("--widths", 8, 8, 8, 8, "--hidden_size", 16, "--decoder_layers", 2)
SHAPE += ("--num_queries", 84, "--image_size", 64)
"""The shape of a tiny detr_det for `boxed_images`: as many queries as points, so that no rounding
decides which points are queries."""

_RESNET = {"embedding_size": 8, "hidden_sizes": [8] * 4, "depths": [1] * 4, "layer_type": "basic"}
_STAGES = ["stage2", "stage3", "stage4"]
_SMALL: dict[str, Any] = {"d_model": 32, "num_queries": 10, "num_labels": 4}
_SMALL |= {"encoder_layers": 1, "encoder_ffn_dim": 16, "encoder_attention_heads": 2}
_SMALL |= {"decoder_layers": 2, "decoder_ffn_dim": 16, "decoder_attention_heads": 2}


def config(kind: str) -> Any:
    """Return the configuration of a tiny detector by its `model_type`."""
    import transformers as t

    if kind == "yolos":
        shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        shape |= {"intermediate_size": 16, "num_detection_tokens": 10, "num_labels": 4}
        return t.YolosConfig(image_size=[64, 96], **shape)
    if kind.startswith("rt_detr"):
        backbone = t.RTDetrResNetConfig(**_RESNET, out_features=_STAGES)
        made = t.RTDetrConfig if kind == "rt_detr" else t.RTDetrV2Config
        return made(
            backbone_config=backbone,
            encoder_in_channels=[8] * 3,
            encoder_hidden_dim=32,
            decoder_in_channels=[32] * 3,
            num_denoising=5,
            **_SMALL,
        )
    names = {"detr": "Detr", "table-transformer": "TableTransformer"}
    names |= {"conditional_detr": "ConditionalDetr", "deformable_detr": "DeformableDetr"}
    stages = _STAGES if kind == "deformable_detr" else ["stage4"]
    backbone = t.ResNetConfig(**_RESNET, out_features=stages)
    levels = {"num_feature_levels": 3} if kind == "deformable_detr" else {}
    return getattr(t, f"{names[kind]}Config")(
        backbone_config=backbone, auxiliary_loss=True, **levels, **_SMALL
    )


def loss_of(kind: str) -> str:
    """Return the name of transformers' loss of a kind."""
    if kind.startswith("rt_detr"):
        return "RTDetrForObjectDetection"
    deformed = kind in ("conditional_detr", "deformable_detr")
    return "DeformableDetrForObjectDetection" if deformed else "ForObjectDetection"


def weights(kind: str, folder: Path) -> Path:
    """Write a tiny detector with random weights of four classes, which sees images of 64 to 96
    pixels; return its folder."""
    import torch
    import transformers as t

    from zoo.vision.pretrained_detector import KINDS

    torch.manual_seed(0)
    t.AutoModelForObjectDetection.from_config(config(kind)).save_pretrained(folder)
    size = {"shortest_edge": 64, "longest_edge": 96}
    getattr(t, KINDS[kind][1])(size=size).save_pretrained(folder)
    return folder
