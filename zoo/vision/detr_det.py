"""detr_det: a transformer that predicts the things in an image as a set of boxes, from scratch or
pretrained.

New weights are those of an RT-DETR (Zhao et al. 2024, "DETRs Beat YOLOs on Real-time Object
Detection"), small unless its options say otherwise. Of those that transformers'
AutoModelForObjectDetection takes, these can be gone on with: RT-DETR and its second version, DETR
(Carion et al. 2020), Conditional DETR (Meng et al. 2021), Deformable DETR (Zhu et al. 2021), Table
Transformer (Smock et al. 2022) and YOLOS (Fang et al. 2021).

Queries learn as `tasks.vision.set_prediction` says, those of inner layers too where the weights'
configuration has `auxiliary_loss`, but without the denoising of RT-DETR, whose noise transformers
draws from a stream and not from the sample. Images are stretched to squares.

It has run with small random weights only: the pretrained ones have not been at hand.
"""

import sys
from dataclasses import dataclass

from tasks.bounds import Bounded, Count
from zoo.model.entry import Entry, Preset


@dataclass(frozen=True)
class Options(Bounded):
    """What only this model has."""

    model: str = "none"
    """pretrained weights: a preset, a folder, or a Hub id; none: a new RT-DETR, shaped by what
    follows"""
    image_size: Count | None = None
    """side in pixels, a multiple of 32, of the square that images are resized to; by default that
    of the weights, or of the training images"""
    widths: tuple[Count, ...] = (32, 64, 128, 256)
    """new weights: channels of the four stages of the backbone, a ResNet; RT-DETR-R18 has 64 128
    256 512"""
    depth: Count = 1
    """new weights: blocks of each stage of the backbone; RT-DETR-R18 has 2"""
    hidden_size: Count = 64
    """new weights: channels of encoder and decoder, a multiple of 8; RT-DETR has 256"""
    decoder_layers: Count = 3
    """new weights: layers of the decoder; RT-DETR-R18 has 3"""
    num_queries: Count = 100
    """new weights: boxes that an image has at most; RT-DETR has 300"""


ENTRY = Entry(
    name="detr_det",
    module="zoo.vision.detr_det",
    task="tasks.vision.detection",
    summary="transformer that detects objects as a set (RT-DETR, DETR, YOLOS), new or pretrained",
    network="zoo.vision.pretrained_detector",
    modality="zoo.vision.modality",
    options=Options,
    recipe={
        "num_train_epochs": 50.0,
        "per_device_train_batch_size": 16,
        "per_device_eval_batch_size": 32,
        "learning_rate": 1e-3,
        "weight_decay": 1e-4,
        "warmup_steps": 0.05,
        "lr_scheduler_type": "cosine",
        "max_grad_norm": 0.1,
    },
    finetune_recipe={"learning_rate": 5e-5, "num_train_epochs": 20.0},
    task_defaults={"crop_scale": 1.0},
    presets={
        "rtdetr-r18": Preset(repo="PekingU/rtdetr_r18vd", license="Apache-2.0"),
        "rtdetr-r50": Preset(repo="PekingU/rtdetr_r50vd", license="Apache-2.0"),
        "detr-r50": Preset(repo="facebook/detr-resnet-50", license="Apache-2.0"),
        "yolos-tiny": Preset(repo="hustvl/yolos-tiny", license="Apache-2.0"),
    },
)

if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
