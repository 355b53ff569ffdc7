"""vae: a variational autoencoder of images without labels; it makes new ones, and tells odd ones.

Kingma & Welling 2013, "Auto-Encoding Variational Bayes", with convolutions and a likelihood of
whole pixel values (`tasks.vision.likelihood`), so that its bits per dimension are a bound.
"""

import sys
from dataclasses import dataclass

from tasks.bounds import Bounded, Count
from zoo.model.entry import Entry
from zoo.model.scratch import Initialization


@dataclass(frozen=True)
class Options(Bounded):
    """What only this model has."""

    model: str = "none"
    """weights to go on with: the folder of a checkpoint of vae, whose shape is kept, and how it
    sees images; none: new weights, shaped by what follows"""
    image_size: Count | None = None
    """side in pixels that images are resized to; that of the training images by default"""
    latent_size: Count = 32
    """numbers that an image is put into"""
    widths: tuple[Count, ...] = (32, 64)
    """channels after each halving of the image; multiples of 8"""
    initialization: Initialization = "default"
    """first weights; default is torch's own"""


EXAMPLES = {
    "pretrain": (
        "pretrain",
        "pretrain --data photos/ --num_train_epochs 20 --output_dir runs/photos",
        "pretrain --data photos/ --resume --output_dir runs/photos",
    ),
    "evaluate": (
        "evaluate runs/vae",
        "evaluate runs/vae --features runs/cnn_cls --samples 2000 --seed 1",
    ),
    "predict": (
        "predict runs/vae --image photo.jpg",
        "predict runs/vae --samples 64 --grid new.png",
        "predict runs/vae --samples 8 --walk 12 --grid walk.png",
        "predict runs/vae --image photos/ --mask bottom --grid painted.png",
    ),
}

ENTRY = Entry(
    name="vae",
    module="zoo.vision.vae",
    task="tasks.vision.image_density",
    summary="variational autoencoder: new images, and how likely given ones are",
    network="zoo.vision.variational_autoencoder",
    modality="zoo.vision.modality",
    options=Options,
    recipe={
        "num_train_epochs": 50.0,
        "per_device_train_batch_size": 64,
        "per_device_eval_batch_size": 128,
        "learning_rate": 2e-3,
        "weight_decay": 0.0,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.02,
    },
    verbs=("pretrain", "evaluate", "predict", "export"),
    examples=EXAMPLES,
)

if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
