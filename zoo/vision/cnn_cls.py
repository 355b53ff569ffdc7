"""cnn_cls: a small residual convolutional network on labelled images, from scratch or from a
checkpoint.

He et al. 2016, "Deep Residual Learning for Image Recognition", with a handful of layers.

Embedded digits, the defaults, seed 42: test accuracy 0.992 (0.976 to 0.997, n = 360) in 8 s of
training on two CPU cores with bf16: `python -m zoo.vision.cnn_cls finetune`.

Fashion-MNIST, seed 42: test accuracy 0.926 (0.921 to 0.931, n = 10,000) in 333 s of training there:
`python -m zoo.vision.cnn_cls finetune --data $ZOO_DATA/fashion_mnist --num_train_epochs 6
--per_device_train_batch_size 128 --crop_scale 0.85 --color_jitter 0.1`.
"""

import sys
from dataclasses import dataclass
from typing import Literal

from tasks.bounds import BelowOne, Bounded, Count
from zoo.model.entry import Entry
from zoo.model.scratch import Activation, Initialization


@dataclass(frozen=True)
class Options(Bounded):
    """What only this model has."""

    model: str = "none"
    """weights to go on with: the folder of a checkpoint of cnn_cls, whose shape is kept, and how it
    sees images; none: new weights, shaped by what follows"""
    image_size: Count | None = None
    """side in pixels that images are resized to; by default that of the weights, or of the training
    images"""
    widths: tuple[Count, ...] = (32, 64, 128)
    """channels of each stage; the image is halved between stages"""
    depth: Count = 1
    """residual blocks of a stage"""
    norm: Literal["batch", "group"] = "batch"
    """group: no image's result depends on the others of its batch, whatever the cut; slower"""
    cnn_dropout: BelowOne = 0.0
    """dropout before the head"""
    activation: Activation = "relu"
    """nonlinearity of the blocks"""
    initialization: Initialization = "default"
    """first weights; default is He's by fan-out, and torch's own for the head"""


ENTRY = Entry(
    name="cnn_cls",
    module="zoo.vision.cnn_cls",
    task="tasks.vision.image_classification",
    summary="small residual convolutional network from scratch",
    network="zoo.vision.convolutional_network",
    modality="zoo.vision.modality",
    options=Options,
    recipe={
        "num_train_epochs": 20.0,
        "per_device_train_batch_size": 64,
        "per_device_eval_batch_size": 256,
        "learning_rate": 3e-3,
        "weight_decay": 0.02,
        "warmup_steps": 0.1,
    },
)

if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
