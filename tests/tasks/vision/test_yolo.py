"""YOLO's files: where labels lie, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.vision import box_files
from tests.box_data import BOXES, found, images, write, yolo_lines


def load(path: Path) -> Any:
    return box_files.load(DataArgs(data=str(path))).splits["train"]


def folder(root: Path, lines: str = yolo_lines(BOXES["a"]), classes: str = "cat\ndog") -> Path:
    images(root / "images", ["a"])
    write(root / "labels" / "a.txt", lines)
    write(root / "classes.txt", classes)
    return root


def test_an_outline_is_its_box(tmp_path: Path) -> None:
    folder(tmp_path, "1 0.25 0.2 0.5 0.2 0.75 0.6\n")
    assert found(load(tmp_path)) == {"a": [("dog", (10, 6, 30, 18))]}


def test_what_has_no_other_half_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder(tmp_path)
    images(tmp_path / "images", ["b", "c"])
    write(tmp_path / "labels" / "gone.txt", "0 0.5 0.5 1 1\n")
    assert found(load(tmp_path)) == {"a": BOXES["a"], "b": [], "c": []}
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("warning: 2 images without a file of labels, taken to have no")
    assert told[1].startswith("warning: 1 files of labels without an image, left out; the first is")
    assert told[1].endswith("gone.txt") and len(told) == 2


def test_a_list_of_files(tmp_path: Path) -> None:
    folder(tmp_path)
    images(tmp_path / "images", ["b"])
    write(tmp_path / "train.txt", "./images/a.jpg\n\n")
    write(tmp_path / "d.yaml", "train: train.txt\nnames: [cat, dog]")
    assert found(load(tmp_path / "d.yaml")) == {"a": BOXES["a"]}
    write(tmp_path / "train.txt", "./images/a.jpg\n\n./images/z.jpg")
    with pytest.raises(UserError, match=r"train.txt, line 2 names ./images/z.jpg, which is not"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("0 20 15 10 8", "a.txt, line 1: 20 is more than 1: .* are shares of the image's sides"),
        ("\n2 .5 .5 .1 .1", "a.txt, line 2 is of class 2; there are 0 to 1"),
        ("0.5 .5 .5 .1 .1", "is of class 0.5"),
        ("cat .5 .5 .1 .1", "are not numbers"),
        ("0 .5 .5 .1", "line 1 has 4 numbers: they are class, centre x"),
        ("0 .5 .5 .1 .1 .9", "line 1 has 6 numbers"),
        ("0 .5 .5 nan .1", "is not finite"),
        ("0 .5 .5 -.1 .1", "width and height must be more than 0"),
        ("0 .5 .5 0 .1", "has no area"),
        ("0 .9 .5 .5 .1", "lies outside of its image of 40 x 30"),
    ],
)
def test_bad_lines(lines: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        load(folder(tmp_path, lines))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("train: images\nnames: []", "names no classes"),
        ("train: images\nnames: {1: cat, 2: dog}", "the keys of names must be 0 to 1"),
        ("train: images\nnames: [cat, cat]", "class 1 has the name of another"),
        ("train: /images\nnames: [cat, dog]", "train is /images: it must be a path below"),
        ("train: a/../../x\nnames: [cat, dog]", "it must be a path below"),
        ("train: imgs\nnames: [cat, dog]", "train is imgs, and there are no images in"),
        ("train: 7\nnames: [cat, dog]", "train must be a folder of images"),
        ("names: [cat\n", "is no YAML"),
        ("names: !!python/object/apply:os.system ['true']", "is no YAML"),
    ],
)
def test_bad_settings(settings: str, message: str, tmp_path: Path) -> None:
    folder(tmp_path)
    write(tmp_path / "data.yaml", settings)
    with pytest.raises(UserError, match=message):
        load(tmp_path / "data.yaml")


def test_labels_without_a_list_of_classes(tmp_path: Path) -> None:
    (folder(tmp_path) / "classes.txt").unlink()
    with pytest.raises(UserError, match="no list of their classes: put a"):
        load(tmp_path)


def test_a_broken_image_is_left_to_who_decodes_it(tmp_path: Path) -> None:
    """Shares of a size that nobody knows are no boxes."""
    folder(tmp_path)
    images(tmp_path / "images", ["b"])
    write(tmp_path / "labels" / "b.txt", yolo_lines(BOXES["b"]))
    (tmp_path / "images" / "a.jpg").write_bytes(b"\xff\xd8\xff")
    rows = {Path(row["media"]["path"]).stem: row["objects"]["bbox"] for row in load(tmp_path)}
    assert rows["a"] == [] and len(rows["b"]) == len(BOXES["b"])
