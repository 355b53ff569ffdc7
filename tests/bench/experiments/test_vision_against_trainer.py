"""What Trainer is given to train on is what the zoo trains on."""

from pathlib import Path

import pytest
import torch

import tasks  # noqa: F401  (torchvision may need our guard)
from bench.experiments.vision_against_trainer import Images, plain_transform, training_transform
from tasks.data.source import DataArgs
from tasks.vision import image_classification as images
from tests.media import png_bytes


@pytest.fixture(scope="module")
def task() -> images.ImageClassification:
    return images.ImageClassification(
        images.Args(hflip="on"), ("cat", "dog"), "single_label_classification", size=8
    )


def test_plain_images_are_the_tasks_own(tmp_path: Path, task: images.ImageClassification) -> None:
    import datasets

    content = [png_bytes(shade) for shade in (0, 100, 255)]
    split = datasets.Dataset.from_dict(
        {"media": [{"bytes": b, "path": None} for b in content], "label": [0, 1, 0]}
    )
    theirs = Images(split, plain_transform(task))
    features = task.features(split, "key")
    batch = task.collate(features.__getitems__([0, 1, 2]))
    assert len(theirs) == 3 and [theirs[i]["labels"] for i in range(3)] == [0, 1, 0]
    stacked = torch.stack([theirs[i]["pixel_values"] for i in range(3)])
    assert torch.allclose(stacked, batch.inputs["pixel_values"], atol=0.02)


def test_training_images_vary(task: images.ImageClassification) -> None:
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    transform = training_transform(task)
    seen = torch.stack([transform(Image.fromarray(noise)) for _ in range(20)])
    assert seen.shape == (20, 3, 8, 8) and seen.dtype == torch.float32
    assert seen.min() >= -1 and seen.max() <= 1 and len(torch.unique(seen, dim=0)) == 20


def test_the_same_splits_and_first_weights() -> None:
    """from_data and make are called as the zoo calls them; the data of the digits stand in."""
    _, first = images.from_data(images.Args(), DataArgs(max_train_samples=100))
    _, second = images.from_data(images.Args(), DataArgs(max_train_samples=100))
    assert first.fingerprint == second.fingerprint
    assert first.splits["train"]["label"] == second.splits["train"]["label"]
