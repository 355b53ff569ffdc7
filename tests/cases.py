"""One tiny fine-tune of every modality, for the tests that must hold whatever is trained.

A case is a value: a test takes the fixture `case` and runs once for each. Augmentation is on
wherever the modality has it: it is a function of (seed, epoch, sample), so nothing may change with
how, where or how often a sample is computed.
"""

import csv
import itertools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.finetuning import EXACT, Run, run_finetune

SIZES = {"train": 144, "validation": 40, "test": 40}
SIDE = 12  # pixels of the images
RATE = 8000  # samples a second of the sounds
LETTERS = {"a": 500.0, "b": 1000.0, "c": 2000.0}  # Hz
LETTER_SECONDS = 0.16  # four frames of the Conformer
SPEECH_SIZES = {"train": 96, "validation": 24, "test": 24}


@dataclass(frozen=True)
class Case:
    """A model so small that it trains in a second, and its data."""

    name: str
    module: str
    data: Path
    flags: tuple[object, ...]
    """Of the model."""
    input_flag: str
    """Of `predict`."""
    inputs: tuple[str, ...]
    exact: tuple[object, ...] = EXACT
    """Flags with which nothing rounds and nothing is random but augmentation."""
    small_budget: int = 0
    """--token_budget that cuts a step in many uneven passes."""
    verb: str = "finetune"

    def arguments(self, folder: Path, *flags: object) -> list[str]:
        """The words of a training without its module: steps of 32, one log line each."""
        words = (self.verb, *self.flags, "--data", self.data, "--output_dir", folder)
        usual = ("--logging_steps", 1, "--report_to", "none", "--per_device_train_batch_size", 32)
        usual += ("--learning_rate", 1e-3, "--warmup_steps", 0)
        return [str(word) for word in (*words, *usual, *flags)]

    def finetune(self, folder: Path, *flags: object) -> Run:
        """Trains in this process; fails the test where the command fails."""
        return run_finetune(self.module, folder, self.arguments(folder, *flags))

    def predicted(self, folder: Path) -> list[str]:
        """The words of a `predict`."""
        return ["predict", str(folder), self.input_flag, *self.inputs]


def text(tiny_bert: Path, reviews: Path) -> Case:
    """A BERT of two layers."""
    flags = ("--model", tiny_bert)
    return Case(
        "text", "zoo.nlp.bert_cls", reviews, flags, "--text", ("a fine film",), small_budget=100
    )


def vision(images: Path) -> Case:
    """A convolutional network; batch norm would depend on the batch by nature."""
    flags = ("--norm", "group", "--widths", 8, 16, "--cnn_dropout", 0.1)
    flags += ("--rotation", 20, "--noise", 0.05)
    inputs = (str(images / "test"),)
    return Case(
        "vision", "zoo.vision.cnn_cls", images, flags, "--image", inputs, small_budget=5 * SIDE**2
    )


def segmentation(masked_images: Path) -> Case:
    """A U-Net of two scales; batch norm would depend on the batch by nature."""
    flags = ("--norm", "group", "--widths", 8, 16, "--unet_dropout", 0.1, "--image_size", 16)
    flags += ("--rotation", 20, "--noise", 0.05, "--dice_weight", 0.5)
    flags += ("--class_weights", "balanced", "--mosaic", 0.5, "--zoom_out", 1.5)
    inputs = (str(masked_images / "test" / "images"),)
    module = "zoo.vision.unet_seg"
    return Case(
        "segmentation", module, masked_images, flags, "--image", inputs, small_budget=5 * 16**2
    )


def detection(boxed_images: Path) -> Case:
    """An FCOS on a narrow ResNet; batch norm would depend on the batch by nature."""
    flags = ("--norm", "group", "--widths", 8, 8, 8, 8, "--hidden_size", 16, "--head_layers", 1)
    flags += ("--image_size", 32, "--rotation", 20, "--noise", 0.05, "--mosaic", 0.5)
    inputs = (str(boxed_images / "test"),)
    module = "zoo.vision.fcos_det"
    return Case("detection", module, boxed_images, flags, "--image", inputs, small_budget=5 * 32**2)


def density(images: Path) -> Case:
    """A variational autoencoder, whose every view has noise of its own."""
    flags = ("--widths", 8, "--latent_size", 4, "--augment", "default", "--noise", 0.05)
    inputs = (str(images / "test"),)
    budget = 5 * SIDE**2
    module = "zoo.vision.vae"
    return Case("density", module, images, flags, "--image", inputs, EXACT, budget, "pretrain")


def diffusion(images: Path) -> Case:
    """A diffusion model of labels, some of which are hidden; times and noise are random."""
    flags = ("--widths", 8, 8, "--augment", "default", "--noise", 0.05)
    budget = 5 * SIDE**2
    module = "zoo.vision.ddpm"
    return Case("diffusion", module, images, flags, "--samples", ("3",), EXACT, budget, "pretrain")


def table(people: Path) -> Case:
    """A perceptron on rows, some of which lack a number."""
    flags = ("--hidden_sizes", 16, 8, "--mlp_dropout", 0.1)
    inputs = ('{"age of person": 30, "城市": "Rome", "size": null}',)
    module = "zoo.tabular.mlp_tab"
    return Case("table", module, people, flags, "--row", inputs, small_budget=10)


def sound(sounds: Path) -> Case:
    """A keyword network."""
    flags = ("--sampling_rate", RATE, "--num_mel_bins", 16, "--hidden_size", 16)
    flags += ("--num_layers", 1, "--freq_mask", 3)
    inputs = (str(sounds / "test"),)
    return Case("sound", "zoo.speech.kws_cls", sounds, flags, "--audio", inputs, small_budget=2)


def speech(utterances: Path) -> Case:
    """A Conformer of one layer."""
    flags = ("--sampling_rate", RATE, "--num_mel_bins", 16, "--hidden_size", 16)
    flags += ("--num_layers", 1, "--num_heads", 2, "--kernel_size", 3, "--freq_mask", 3)
    inputs = (str(utterances / "test"),)
    return Case(
        "speech", "zoo.speech.conformer_ctc", utterances, flags, "--audio", inputs, small_budget=4
    )


MAKERS: dict[str, tuple[Callable[..., Case], tuple[str, ...]]] = {
    "text": (text, ("tiny_bert", "reviews")),
    "vision": (vision, ("images",)),
    "segmentation": (segmentation, ("masked_images",)),
    "detection": (detection, ("boxed_images",)),
    "density": (density, ("images",)),
    "diffusion": (diffusion, ("images",)),
    "table": (table, ("people",)),
    "sound": (sound, ("sounds",)),
    "speech": (speech, ("utterances",)),
}
"""What makes each case, and the fixtures it is made of."""
QUICK = ("text", "vision", "speech")
"""One of each domain; the others, which train alike, are for the slow suite."""


def params(*left_out: str) -> list[Any]:
    """Values of the fixture `case`: all cases, but those that a test is not for."""
    kept = [name for name in MAKERS if name not in left_out]
    return [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in kept]


def made(request: pytest.FixtureRequest, name: str) -> Case:
    """A case with its fixtures."""
    make, parts = MAKERS[name]
    return make(*(request.getfixturevalue(part) for part in parts))


def write_images(folder: Path) -> None:
    """SPLIT/LABEL/*.png: bars, dots and rings, grey ones among those in colour."""
    from PIL import Image

    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    shapes = {"bar": abs(x) < 2, "dot": x**2 + y**2 < 8, "ring": abs(np.hypot(x, y) - 4) < 1}
    for split, size in SIZES.items():
        for i, name in zip(range(size), itertools.cycle(shapes)):
            light = np.where(shapes[name], 200.0, 40.0)[..., None] + rng.normal(
                0, 20, (SIDE, SIDE, 1)
            )
            tint = np.ones(1) if i % 4 == 0 else rng.uniform(0.6, 1.2, 3)
            pixels = (light * tint).clip(0, 255).astype(np.uint8)
            file = folder / split / name / f"{i:03}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[..., 0] if i % 4 == 0 else pixels).save(file)


def write_masks(folder: Path) -> None:
    """SPLIT/images/*.png and SPLIT/masks/*.png: a square or a disc on grey or coloured ground; the
    masks have a palette, and pixels that do not count around each thing."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for split, size in {"train": 64, "validation": 16, "test": 16}.items():
        for kind in ("images", "masks"):
            (folder / split / kind).mkdir(parents=True)
        for i in range(size):
            height, width = (SIDE, SIDE + 4) if i % 2 else (SIDE + 8, SIDE)
            y, x = np.mgrid[:height, :width]
            row, column = rng.integers(4, height - 4), rng.integers(4, width - 4)
            far = np.stack([abs(y - row), abs(x - column)])
            distance = far.max(0) if i % 3 else np.hypot(*far)
            mask = np.where(distance < 3, 1 + (i % 3 == 0), 0).astype(np.uint8)
            light = np.where(mask > 0, 200.0, 40.0) + rng.normal(0, 20, (height, width))
            tint = np.ones(3) if i % 4 == 0 else rng.uniform(0.6, 1.2, 3)
            pixels = (light[..., None] * tint).clip(0, 255).astype(np.uint8)
            image = Image.fromarray(pixels[..., 0] if i % 4 == 0 else pixels)
            image.save(folder / split / "images" / f"{i:03}.png")
            mask[(distance >= 3) & (distance < 3.5)] = 255
            drawn = Image.fromarray(mask, "P")
            drawn.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, *[99] * 759])
            drawn.save(folder / split / "masks" / f"{i:03}.png")


def write_boxes(folder: Path) -> None:
    """SPLIT/*.png and SPLIT/metadata.jsonl: none to two squares or discs on grey or coloured
    ground, with their boxes as COCO has them."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for split, size in {"train": 64, "validation": 16, "test": 16}.items():
        (folder / split).mkdir(parents=True)
        lines = []
        for i in range(size):
            height, width = (24, 32) if i % 2 else (32, 20)
            y, x = np.mgrid[:height, :width]
            light, boxes, names = np.full((height, width), 40.0), [], []
            for part in range(i % 3):  # one in the upper half, one in the lower
                radius, row = rng.integers(3, 6), height // 4 + part * height // 2
                column = rng.integers(radius, width - radius)
                far = np.stack([abs(y - row), abs(x - column)])
                name = ("square", "disc")[rng.integers(2)]
                light[(far.max(0) if name == "square" else np.hypot(*far)) <= radius] = 200.0
                boxes.append([int(column - radius), int(row - radius), *[int(2 * radius + 1)] * 2])
                names.append(name)
            light += rng.normal(0, 20, (height, width))
            tint = np.ones(3) if i % 4 == 0 else rng.uniform(0.6, 1.2, 3)
            pixels = (light[..., None] * tint).clip(0, 255).astype(np.uint8)
            image = Image.fromarray(pixels[..., 0] if i % 4 == 0 else pixels)
            image.save(folder / split / f"{i:03}.png")
            objects = {"bbox": boxes, "category": names}
            lines.append(json.dumps({"file_name": f"{i:03}.png", "objects": objects}))
        (folder / split / "metadata.jsonl").write_text("\n".join(lines))


def write_sounds(folder: Path) -> None:
    """SPLIT/LABEL/*.wav: tones that rise, fall or stay, from 0.15 to 0.5 s long."""
    import soundfile

    rng = np.random.default_rng(0)
    bends = {"falling": -1.0, "level": 0.0, "rising": 1.0}
    for split, size in SIZES.items():
        for i, (name, bend) in zip(range(size), itertools.cycle(bends.items())):
            seconds = rng.uniform(0.15, 0.5)
            t = np.arange(int(seconds * RATE)) / RATE
            octaves = bend * (t / seconds - 0.5)
            wave = np.sin(2 * np.pi * np.cumsum(rng.uniform(400, 1500) * 2.0**octaves) / RATE)
            file = folder / split / name / f"{i:03}.wav"
            file.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(file, 0.3 * wave + rng.normal(0, 0.01, len(t)), RATE)


def write_utterances(folder: Path) -> None:
    """SPLIT/metadata.csv with file_name and transcription: a tone a letter, 2 to 5 letters."""
    import soundfile

    rng, chosen = np.random.default_rng(0), random.Random(0)
    t = np.arange(int(LETTER_SECONDS * RATE)) / RATE
    for split, size in SPEECH_SIZES.items():
        (folder / split).mkdir(parents=True)
        with (folder / split / "metadata.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("file_name", "transcription"))
            for i in range(size):
                said = "".join(chosen.choices([*LETTERS], k=2 + i % 4))
                tones = [np.sin(2 * np.pi * LETTERS[c] * t) * np.hanning(len(t)) for c in said]
                wave = 0.3 * np.concatenate(tones)
                wave += rng.normal(0, 0.01, len(wave))
                soundfile.write(folder / split / f"{i:03}.wav", wave, RATE)
                writer.writerow((f"{i:03}.wav", said))


def write_people(folder: Path) -> None:
    """SPLIT.csv: a number that some rows lack, a category and a number of noise, to a label."""
    chosen = random.Random(0)
    for split, size in SIZES.items():
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("age of person", "城市", "size", "label"))
            for i in range(size):
                age, city = chosen.uniform(18, 80), chosen.choice(["Rome", "Bonn", "东京"])
                label = "old" if age > 50 else city
                shown = f"{age:.1f}" if i % 7 else ""
                writer.writerow((shown, city, f"{chosen.gauss(170, 10):.1f}", label))
