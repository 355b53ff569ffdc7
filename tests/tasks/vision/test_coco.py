"""COCO's annotations: what is cut, what is left out, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks import json_stream
from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.vision import box_files
from tests import box_data
from tests.box_data import images, write, write_json


def load(root: Path, value: Any) -> Any:
    images(root / "images")
    path = write_json(root / "annotations" / "instances_train.json", value)
    return box_files.load(DataArgs(data=str(path))).splits["train"]


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    value = box_data.coco()
    change(value)
    return value


def test_crowds_and_areas(tmp_path: Path) -> None:
    value = box_data.coco()
    value["annotations"][0] |= {"iscrowd": 1, "segmentation": {"counts": [5, 9], "size": [30, 40]}}
    value["annotations"][1].pop("area")
    objects = load(tmp_path, value)[0]["objects"]
    assert objects["iscrowd"] == [True, False] and objects["area"] == [50, 400]


def test_what_is_cut_and_left_out_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = box_data.coco()
    value["annotations"][0]["bbox"] = [-3, 4, 20, 10]
    value["annotations"][1]["bbox"] = [20, 10, 0, 5]
    value["annotations"][2]["bbox"] = [39, 29, 1.5, 1.4]  # rounding
    value["images"].append({"id": 9, "file_name": "gone.jpg"})
    value["annotations"].append({"id": 9, "image_id": 9, "category_id": 3, "bbox": [0, 0, 1, 1]})
    images(tmp_path / "images", ["unnamed"])
    split = load(tmp_path, value)
    assert [row["bbox"] for row in split["objects"]] == [[[0, 4, 17, 14]], [[39, 29, 40, 30]], []]
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 4
    for line, words in zip(
        told,
        (
            "warning: 1 images that annotations name and that are not there, left out; the first",
            "warning: 1 boxes that reach out of their image, cut at its edge; the first is",
            "warning: 1 boxes of no area in their image, left out; the first is",
            "warning: 1 images that no annotation names, left out; the first is",
        ),
        strict=True,
    ):
        assert line.startswith(words)
    assert "instances_train.json, annotation 0" in told[1]
    assert told[3].endswith("unnamed.jpg")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v["annotations"][1].update(category_id=4), "annotation 1 is of category 4, wh"),
        (lambda v: v["annotations"][1].update(image_id=44), "annotation 1 is of image 44, which"),
        (lambda v: v["annotations"][1].update(bbox=[5, 5, -2, 3]), "annotation 1: .* is reversed"),
        (lambda v: v["annotations"][1].update(bbox=[5, 5, float("nan"), 3]), "is not finite"),
        (lambda v: v["annotations"][1].update(bbox=None), "annotation 1: bbox must be 4 numbers"),
        (lambda v: v["annotations"][1].update(bbox=["1", 2, 3, 4]), "bbox must be 4 numbers"),
        (lambda v: v["annotations"][1].update(image_id=[1]), r"is of image \[1\], which"),
        (lambda v: v["annotations"][1].update(bbox=[10**400, 1, 2, 3]), "is not finite"),
        (lambda v: v["images"][1].update(width="40"), "height and width must be 2 numbers"),
        (lambda v: v["annotations"].append(7), "an entry of annotations is '7', and no object"),
        (lambda v: v["images"][1].update(id=0), "image 0 stands there twice"),
        (lambda v: v["images"][1].update(width=41), "are of an image of 41 x 30, and .*b.jpg has"),
        (lambda v: v["images"][1].update(width=30, height=40), "turned by its EXIF data"),
        (lambda v: v["images"][1].update(file_name="../b.jpg"), "it must be a path below"),
        (lambda v: v["images"][1].update(file_name="/etc/b.jpg"), "it must be a path below"),
        (lambda v: v["images"][1].pop("file_name"), "image 1 names no file"),
        (lambda v: v["categories"][0].update(name="cat"), "the name 'cat' of another"),
        (lambda v: v.pop("categories"), "has no categories: COCO's annotations have images"),
        (
            lambda v: [image.update(file_name="x") for image in v["images"]],
            "none of its first images",
        ),
    ],
)
def test_what_is_refused(change: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        load(tmp_path, changed(change))


def test_two_files_of_a_split(tmp_path: Path) -> None:
    images(tmp_path)
    for name in ("instances_train.json", "instances_train_old.json"):
        write_json(tmp_path / "annotations" / name, box_data.coco())
    with pytest.raises(UserError, match="are both annotations of train: name one file"):
        box_files.load(DataArgs(data=str(tmp_path)))


def test_splits_of_other_categories(tmp_path: Path) -> None:
    images(tmp_path)
    write_json(tmp_path / "annotations" / "train.json", box_data.coco())
    value = changed(lambda v: v["categories"][0].update(name="cow"))
    write_json(tmp_path / "annotations" / "test.json", value)
    with pytest.raises(UserError, match="has other categories than"):
        box_files.load(DataArgs(data=str(tmp_path)))


@pytest.mark.parametrize("piece", [1, 7, 2**22])
def test_a_file_is_read_entry_by_entry(
    piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "PIECE", piece)
    text = ' {"a": [1234, {"b": [1, 2]}, "x]"], "c": {"d": null}, "e": [], "f": -12.5e3 } \n'
    found = list(json_stream.entries(write(tmp_path / "x.json", text)))
    assert found == [
        ("a", 1234),
        ("a", {"b": [1, 2]}),
        ("a", "x]"),
        ("c", {"d": None}),
        ("f", -12500),
    ]


@pytest.mark.parametrize(
    "text",
    ["", "[1]", '{"a": [1, }', '{"a": [1 2]}', '{"a" 1}', '{1: 2}', '{"a": 1} x', '{"a": [1',
     '{"images": ' + "[" * 100_000, '{"a": 1,,}', '{"a": nope}'],
)  # fmt: skip
def test_what_is_no_json(text: str, tmp_path: Path) -> None:
    path = write(tmp_path / "x.json", text)
    with pytest.raises(ValueError):
        list(json_stream.entries(path))


def test_an_entry_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "PIECE", 100)
    monkeypatch.setattr(json_stream, "LONGEST", 1000)
    with pytest.raises(ValueError, match="more than 1,000 characters"):
        list(json_stream.entries(write(tmp_path / "x.json", '{"a": "' + "x" * 5000 + '"}')))
