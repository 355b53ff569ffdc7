"""Checks of boxes before training: which are too small to be learned."""

from typing import Any

import numpy as np
import pytest
import torch

from tasks.base import Examples
from tasks.vision import box_preflight, points
from tests.tasks.vision.test_detection import BOX, TASK, split_of


def findings(rows: list[Any], orientation: int = 1) -> list[str]:
    split = split_of(["cat", "dog"], rows, orientation)
    examples = Examples({"train": split}, "boxes", "none")
    found = TASK.preflight(examples, {"train": TASK.features(split, f"{rows}")}, torch.nn.ReLU())
    return [one.message for one in found if "boxes" in one.message]


def test_boxes_that_no_point_lies_in_are_told() -> None:
    assert findings([[(BOX, 1)], [], [(BOX, 0)]]) == []
    assert findings([[(BOX, 1), ([8.5, 1, 11, 4], 0)], []]) == [
        "train: 1 of 2 boxes are so small at 64 x 64 that they lie between the points of the model,"
        " 8 pixels apart, and are not learned: give a larger `image_size`"
    ]


@pytest.mark.parametrize("orientation", range(2, 9))
def test_images_that_exif_turns_are_told(orientation: int) -> None:
    [told] = findings([[(BOX, 1)], []], orientation)
    assert told.startswith("train: 2 of 2 images, such as row 1, are turned by their EXIF data")


def test_they_are_those_that_no_point_learns() -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 56, (200, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 8, (200, 2))], 1).astype(np.float32)
    grid = points.grid(64, 64, [8, 16], torch.zeros(1))
    learned = [
        bool((points.assign(grid, [8, 16], [one[None]], [torch.zeros(1, dtype=torch.int64)],
                            [torch.zeros(1, dtype=torch.bool)]).classes >= 0).any())
        for one in torch.from_numpy(boxes)
    ]  # fmt: skip
    reached = box_preflight.reached(boxes, 8)
    assert reached.tolist() == learned and 0 < reached.sum() < 200
