"""Boxes drawn over an image."""

import io

import numpy as np
from PIL import Image

from tasks.vision import box_drawing
from tasks.vision.class_table import palette


def drawn(reading: dict, names: tuple[str, ...] = ("cat", "猫"), channels: int = 1) -> np.ndarray:
    image = np.full((300, 400, channels), 200, np.uint8)
    return np.asarray(Image.open(io.BytesIO(box_drawing.png(image, reading, names))))


def test_nothing_found_is_the_image() -> None:
    whole = drawn({"boxes": [], "labels": [], "scores": []})
    assert whole.shape == (300, 400, 3) and (whole == 200).all()


def test_the_surest_lies_on_top_in_the_colour_of_its_class() -> None:
    boxes = [[100.0, 100.0, 200.0, 200.0], [100.0, 100.0, 200.0, 200.0]]
    whole = drawn({"boxes": boxes, "labels": ["猫", "cat"], "scores": [0.9, 0.5]}, channels=3)
    assert tuple(whole[150, 100]) == tuple(whole[199, 199]) == palette(3)[2]
    assert (whole[110:190, 110:190] == 200).all() and (whole[:, 210:] == 200).all()


def test_text_stays_in_the_image_and_other_scripts_are_numbers() -> None:
    boxes = [[380.0, 0.0, 400.0, 20.0]]
    whole = drawn({"boxes": boxes, "labels": ["猫"], "scores": [0.9]})
    numbered = drawn({"boxes": boxes, "labels": ["#1"], "scores": [0.9]}, ("cat", "#1"))
    assert np.array_equal(whole, numbered)
    ground = (whole == palette(3)[2]).all(2)
    assert ground[2, 340:398].sum() > 30  # moved to the left of the box, and inside at the top
