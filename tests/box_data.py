"""Small data sets of boxes in every format, for tests."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

WIDTH, HEIGHT = 40, 30
BOXES = {"a": [("cat", (5, 4, 15, 14)), ("dog", (20, 10, 40, 30))], "b": [("dog", (0, 0, 8, 6))],
         "c": []}  # fmt: skip
"""Class and box (x0, y0, x1, y1) of each object, by image."""


def image(path: Path, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """Write a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (len(path.name), 9, 9)).save(path)
    return path


def images(folder: Path, names: Sequence[str] = tuple(BOXES)) -> None:
    """Write a picture for each name."""
    for name in names:
        image(folder / f"{name}.jpg")


def coco(names: Sequence[str] = tuple(BOXES)) -> dict[str, Any]:
    """Annotations of images as COCO has them; categories have the ids 3 and 7."""
    ids = {"cat": 3, "dog": 7}
    objects = [(row, *one) for row, name in enumerate(names) for one in BOXES[name]]
    return {
        "info": {"year": 2014},
        "images": [
            {"id": row, "file_name": f"{name}.jpg", "width": WIDTH, "height": HEIGHT}
            for row, name in enumerate(names)
        ],
        "annotations": [
            {"id": number, "image_id": row, "category_id": ids[label],
             "bbox": [x0, y0, x1 - x0, y1 - y0], "iscrowd": 0, "area": 50.0,
             "segmentation": [[x0, y0, x1, y0, x1, y1]]}
            for number, (row, label, (x0, y0, x1, y1)) in enumerate(objects)
        ],
        "categories": [{"id": number, "name": name} for name, number in reversed(ids.items())],
    }  # fmt: skip


def write_json(path: Path, value: Any) -> Path:
    """Write JSON, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def write(path: Path, text: str) -> Path:
    """Write a text, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def yolo_lines(objects: Sequence[tuple[str, tuple[int, int, int, int]]]) -> str:
    """The lines of an image's objects as YOLO has them; cat is class 0."""
    return "".join(
        f"{['cat', 'dog'].index(label)} {(x0 + x1) / 2 / WIDTH} {(y0 + y1) / 2 / HEIGHT}"
        f" {(x1 - x0) / WIDTH} {(y1 - y0) / HEIGHT}\n"
        for label, (x0, y0, x1, y1) in objects
    )


def voc_xml(name: str, extra: str = "", first: int = 1) -> str:
    """The XML of an image as Pascal VOC has it, whose pixels count from `first`."""
    objects = "".join(
        f"<object><name>{label}</name><difficult>0</difficult><bndbox><xmin>{x0 + first}</xmin>"
        f"<ymin>{y0 + first}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox>"
        "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part></object>"
        for label, (x0, y0, x1, y1) in BOXES[name]
    )
    return (
        f"<annotation><filename>{name}.jpg</filename><size><width>{WIDTH}</width>"
        f"<height>{HEIGHT}</height><depth>3</depth></size>{objects}{extra}</annotation>"
    )


def found(split: Any) -> Mapping[str, list[tuple[str, tuple[float, ...]]]]:
    """What was read of a split, as `BOXES` has it."""
    names = split.features["objects"]["category"].feature.names
    return {
        Path(row["media"]["path"]).stem: [
            (names[label], tuple(round(value, 6) for value in box))
            for label, box in zip(row["objects"]["category"], row["objects"]["bbox"], strict=True)
        ]
        for row in split
    }
