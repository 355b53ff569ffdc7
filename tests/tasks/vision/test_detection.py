"""The task of detection: classes by name, batches with and without boxes, and what it says."""

import io
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from tasks.base import Evaluated
from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.metrics.detection import TrueBoxes
from tasks.randomness import EpochView
from tasks.vision.box_features import places_of
from tasks.vision.boxes import Boxes
from tasks.vision.detection import Args, Detection, from_config, from_data

PROCESSOR = SimpleNamespace(
    size={"height": 64, "width": 64},
    image_mean=(0.5, 0.5, 0.5),
    image_std=(0.5, 0.5, 0.5),
    strides=[8, 16, 32],
    resize_mode="pad",
    background="black",
)
TASK = Detection(Args(), ("cat", "dog")).bind_for_training(PROCESSOR, 64**2)


def split_of(
    names: list[str], rows: list[list[tuple[list[float], int]]], orientation: int = 1
) -> datasets.Dataset:
    """Grey images of 40 x 20 pixels with boxes and classes, turned as EXIF has it."""
    content = io.BytesIO()
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.new("RGB", (40, 20), "gray").save(content, "PNG", exif=exif)
    objects = [
        {
            "bbox": [box for box, _ in row],
            "category": [label for _, label in row],
            "iscrowd": [False] * len(row),
            "area": [1.0] * len(row),
        }
        for row in rows
    ]
    features = datasets.Features(
        {
            "media": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")},
            "objects": {
                "bbox": datasets.List(datasets.List(datasets.Value("float64"))),
                "category": datasets.List(datasets.ClassLabel(names=names)),
                "iscrowd": datasets.List(datasets.Value("bool")),
                "area": datasets.List(datasets.Value("float64")),
            },
        }
    )
    media = [{"bytes": content.getvalue(), "path": None}] * len(rows)
    return datasets.Dataset.from_dict({"media": media, "objects": objects}, features)


BOX = [10.0, 5.0, 30.0, 15.0]
ROWS: list[Any] = [[(BOX, 1), ([0.0, 0, 8, 8], 0)], [], [(BOX, 0)]]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    features = TASK.features(split_of(["cat", "dog"], ROWS), "detection")
    return features.__getitems__([0, 1, 2])


def test_boxes_are_moved_with_the_image_and_the_truth_is_not(rows) -> None:
    batch = TASK.collate(rows)
    assert batch.inputs["pixel_values"].shape == (3, 3, 64, 64)
    # 40 x 20 pixels become 64 x 32, in the middle of the height
    assert batch.targets["boxes"][0][0].tolist() == pytest.approx([16, 24, 48, 40])
    assert batch.targets["boxes"][1].shape == (0, 4) and batch.targets["labels"][1].shape == (0,)
    assert batch.targets["sizes"].tolist() == [[20, 40]] * 3
    truth = TASK.references(batch)
    assert truth[0].boxes.tolist() == [BOX, [0, 0, 8, 8]] and truth[0].labels.tolist() == [1, 0]


def test_classes_are_known_by_name_whatever_their_order() -> None:
    other = split_of(["dog", "bird", "cat"], [[(BOX, 0), (BOX, 2)]])
    assert places_of(other, TASK.labels, "test").tolist() == [1, -1, 0]
    (row,) = TASK.features(other, "other").__getitems__([0])
    assert row["labels"].tolist() == [1, 0]
    strange = split_of(["dog", "bird"], [[(BOX, 1)]])
    with pytest.raises(UserError, match="test has boxes of the class 'bird', and the model was"):
        places_of(strange, TASK.labels, "test")


def test_a_sample_looks_the_same_alone_and_among_others(rows) -> None:
    view = EpochView(seed=3, epoch=1)
    seen = [row | {"view": view} for row in rows]
    together = TASK.collate(seen).inputs["pixel_values"]
    for i, row in enumerate(seen):
        assert torch.equal(TASK.collate([row]).inputs["pixel_values"][0], together[i])
    assert not torch.equal(together, TASK.collate(rows).inputs["pixel_values"])
    later = [row | {"view": EpochView(seed=3, epoch=2)} for row in rows]
    assert not torch.equal(together, TASK.collate(later).inputs["pixel_values"])


def test_what_a_checkpoint_records_is_read_again() -> None:
    assert from_config(TASK.config()) == TASK
    assert "threshold" not in TASK.config()
    assert TASK.args.resize == "pad" and TASK.strides == (8, 16, 32)


def test_cropped_images_would_lose_what_is_to_be_found() -> None:
    with pytest.raises(UserError, match="`resize` crop cuts things off"):
        Args(resize="crop")


def found(*boxes: tuple[list[float], float, int]) -> Boxes:
    corners, scores, labels = zip(*boxes, strict=True) if boxes else ((), (), ())
    return Boxes(
        np.array(corners, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(labels, np.int64),
    )


def test_json_has_what_is_above_the_threshold() -> None:
    boxes = found((BOX, 0.91236, 1), ([0, 0, 8, 8], 0.4, 0))
    assert TASK.to_json(boxes) == {"labels": ["dog"], "scores": [0.9124], "boxes": [BOX]}
    assert TASK.to_json(found()) == {"labels": [], "scores": [], "boxes": []}
    every = replace(TASK, threshold=0.0)
    assert every.to_json(boxes)["labels"] == ["dog", "cat"]
    assert every.to_json(boxes, top_k=1)["labels"] == ["dog"]


def test_an_image_is_wrong_where_other_things_are_found_or_elsewhere() -> None:
    truth = [
        TrueBoxes(np.array([BOX]), np.array([1]), np.array([False]), np.array([200.0]))
        for _ in range(4)
    ]
    guesses = [
        found((BOX, 0.9, 1)),
        found((BOX, 0.9, 0)),
        found(([0, 0, 5, 5], 0.9, 1)),
        found((BOX, 0.3, 1)),
    ]
    loss = SimpleNamespace(terms=torch.tensor([1.0, 2.0, 3.0, 4.0]))
    batch: Any = SimpleNamespace(ids=torch.arange(4))
    errors = TASK.errors(Evaluated(batch, {}, loss, guesses, truth))
    assert [(sample, said) for _, sample, _, said in errors] == [
        (1, "1 cat"),
        (2, "1 dog (1 elsewhere)"),
        (3, "nothing"),
    ]


def test_what_is_found_in_a_crowd_of_its_class_is_no_mistake() -> None:
    crowd, inside = [0.0, 0, 40, 20], [2.0, 2, 8, 8]
    many = TrueBoxes(np.array([crowd]), np.array([1]), np.array([True]), np.array([800.0]))
    both = TrueBoxes(
        np.array([crowd, BOX]), np.array([1, 1]), np.array([True, False]), np.array([800.0, 200])
    )
    truth = [many, many, both, both]
    guesses = [
        found((inside, 0.9, 1)),
        found((inside, 0.9, 0)),  # of another class
        found((BOX, 0.9, 1), (inside, 0.8, 1)),
        found((inside, 0.9, 1)),
    ]
    loss = SimpleNamespace(terms=torch.ones(4))
    batch: Any = SimpleNamespace(ids=torch.arange(4))
    errors = TASK.errors(Evaluated(batch, {}, loss, guesses, truth))
    assert [one[1:] for one in errors] == [(1, "nothing", "1 cat"), (3, "1 dog", "nothing")]


def test_variations_of_images_that_are_left_as_they_are_are_refused() -> None:
    for more in ({"mosaic": 0.5}, {"zoom_out": 2.0}):
        with pytest.raises(UserError, match="`augment` none leaves images as they are"):
            from_data(Args(augment="none", **more), DataArgs())


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"mixup": 0.2}, "`mixup` and `cutmix` blend labels of images; with boxes give `mosaic`"),
        ({"augment": "randaugment"}, "`augment` randaugment moves things away from their boxes"),
        ({"padding": "reflection"}, "`padding` reflection shows things without their boxes"),
    ],
)
def test_what_boxes_could_not_follow_is_refused(args: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Args(**args)


def test_boxes_follow_what_is_done_to_their_image() -> None:
    """Where a picture has one bright thing, its box is around what is bright."""
    task = replace(TASK, args=replace(TASK.args, rotation=30.0, crop_scale=0.5, mosaic=0.5))
    pixels = np.zeros((40, 40, 1), np.uint8)
    pixels[10:20, 8:24] = 255
    content = io.BytesIO()
    Image.fromarray(pixels[..., 0]).save(content, "PNG")
    split = split_of(["cat", "dog"], [[([8.0, 10, 24, 20], 1)]] * 8)
    media = [{"bytes": content.getvalue(), "path": None}] * 8
    split = split.remove_columns("media").add_column(
        "media", media, feature=split.features["media"]
    )
    seen = task.features(split, "bright").view(EpochView(seed=1, epoch=1))
    rows = seen.__getitems__(range(8))
    assert any("partners" in row for row in rows) and any("partners" not in row for row in rows)
    batch = task.collate(rows)
    bright = batch.inputs["pixel_values"][:, 0] > 0
    assert sum(map(len, batch.targets["boxes"])) >= 8
    for image, boxes in zip(bright, batch.targets["boxes"], strict=True):
        covered = torch.zeros_like(image)
        for x0, y0, x1, y1 in boxes.round().int().tolist():
            assert image[y0:y1, x0:x1].float().mean() > 0.2  # turned boxes are larger
            covered[max(0, y0 - 1) : y1 + 1, max(0, x0 - 1) : x1 + 1] = True
        outside = (image & ~covered).sum()
        assert outside <= 0.25 * image.sum()  # of things of which too little is left
