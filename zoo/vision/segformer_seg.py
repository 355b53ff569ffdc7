"""segformer_seg: a transformer that gives every pixel of an image its class, pretrained or from
scratch.

Xie et al. 2021, "SegFormer: Simple and Efficient Design for Semantic Segmentation with
Transformers". Any other that transformers' AutoModelForSemanticSegmentation takes can be named.

It has run with small random weights only: the pretrained ones have not been at hand.
"""

import sys
from dataclasses import dataclass

from tasks.bounds import Bounded, Count
from zoo.model.entry import Entry, Preset

NVIDIA = "NVIDIA Source Code License (research only)"


@dataclass(frozen=True)
class Options(Bounded):
    """What only this model has."""

    model: str = "segformer-b0"
    """pretrained weights: a preset, a folder, or a Hub id; none: a new SegFormer, shaped by what
    follows"""
    image_size: Count | None = None
    """side in pixels that images are resized to, or that of a window of them; by default what the
    weights were trained at, or the training images' own"""
    widths: tuple[Count, ...] = (32, 64, 160, 256)
    """new weights: channels of each stage; those of SegFormer-B0 by default"""
    depth: Count = 2
    """new weights: layers of each stage"""
    decoder_width: Count = 256
    """new weights: channels of the decoder"""


ENTRY = Entry(
    name="segformer_seg",
    module="zoo.vision.segformer_seg",
    task="tasks.vision.segmentation",
    summary="SegFormer (or any other of transformers) that gives every pixel of an image its class",
    network="zoo.vision.pretrained_segmenter",
    modality="zoo.vision.modality",
    options=Options,
    recipe={
        "num_train_epochs": 20.0,
        "per_device_train_batch_size": 8,
        "per_device_eval_batch_size": 16,
        "learning_rate": 6e-5,
        "weight_decay": 0.01,
        "warmup_steps": 0.1,
    },
    presets={
        "segformer-b0": Preset(repo="nvidia/segformer-b0-finetuned-ade-512-512", license=NVIDIA),
        "segformer-b2": Preset(repo="nvidia/segformer-b2-finetuned-ade-512-512", license=NVIDIA),
        "mit-b0": Preset(repo="nvidia/mit-b0", license=NVIDIA),
    },
    default_preset="segformer-b0",
)

if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
