"""fcos_det: an anchor-free detector on a backbone of timm, from scratch or from its weights.

Tian et al. 2019, "FCOS: Fully Convolutional One-Stage Object Detection"; Lin et al. 2017, "Feature
Pyramid Networks for Object Detection".
"""

import sys
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from tasks.bounds import LIMITLESS, Bounded, Bounds, Count
from tasks.errors import UserError
from zoo.model.entry import Entry, Preset

NARROW = (32, 64, 96, 128)  # channels of the stages of a new resnet18, and one block in each


@dataclass(frozen=True)
class Options(Bounded):
    """What only this model has."""

    model: str = "none"
    """weights to begin with: the folder of a checkpoint of fcos_det, or a backbone: the folder of a
    checkpoint of resnet_cls, a preset, or a Hub id of timm's; none: new weights"""
    architecture: str = "resnet18"
    """new weights: timm's name of the backbone, a network with feature maps at strides 8, 16 and
    32"""
    widths: tuple[Count, ...] | None = None
    """new weights of a ResNet: channels of its four stages; 32 64 96 128 of resnet18 by default,
    which as it was published has 64 128 256 512"""
    depth: Count | None = None
    """new weights of a ResNet: blocks of each stage; 1 of resnet18 by default, which as it was
    published has 2"""
    image_size: Count | None = None
    """side in pixels, a multiple of 32, of the square that images are resized to; by default that
    of the weights of a detector, or of the training images"""
    norm: Literal["batch", "group"] = "batch"
    """new weights of a ResNet; group: over all channels of an image, so that no image's result
    depends on the others of its batch"""
    hidden_size: Annotated[int, Bounds(16, LIMITLESS)] = 64
    """channels of the feature pyramid and of the head, a multiple of 8; with one channel a group
    norm would be of a single value where a level has one point"""
    head_layers: Count = 2
    """convolutions before the classes and before the boxes"""

    def backbone_args(self) -> dict[str, Any]:
        """Return timm's arguments of a new backbone besides the architecture.

        Raises `UserError` for widths that no ResNet has.
        """
        widths, depth = self.widths, self.depth
        if self.architecture == "resnet18":
            widths, depth = widths or NARROW, depth or 1
        found: dict[str, Any] = {}
        if widths is not None:
            if len(widths) != 4 or any(width % 8 for width in widths):
                shown = " ".join(map(str, widths))
                raise UserError(f"`widths` {shown}: four multiples of 8, one for each stage")
            # three small convolutions cost less than one of 7 x 7, whose width can't be changed
            found |= {"channels": widths, "stem_type": "deep", "stem_width": widths[0] // 2}
        if depth is not None:
            found["layers"] = (depth,) * 4
        return found | ({"norm_layer": "groupnorm1"} if self.norm == "group" else {})


ENTRY = Entry(
    name="fcos_det",
    module="zoo.vision.fcos_det",
    task="tasks.vision.detection",
    summary="anchor-free object detector (FCOS) on a backbone of timm, from scratch or pretrained",
    network="zoo.vision.fcos_network",
    modality="zoo.vision.modality",
    options=Options,
    recipe={
        "num_train_epochs": 30.0,
        "per_device_train_batch_size": 16,
        "per_device_eval_batch_size": 64,
        "learning_rate": 2e-3,
        "weight_decay": 0.05,
        "warmup_steps": 0.05,
        "lr_scheduler_type": "cosine",
    },
    task_defaults={"crop_scale": 1.0},  # to crop takes longer than to learn from so small images
    presets={
        "resnet18": Preset(repo="timm/resnet18.a1_in1k", license="Apache-2.0"),
        "resnet50": Preset(repo="timm/resnet50.a1_in1k", license="Apache-2.0"),
        "convnext-tiny": Preset(repo="timm/convnext_tiny.in12k_ft_in1k", license="Apache-2.0"),
    },
)

if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
