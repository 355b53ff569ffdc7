"""Boxes that were found in images, as annotations that COCO's tools read (Lin et al. 2014)."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.base import HasClasses
from tasks.errors import UserError
from zoo.machine import output_file

FLAG = "`coco`"


class CocoFile:
    """Collects the boxes of images, each annotation with its score: the file is a data set by
    itself, and its annotations are what pycocotools' `loadRes` takes."""

    def __init__(self, path: Path, task: HasClasses) -> None:
        """Begin without images; their names count from the folder of `path`."""
        self._folder = path.absolute().parent
        self._numbers = {name: i for i, name in enumerate(task.classes, 1)}
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def add(self, item: Mapping[str, Any], prediction: Any, reading: Mapping[str, Any]) -> None:
        """Add an image with its boxes; `reading` has `boxes` (x0, y0, x1, y1 in pixels), `labels`
        and `scores`, a list each."""
        height, width = item["image"].shape[:2]
        image = len(self._images) + 1
        name = os.path.relpath(str(item["name"]), self._folder)
        self._images.append({"id": image, "file_name": name, "width": width, "height": height})
        found = (reading[name] for name in ("boxes", "labels", "scores"))
        for (x0, y0, x1, y1), label, score in zip(*found, strict=True):
            sides = [round(x1 - x0, 1), round(y1 - y0, 1)]
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": image,
                    "category_id": self._numbers[label],
                    "bbox": [x0, y0, *sides],
                    "area": round(sides[0] * sides[1], 2),
                    "iscrowd": 0,
                    "score": score,
                }
            )

    def content(self) -> bytes:
        """Return the file."""
        categories = [{"id": number, "name": name} for name, number in self._numbers.items()]
        whole = {
            "images": self._images,
            "annotations": self._annotations,
            "categories": categories,
        }
        return f"{json.dumps(whole)}\n".encode()


@contextmanager
def coco_file(path: Path, task: Any) -> Iterator[CocoFile]:
    """Context manager that yields an empty file, and writes it if the block succeeds.

    Raises `UserError` where its name is not that of a JSON file, or it can't be written.
    """
    assert isinstance(task, HasClasses)
    if path.suffix.lower() != ".json":
        raise UserError(f"{FLAG} {path}: a name that ends in .json")
    with output_file.replacing(path, FLAG) as file:
        made = CocoFile(path, task)
        yield made
        file.write(made.content())
