"""mlp_cls: a multilayer perceptron on labelled images, whose pixels it sees as one vector, from
scratch or from a checkpoint.

Rumelhart, Hinton & Williams 1986, "Learning representations by back-propagating errors". 784-128-10
for images of 28 by 28 pixels in 10 classes is the first network of many courses; no hidden layer
(`--hidden_sizes` with no value) makes it softmax regression.

Fashion-MNIST, seed 42: test accuracy 0.889 (0.883 to 0.895, n = 10,000) in 16 s of training on two
CPU cores in fp32: `python -m zoo.vision.mlp_cls finetune --data $ZOO_DATA/fashion_mnist
--num_train_epochs 12 --learning_rate 3e-3`.
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
    """weights to go on with: the folder of a checkpoint of mlp_cls, whose shape is kept, and how it
    sees images; none: new weights, shaped by what follows"""
    image_size: Count | None = None
    """side in pixels that images are resized to; by default that of the weights, or of the training
    images, 64 at most"""
    num_channels: Literal[1, 3] | None = None
    """1: of images in colour it sees the brightness; 3: red, green and blue; by default 1 where the
    training images are grey"""
    hidden_sizes: tuple[Count, ...] = (128,)
    """neurons of each hidden layer; no value: a linear model"""
    mlp_dropout: BelowOne = 0.0
    """dropout of the hidden neurons"""
    activation: Activation = "relu"
    """nonlinearity of the hidden layers"""
    initialization: Initialization = "default"
    """first weights; default is torch's own, uniform up to 1 / sqrt(inputs)"""


ENTRY = Entry(
    name="mlp_cls",
    module="zoo.vision.mlp_cls",
    task="tasks.vision.image_classification",
    summary="multilayer perceptron from scratch, 784-128-10 or any other",
    network="zoo.vision.multilayer_perceptron",
    modality="zoo.vision.modality",
    options=Options,
    recipe={
        "num_train_epochs": 20.0,
        "per_device_train_batch_size": 128,
        "per_device_eval_batch_size": 1024,
        "learning_rate": 2e-3,
        "weight_decay": 0.02,
        "warmup_steps": 0.1,
    },
    task_defaults={"crop_scale": 1.0, "color_jitter": 0.0, "hflip": "off"},
)

if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
