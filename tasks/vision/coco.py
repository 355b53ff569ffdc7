"""Annotations as COCO has them (Lin et al. 2014): one JSON file a split, beside folders of images.

`annotations/instances_train2017.json` with `train2017/`, one file by itself, or as Roboflow writes
it, `train/_annotations.coco.json` among the images. Outlines and run-length masks are not read:
a crowd is the box around it.
"""

import itertools
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks import json_stream
from tasks.data import files
from tasks.errors import UserError
from tasks.vision import box_rows as rows
from tasks.vision.box_rows import Annotated, Annotations, Notes

_TRIED = 200
"""Images of a file that are looked for in each folder where they may be."""
_NAMES = re.compile(r"(instances.*|_?annotations(\.coco)?|.*[._-]coco|coco)\.json", re.IGNORECASE)


def find(root: Path, every: Sequence[Path]) -> dict[str, Path] | None:
    """Return the annotations of each split among the files below a folder; None without any.

    Raises `UserError` for several of one split.
    """
    found = [
        file
        for file in every
        if file.suffix.lower() == ".json"
        and (file.parent.name.lower() == "annotations" or _NAMES.fullmatch(file.name))
    ]
    instances = [file for file in found if file.name.lower().startswith("instances")]
    found = instances or found
    if not found:
        return None
    by_split = files.by_split(root, found)
    for split, names in by_split.items():
        if len(names) > 1:
            raise UserError(
                f"{names[0]} and {names[1]} are both annotations of {split}: name one file with"
                " `data`, or leave one there"
            )
    return {split: names[0] for split, names in by_split.items()}


def read(root: Path, by_split: Mapping[str, Path], every: Sequence[Path]) -> Annotations:
    """Return the images and objects that files of annotations describe.

    Args:
        root: the folder that images must lie in.
        every: the files below it.

    Raises `UserError` with file and entry for what is wrong; says what was cut or left out.
    """
    notes = Notes()
    there = set(every)
    splits: dict[str, list[Annotated]] = {}
    folders, classes, first = [], {}, None
    for split, path in by_split.items():
        one = _File(path)
        if first is not None and one.categories != classes:
            raise UserError(f"{path} has other categories than {first}")
        first, classes = path, one.categories
        folder = _image_folder(root, split, path, one, there)
        folders.append(folder)
        splits[split] = _annotated(one, folder, there, notes)
    listed = [Path(row.media["path"]) for split in splits.values() for row in split]
    rows.note_unlisted(every, listed, folders, notes)
    notes.tell()
    names = [classes[number] for number in sorted(classes)]
    return Annotations(splits, names, [*by_split.values()], root)


class _File:
    """What a file of annotations holds, each kind by id."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.images: dict[Any, Mapping[str, Any]] = {}
        self.categories: dict[int, str] = {}
        self.annotations: list[tuple[str, Any, Any, Any, Any, Any]] = []
        """Where it stands, image_id, category_id, bbox, iscrowd, area."""
        keys = set()
        try:
            for key, entry in json_stream.entries(path):
                keys.add(key)
                self._add(key, entry)
        except OSError as problem:
            raise UserError(f"{path} cannot be read: {problem.strerror}") from None
        except ValueError as problem:
            raise UserError(f"{path} is no JSON of COCO's: {problem}") from None
        if missing := [key for key in ("images", "annotations", "categories") if key not in keys]:
            raise UserError(
                f"{path} has no {' and no '.join(missing)}: COCO's annotations have images,"
                " annotations and categories"
            )

    def _add(self, key: str, entry: Any) -> None:
        if key not in {"images", "annotations", "categories"}:
            return
        if not isinstance(entry, Mapping):
            raise UserError(f"{self.path}: an entry of {key} is {str(entry)[:60]!r}, and no object")
        number = entry.get("id")
        where = f"{self.path}, {key[:-1] if key != 'categories' else 'category'} {number}"
        if key == "annotations":
            fields = ("image_id", "category_id", "bbox", "iscrowd", "area")
            values = [entry.get(name) for name in fields]
            self.annotations.append((where, *values))  # type: ignore[arg-type]
            return
        if isinstance(number, bool) or not isinstance(number, int | str):
            raise UserError(f"{self.path}: an entry of {key} has no id")
        known = self.images if key == "images" else self.categories
        if number in known:
            raise UserError(f"{where} stands there twice")
        if key == "images":
            self.images[number] = {k: entry.get(k) for k in ("file_name", "height", "width")}
            return
        name = entry.get("name")
        if not isinstance(number, int) or not isinstance(name, str) or not name.strip():
            raise UserError(f"{where} has no name, or no number for its id")
        if name in self.categories.values():
            raise UserError(f"{where} has the name {name!r} of another category")
        self.categories[number] = name


def _image_folder(root: Path, split: str, path: Path, one: _File, there: set[Path]) -> Path:
    """Return the folder in which the files lie that annotations name: where the most are."""
    words = re.sub(r"^(instances|annotations)_?", "", path.stem, flags=re.IGNORECASE)
    names = [name for name in (words, split, *_aliases(split)) if name]
    folders = [path.parent, root]
    folders += [root / name for name in (*names, "images")]
    folders += [root / "images" / name for name in names] + [
        root / name / "images" for name in names
    ]
    named = [
        rows.relative(image["file_name"], f"{path}, image {number}")
        for number, image in itertools.islice(one.images.items(), _TRIED)
    ]
    if not named:
        raise UserError(f"{path} names no images")
    counts = {
        folder: sum(folder / name in there for name in named) for folder in dict.fromkeys(folders)
    }
    best = max(counts, key=lambda folder: counts[folder])
    if not counts[best]:
        tried = ", ".join(str(os.path.relpath(folder, root)) for folder in counts)
        raise UserError(
            f"{path} names {named[0]}, and none of its first images are in {root} (tried {tried})"
        )
    return best


def _aliases(split: str) -> tuple[str, ...]:
    from tasks.data.splits import ALIASES

    return ALIASES.get(split, ())


def _annotated(one: _File, folder: Path, there: set[Path], notes: Notes) -> list[Annotated]:
    made: dict[Any, Annotated] = {}
    sizes: dict[Any, rows.Size] = {}
    for number, image in one.images.items():
        path = folder / rows.relative(image["file_name"], f"{one.path}, image {number}")
        if path not in there:
            notes.add("images that annotations name and that are not there, left out", str(path))
            continue
        made[number] = Annotated({"bytes": None, "path": str(path)})
        sizes[number] = rows.size_of(made[number].media)
        claimed = [image["height"], image["width"]]
        if None not in claimed:
            where = f"{one.path}, image {number}"
            claimed = rows.of_numbers(claimed, 2, where, "height and width")
            rows.same_size(sizes[number], claimed, path, where)
    for where, image_id, category, bbox, iscrowd, area in one.annotations:
        for kind, number, known in (
            ("image", image_id, one.images),
            ("category", category, one.categories),
        ):
            if not isinstance(number, int | str) or number not in known:
                shown = str(number)[:60]
                raise UserError(f"{where} is of {kind} {shown}, which the file does not list")
        if image_id not in made:
            continue
        x, y, width, height = rows.of_numbers(bbox, 4, where, "bbox")
        crowd = iscrowd in (1, True)
        corners = (x, y, x + width, y + height)
        box = rows.checked(corners, sizes[image_id], where, notes, lenient=True)
        if box is None:
            continue
        pixels = rows.number_of(area)
        given = pixels is not None and 0 < pixels < math.inf
        made[image_id].add(box, one.categories[category], crowd, pixels if given else None)
    return list(made.values())
