"""The embedded scenes: the same bytes everywhere, with boxes and masks that are exact."""

import io

import datasets
import numpy as np
import pytest
from PIL import Image

from tasks.data import fingerprint
from tasks.vision.embedded import scenes

ROWS = 40
DIGITS = scenes._digits()


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> datasets.DatasetDict:
    """The splits, cut to a few rows: a row does not depend on how many there are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("zoo")))
        patch.setattr(scenes, "SIZES", dict.fromkeys(scenes.SIZES, ROWS))
        scenes.load()
        return scenes.load()  # out of its copy


def pixels(media: dict) -> np.ndarray:
    assert media["path"] is None
    return np.asarray(Image.open(io.BytesIO(media["bytes"])))


def test_the_columns(splits: datasets.DatasetDict) -> None:
    assert list(splits) == ["train", "validation", "test"]
    for split in splits.values():
        assert split.column_names == ["media", "objects", "mask"] and len(split) == ROWS
        assert split.features["objects"]["category"].feature.names == list(scenes.CLASSES)
    found = {name for row in splits["train"]["objects"] for name in row["category"]}
    assert found == set(range(len(scenes.CLASSES)))


def test_boxes_areas_and_classes_are_those_of_the_mask(splits: datasets.DatasetDict) -> None:
    for row in splits["train"]:
        image, mask, objects = pixels(row["media"]), pixels(row["mask"]), row["objects"]
        assert image.shape == (96, 96, 3) and mask.shape == (96, 96)
        assert 1 <= len(objects["bbox"]) <= 5 and not any(objects["iscrowd"])
        covered = np.zeros_like(mask, bool)
        for box, category, area in zip(
            *(objects[name] for name in ("bbox", "category", "area")), strict=True
        ):
            x0, y0, x1, y1 = map(int, box)
            assert 0 <= x0 < x1 <= 96 and 0 <= y0 < y1 <= 96
            covered[y0:y1, x0:x1] = True
            own = mask[y0:y1, x0:x1] == category + 1
            assert own.sum() >= area
            # it reaches each side of its box
            assert own[0].any() and own[-1].any() and own[:, 0].any() and own[:, -1].any()
        assert not mask[~covered].any()
        totals = np.bincount(mask.ravel(), minlength=7)[1:]
        expected = np.bincount(objects["category"], objects["area"], minlength=6)
        assert (totals == expected).all()


def test_hidden_parts_are_small() -> None:
    """An object keeps most of itself, however many lie over it: it can be told what it is."""
    shares = []
    for index in range(60):
        scene = scenes.draw("train", index, DIGITS)
        sides = scene.boxes[:, 2:] - scene.boxes[:, :2]
        shares += (scene.areas / sides.prod(1)).tolist()
    assert min(shares) > 0.15 and len(shares) > 120


def test_a_scene_is_a_function_of_seed_split_and_index() -> None:
    first = scenes.draw("test", 7, DIGITS)
    again = scenes.draw("test", 7, DIGITS)
    assert (first.image == again.image).all() and (first.mask == again.mask).all()
    for other in (
        scenes.draw("test", 8, DIGITS),
        scenes.draw("train", 7, DIGITS),
        scenes.draw("test", 7, DIGITS, seed=1),
    ):
        assert (other.image != first.image).any()


def test_digits_of_test_scenes_are_in_no_other_split(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[set[float]] = []

    def record(rng: np.random.RandomState, digits: np.ndarray) -> object:
        given[-1].update(digits[:, 0, 0].tolist())
        return scenes._plus

    monkeypatch.setitem(scenes._SHAPES, "digit", record)
    numbered = np.zeros((20, 8, 8)) + np.arange(20)[:, None, None]
    for split in scenes.SIZES:
        given.append(set())
        for index in range(10):
            scenes.draw(split, index, numbered)
    train, validation, test = given
    assert test == {0, 5, 10, 15} and validation == {1, 6, 11, 16}
    assert len(train) == 12 and train.isdisjoint(test | validation)


def test_the_same_bytes_everywhere(splits: datasets.DatasetDict) -> None:
    """The fingerprint of the data a checkpoint was trained on must hold on another machine."""
    expected = "2af3ce4019e0588fd630b38de49744d27b4fb44f1f49e0aa62000a279cb9185d"
    assert fingerprint.of_examples(splits) == expected
