"""segformer_seg: a transformer that gives every pixel of an image its class, from scratch or
pretrained.

Xie et al. 2021, "SegFormer: Simple and Efficient Design for Semantic Segmentation with
Transformers". Any other that transformers' AutoModelForSemanticSegmentation takes can be named,
such as the presets: BEiT (Bao et al. 2022). NVIDIA's own weights of SegFormer
(nvidia/segformer-b0-finetuned-ade-512-512) are for research only, and so no preset.

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
    summary="SegFormer (any other of transformers, too) that gives every pixel its class",
    network="zoo.vision.pretrained_segmenter",
    modality="zoo.vision.modality",
    options=Options,
    recipe={
        "num_train_epochs": 20.0,
        "per_device_train_batch_size": 8,
        "per_device_eval_batch_size": 16,
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "warmup_steps": 0.1,
    },
    finetune_recipe={"learning_rate": 6e-5},
    presets={
        "beit-base": Preset(repo="microsoft/beit-base-finetuned-ade-640-640", license="Apache-2.0"),
    },
)

if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
