"""ddpm: a diffusion model of images, with or without labels; it makes new ones out of noise.

Ho et al. 2020, "Denoising Diffusion Probabilistic Models", with a small U-Net; new images are made
by the shorter way of Song et al. 2020, "Denoising Diffusion Implicit Models".

A checkpoint holds the network a second time in `unet/` and the noise in `scheduler/`, which
diffusers loads as `UNet2DModel` and `DDIMScheduler`.
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
    """weights to go on with: the folder of a checkpoint of ddpm, whose shape is kept, and how it
    sees images; none: new weights, shaped by what follows"""
    image_size: Count | None = None
    """side in pixels that images are resized to; that of the training images by default"""
    widths: tuple[Count, ...] = (32, 64, 64)
    """channels at each size, which halves from one to the next; multiples of 8"""
    blocks_per_size: Count = 1
    """residual blocks at each size on the way down; one more on the way up"""
    initialization: Initialization = "default"
    """first weights; default is torch's own"""


EXAMPLES = {
    "pretrain": (
        "pretrain",
        "pretrain --data photos/ --num_train_epochs 200 --output_dir runs/photos",
        "pretrain --data photos/ --resume --output_dir runs/photos",
    ),
    "predict": (
        "predict runs/ddpm --samples 64 --grid new.png",
        "predict runs/ddpm --samples 64 --label 3 --steps 50 --seed 1 --grid threes.png",
        "predict runs/ddpm --samples 10 --columns 10 --guidance_scale 3 --grid row.png",
    ),
}

ENTRY = Entry(
    name="ddpm",
    module="zoo.vision.ddpm",
    task="tasks.vision.image_diffusion",
    summary="diffusion model: new images, of a label where there are some",
    network="zoo.vision.denoising_diffusion",
    modality="zoo.vision.modality",
    options=Options,
    recipe={
        "num_train_epochs": 100.0,
        "per_device_train_batch_size": 64,
        "per_device_eval_batch_size": 128,
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.02,
        "ema_decay": 0.995,
    },
    verbs=("pretrain", "evaluate", "predict"),
    examples=EXAMPLES,
)

if __name__ == "__main__":
    from zoo.cli.verbs import main

    sys.exit(main(ENTRY))
