"""cnn_cls trained by the zoo and by transformers.Trainer, interleaved in one run.

    python -m bench.experiments.vision_against_trainer --data $ZOO_DATA/fashion_mnist \\
        --seeds 1 2 3 --epochs 1

Each arm is a fresh process, one at a time, in a new random order every round; same network and
first weights, same images, batch size, bf16 (autocast in Trainer), learning rate, schedule, decay
and clipping, and the same kinds of augmentation: crop, mirroring, colours. Arms:

- zoo: `finetune` as it comes.
- trainer: Trainer with the plain DataLoader: a dataset that decodes and augments one image with
  Pillow and torchvision, in the main process; fused AdamW.
- trainer_workers: the same with two worker processes, which stay from one epoch to the next.
- trainer_channels_last (if asked for): trainer with network and batches in that memory format,
  which the zoo's batches have, and which Trainer leaves to its users.

Images/s count the whole training loop (data, steps, logging), without evaluation and saving. The
zoo has decoded all images before it begins; what that costs is part of `wall_seconds`, which every
line of the results has: from reading the data to the accuracy, without imports. Accuracy is that of
the test split in fp32, of the weights at the end. A ratio is given with its spread over the rounds.
"""

import io
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.experiments import rounds
from bench.experiments.rounds import ArmMeasurement, RoundCase
from tasks.bounds import Count, Positive
from zoo.train.args import TrainArgs
from zoo.vision.cnn_cls import ENTRY, Options

if TYPE_CHECKING:
    from collections.abc import Callable

    import datasets
    from torch import Tensor, nn

    from tasks.vision.image_classification import ImageClassification

RESULTS = Path(__file__).parents[1] / "results" / "vision_against_trainer.jsonl"
WORKERS = {"trainer": 0, "trainer_workers": 2, "trainer_channels_last": 0}


@dataclass(frozen=True, kw_only=True)
class Args(rounds.Args):
    """The flags."""

    arms: tuple[Literal["zoo", "trainer", "trainer_workers", "trainer_channels_last"], ...] = (
        "zoo",
        "trainer",
        "trainer_workers",
    )
    """what to compare"""
    batch_sizes: tuple[Count, ...] = (64,)
    """images of a step"""
    epochs: Positive = 1.0
    """may be a fraction"""
    output: Path | None = RESULTS
    """jsonl file that results are added to; what it has already is not run again"""


def run_zoo(case: RoundCase) -> ArmMeasurement:
    """Train and evaluate by the zoo; return images/s and accuracy from its evidence."""
    words = ["--num_train_epochs", str(case.args.epochs), "--eval_strategy", "no"]
    return rounds.by_zoo(ENTRY, case, words, "test")


def run_trainer(case: RoundCase) -> ArmMeasurement:
    """Train by transformers.Trainer with the zoo's recipe; return images/s and accuracy."""
    import tasks  # noqa: F401  (before torchvision: see tasks.torch_extensions)

    # isort: split
    import torch
    from transformers import Trainer

    from tasks.data.source import DataArgs
    from tasks.vision import image_classification as images
    from zoo.model.network import assemble

    options, recipe = Options(), TrainArgs(**ENTRY.recipe)
    data = DataArgs(data=case.args.data, max_train_samples=case.args.max_train_samples)
    task: Any
    model: Any
    task, examples = images.from_data(images.Args(**ENTRY.task_defaults), data)
    assembly = assemble(ENTRY, options, task, examples.splits)
    task = assembly.task
    torch.manual_seed(case.seed)
    model, _ = assembly.build()
    train = Images(examples.splits["train"], training_transform(task))
    workers = WORKERS[case.arm]
    training = rounds.trainer_arguments(
        case,
        recipe,
        num_train_epochs=case.args.epochs,
        optim="adamw_torch_fused",
        **rounds.half_precision(case.args.device),
        dataloader_num_workers=workers,
        dataloader_persistent_workers=workers > 0,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
    )
    trainer = Trainer(model=model, args=training, train_dataset=train)
    if case.arm == "trainer_channels_last":
        model.to(memory_format=torch.channels_last)
        collate = trainer.data_collator
        trainer.data_collator = lambda rows: channels_last(collate(rows))
    found = trainer.train()
    epochs, rest = divmod(found.global_step, -(-len(train) // case.batch))
    seen = epochs * len(train) + rest * case.batch
    test = Images(examples.splits["test"], plain_transform(task))
    return ArmMeasurement(seen / found.metrics["train_runtime"], accuracy(model, test))


def channels_last(batch: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """Return the batch with its pixels in channels-last memory format."""
    import torch

    pixels = batch["pixel_values"].contiguous(memory_format=torch.channels_last)
    return batch | {"pixel_values": pixels}


class Images:
    """A dataset of images that are decoded and transformed one by one when they are read."""

    def __init__(self, split: "datasets.Dataset", transform: "Callable[[Any], Tensor]") -> None:
        self.files: list[bytes] = [
            media["bytes"] or Path(media["path"]).read_bytes() for media in split["media"]
        ]
        self.labels: list[int] = list(split["label"])
        self.transform = transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> dict[str, Any]:
        from PIL import Image

        with Image.open(io.BytesIO(self.files[i])) as image:
            return {"pixel_values": self.transform(image), "labels": self.labels[i]}


def training_transform(task: "ImageClassification") -> "Callable[[Any], Tensor]":
    """Return torchvision's closest equivalent of the task's augmentation: on Pillow's images, in
    one channel if they have one, which is the fastest way (as ours)."""
    from torchvision import transforms

    from tasks.vision.augment import CROP_ASPECT

    args, jitter = task.args, task.args.color_jitter
    compose: Callable[[Any], Tensor] = transforms.Compose(
        [
            transforms.RandomResizedCrop(task.size, (args.crop_scale, 1.0), CROP_ASPECT),
            transforms.RandomHorizontalFlip(0.5 if args.hflip == "on" else 0.0),
            transforms.ColorJitter(jitter, jitter, jitter),
            plain_transform(task),
        ]
    )
    return compose


def plain_transform(task: "ImageClassification") -> "Callable[[Any], Tensor]":
    """Return a transform from Pillow's image to float32 [3, size, size], resized and normalised."""
    from torchvision import transforms

    normalise = transforms.Normalize(task.mean, task.std)

    def transform(image: Any) -> "Tensor":
        if image.size != (task.size, task.size):
            image = transforms.functional.resize(image, [task.size, task.size])
        pixels: Tensor = normalise(transforms.functional.to_tensor(image).expand(3, -1, -1))
        return pixels

    return transform


def accuracy(model: "nn.Module", test: Images) -> float:
    """Return the share of the test images that the model labels right, in fp32."""
    import torch
    from torch.utils.data import DataLoader

    model.eval()
    device = next(model.parameters()).device
    right = 0
    with torch.inference_mode():
        for batch in DataLoader(test, batch_size=256):  # type: ignore[arg-type]
            found = model(pixel_values=batch["pixel_values"].to(device)).logits.argmax(-1)
            right += int((found.cpu() == batch["labels"]).sum())
    return right / len(test)


COMPARISON = rounds.RoundComparison(
    "bench.experiments.vision_against_trainer",
    "images",
    Args,
    {"zoo": run_zoo} | dict.fromkeys(WORKERS, run_trainer),
    settings=("epochs",),
)

main = partial(rounds.main, COMPARISON, __doc__)

if __name__ == "__main__":
    sys.exit(main())
