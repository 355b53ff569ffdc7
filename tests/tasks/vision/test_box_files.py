"""Images with boxes: the same out of every format, and one line for what is wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest

from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.vision import box_files
from tests import box_data
from tests.box_data import BOXES, found, images, voc_xml, write, write_json, yolo_lines


def load(path: Path, **options: str) -> datasets.DatasetDict:
    return box_files.load(DataArgs(data=str(path)), **options).splits


def as_coco(root: Path) -> Path:
    images(root / "train2017")
    write_json(root / "annotations" / "instances_train2017.json", box_data.coco())
    write_json(root / "annotations" / "captions_train2017.json", {"images": [], "annotations": []})
    return root


def as_coco_file(root: Path) -> Path:
    images(root / "images")
    return write_json(root / "labels.json", box_data.coco())


def as_roboflow_coco(root: Path) -> Path:
    images(root / "train")
    write_json(root / "train" / "_annotations.coco.json", box_data.coco())
    return root


def as_yolo(root: Path) -> Path:
    images(root / "images" / "train")
    for name, objects in BOXES.items():
        write(root / "labels" / "train" / f"{name}.txt", yolo_lines(objects))
    write(root / "data.yaml", "path: ../somewhere\ntrain: images/train\nnames: {0: cat, 1: dog}\n")
    return root


def as_roboflow_yolo(root: Path) -> Path:
    images(root / "train" / "images")
    for name, objects in BOXES.items():
        write(root / "train" / "labels" / f"{name}.txt", yolo_lines(objects))
    write(root / "data.yaml", "train: ../train/images\nnc: 2\nnames: [cat, dog]\n")
    return root / "data.yaml"


def as_labelimg_yolo(root: Path) -> Path:
    images(root)
    for name, objects in BOXES.items():
        write(root / f"{name}.txt", yolo_lines(objects))
    write(root / "classes.txt", "cat\ndog\n")
    return root


def as_voc(root: Path) -> Path:
    images(root / "JPEGImages")
    for name in BOXES:
        write(root / "Annotations" / f"{name}.xml", voc_xml(name))
    write(root / "ImageSets" / "Main" / "train.txt", "a\nb\nc\n")
    write(root / "ImageSets" / "Main" / "cat_train.txt", "a 1\nb -1\nc -1\n")
    return root


def as_voc_beside(root: Path) -> Path:
    images(root / "train")
    for name in BOXES:
        write(root / "train" / f"{name}.xml", voc_xml(name, first=0))
    return root


def as_table(root: Path) -> Path:
    images(root / "images")
    lines = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    lines += [
        f"images/{name}.jpg,40,30,{label},{','.join(map(str, box))}"
        for name, objects in BOXES.items()
        for label, box in objects
    ]
    return write(root / "boxes.csv", "\n".join([*lines, "images/c.jpg,40,30,,,,,"]) + "\n")


def as_metadata(root: Path) -> Path:
    images(root / "train")
    lines = [
        json.dumps(
            {
                "file_name": f"{name}.jpg",
                "objects": {
                    "bbox": [[x0, y0, x1 - x0, y1 - y0] for _, (x0, y0, x1, y1) in objects],
                    "categories": [label for label, _ in objects],
                },
            }
        )
        for name, objects in BOXES.items()
    ]
    write(root / "train" / "metadata.jsonl", "\n".join(lines))
    return root


FORMATS = [as_coco, as_coco_file, as_roboflow_coco, as_yolo, as_roboflow_yolo, as_labelimg_yolo,
           as_voc, as_voc_beside, as_table, as_metadata]  # fmt: skip


@pytest.mark.parametrize("written", FORMATS)
def test_every_format_says_the_same(
    written: Callable[[Path], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "a folder")
    splits = load(path)
    assert list(splits) == ["train"]
    assert found(splits["train"]) == BOXES
    assert splits["train"].features["objects"]["category"].feature.names == ["cat", "dog"]
    assert splits["train"].column_names == ["media", "objects"]
    assert capsys.readouterr().err == ""
    again = box_files.load(DataArgs(data=str(path)))
    assert again.fingerprint == box_files.load(DataArgs(data=str(path))).fingerprint
    assert found(again.splits["train"]) == BOXES


def test_another_box_is_another_data_set(tmp_path: Path) -> None:
    path = as_table(tmp_path)
    before = box_files.load(DataArgs(data=str(path)))
    path.write_text(path.read_text().replace("5,4,15,14", "5,4,16,14"))
    after = box_files.load(DataArgs(data=str(path)))
    assert before.fingerprint != after.fingerprint
    assert found(after.splits["train"])["a"][0] == ("cat", (5, 4, 16, 14))


def test_splits_of_every_format(tmp_path: Path) -> None:
    for split, name in (("train", "a"), ("val", "b")):
        images(tmp_path / "coco" / f"{split}2017", [name])
        write_json(
            tmp_path / "coco" / "annotations" / f"instances_{split}2017.json",
            box_data.coco([name]),
        )
        images(tmp_path / "yolo" / "images" / split, [name])
        write(tmp_path / "yolo" / "labels" / split / f"{name}.txt", yolo_lines(BOXES[name]))
        images(tmp_path / "voc" / split, [name])
        write(tmp_path / "voc" / split / f"{name}.xml", voc_xml(name))
    write(tmp_path / "yolo" / "classes.txt", "cat\ndog")
    for form in ("coco", "yolo", "voc"):
        splits = load(tmp_path / form)
        assert list(splits) == ["train", "validation"], form
        assert found(splits["validation"]) == {"b": BOXES["b"]}


def test_columns_of_the_hub(tmp_path: Path) -> None:
    """Parquet with the images, declared classes, objects as a list of mappings or by column."""
    features = datasets.Features(
        {
            "image": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")},
            "objects": [
                {"bbox": datasets.List(datasets.Value("float32"), length=4),
                 "category": datasets.ClassLabel(names=["dog", "cat"]),
                 "area": datasets.Value("int64")}
            ],
        }
    )  # fmt: skip
    rows = [
        {
            "image": {"bytes": box_data.image(tmp_path / f"{name}.png").read_bytes(),
                      "path": f"{name}.png"},
            "objects": [
                {"bbox": [x0, y0, x1 - x0, y1 - y0], "category": label, "area": 7}
                for label, (x0, y0, x1, y1) in objects
            ],
        }
        for name, objects in BOXES.items()
    ]  # fmt: skip
    data = datasets.Dataset.from_list(rows, features=features)
    (tmp_path / "data").mkdir()
    data.to_parquet(tmp_path / "data" / "train.parquet")
    split = load(tmp_path / "data")["train"]
    assert found(split) == BOXES
    assert split.features["objects"]["category"].feature.names == ["dog", "cat"]
    assert split[0]["objects"]["area"] == [7, 7] and split[0]["media"]["bytes"]


def test_how_boxes_are_written_can_be_said(tmp_path: Path) -> None:
    images(tmp_path, ["a"])
    line = {"file_name": "a.jpg", "objects": {"bbox": [[5, 4, 15, 14]], "category": [0]}}
    write(tmp_path / "metadata.jsonl", json.dumps(line))
    split = load(tmp_path, box_format="xyxy")["train"]
    assert found(split) == {"a": [("0", (5, 4, 15, 14))]}
    assert found(load(tmp_path)["train"]) == {"a": [("0", (5, 4, 20, 18))]}


def test_boxes_that_must_be_written_otherwise_are_refused(tmp_path: Path) -> None:
    """Cut at the edge, they would be boxes, too, only wrong ones."""
    images(tmp_path, ["a"])
    objects = {"bbox": [[5, 4, 15, 14], [25, 4, 35, 14], [22, 2, 39, 29]], "category": [0, 0, 0]}
    line = {"file_name": "a.jpg", "objects": objects}
    write(tmp_path / "metadata.jsonl", json.dumps(line))
    said = "`box_format` xywh: 2 of 3 boxes reach out .* xyxy; the first is .* train, object 2"
    with pytest.raises(UserError, match=said):
        load(tmp_path)
    assert len(found(load(tmp_path, box_format="xyxy")["train"])["a"]) == 3


def test_the_embedded_scenes() -> None:
    from tasks.vision.embedded import scenes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "SIZES", {"train": 2})
        patch.setattr(scenes, "RECIPE", "two")
        source = box_files.load(DataArgs())
    assert source.name == "embedded" and "mask" in source.splits["train"].column_names


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        (
            {"bbox": [[1, 2, 3]], "category": [0]},
            "row 1 of train, object 1: bbox must be 4",
        ),
        ({"bbox": [[1, 2, 3, 4]], "category": [0, 1]}, "row 1 of train has 1 boxes and 2 categ"),
        ({"bbox": [[1, 2, -3, 4]], "category": [0]}, "object 1: the box .* is reversed"),
        ({"bbox": [[1, 2, 3, 4]], "category": [True]}, "object 1 has 'True' for its category"),
        ({"bbox": 7, "category": [0]}, "objects have .*, and not bbox and category"),
        ({"bbox": [[1, 2, 3, 4]]}, "row 1 of train: objects have bbox, and not bbox and category"),
    ],
)
def test_bad_objects(objects: dict, message: str, tmp_path: Path) -> None:
    images(tmp_path, ["a"])
    write(tmp_path / "metadata.jsonl", json.dumps({"file_name": "a.jpg", "objects": objects}))
    with pytest.raises(UserError, match=message):
        load(tmp_path)


def test_a_folder_without_boxes_says_what_there_may_be(tmp_path: Path) -> None:
    images(tmp_path / "cats")
    with pytest.raises(UserError, match=r"has no boxes: there may be annotations/\*.json"):
        load(tmp_path)
    with pytest.raises(UserError, match=r"none of the images of .* has an object in it"):
        images(tmp_path / "coco", ["c"])
        load(write_json(tmp_path / "coco" / "x.json", box_data.coco(["c"]) | {"annotations": [
            {"id": 1, "image_id": 0, "category_id": 3, "bbox": [0, 0, 0, 5]}]}))  # fmt: skip


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("images/a.jpg,cat,1,2,3,x", r"line 2 has .* where four numbers should be"),
        ("images/a.jpg,cat,1,2,,", r"line 2 has .* where four numbers should be"),
        ("images/a.jpg,,1,2,3,4", "line 2 has no label"),
        ("images/z.jpg,cat,1,2,3,4", "line 2 names 'images/z.jpg', and there is no such image"),
        ("images/a.jpg,cat,9,2,3,4", r"line 2: the box \[9, 2, 3, 4\] is reversed"),
        ("images/a.jpg,cat,9,2,9,4", r"line 2: the box .* has no area"),
        ("images/a.jpg,cat,9,2,90,4", "line 2: the box .* lies outside of its image of 40 x 30"),
        ("images/a.jpg,cat,nan,2,9,4", "line 2: the box .* is not finite"),
    ],
)
def test_bad_tables(line: str, message: str, tmp_path: Path) -> None:
    images(tmp_path / "images")
    table = write(tmp_path / "t.csv", f"image,label,xmin,ymin,xmax,ymax\n{line}\n")
    with pytest.raises(UserError, match=message):
        load(table)
