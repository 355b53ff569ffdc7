"""mae: a vision transformer pretrained on images without labels, from which vit_cls starts.

He et al. 2022, "Masked Autoencoders Are Scalable Vision Learners".
"""

import sys
from dataclasses import dataclass
from typing import Annotated

from tasks.bounds import LIMITLESS, Bounded, Bounds, Count
from zoo.model.entry import Entry
from zoo.model.scratch import Initialization


@dataclass(frozen=True)
class Options(Bounded):
    """What only this model has."""

    model: str = "none"
    """weights to go on with: the folder of a checkpoint of mae, whose shape is kept, and how it
    sees images; none: new weights, shaped by what follows"""
    architecture: str = "vit_tiny_patch16_224"
    """timm's name of the encoder, a vision transformer"""
    image_size: Count | None = None
    """side in pixels that images are resized to; that of the training images by default"""
    depth: Count = 6
    """layers of the encoder"""
    decoder_size: Annotated[int, Bounds(4, LIMITLESS)] = 96
    """width of the decoder, which is thrown away afterwards"""
    decoder_depth: Count = 2
    """layers of the decoder"""
    decoder_heads: Count = 3
    """attention heads of the decoder"""
    initialization: Initialization = "default"
    """first weights; default is Glorot's (xavier)"""


ENTRY = Entry(
    name="mae",
    module="zoo.vision.mae",
    task="tasks.vision.masked_image",
    summary="vision transformer pretrained without labels (masked autoencoder), a start of vit_cls",
    network="zoo.vision.masked_autoencoder",
    modality="zoo.vision.modality",
    options=Options,
    recipe={
        "num_train_epochs": 100.0,
        "per_device_train_batch_size": 64,
        "per_device_eval_batch_size": 128,
        "learning_rate": 1e-3,
        "weight_decay": 0.05,
        "adam_beta2": 0.95,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.05,
    },
    verbs=("pretrain", "evaluate", "export"),
    pretrains_for="zoo.vision.vit_cls",
)

if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
