"""What the readers of boxes have in common: an image with its objects, and what may be wrong."""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.errors import UserError
from tasks.media.source import BadFile
from tasks.printing import print_lines
from tasks.vision import images

ROUNDED = 1.0
"""Pixels by which a box may reach out of its image and is cut at the edge without a word."""

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels from the upper left corner."""
Size = tuple[float, float]
"""Height and width of an image in pixels."""
UNKNOWN: Size = (math.inf, math.inf)
"""Of a file that is no image: `tasks.media.decoding` says what becomes of it."""


@dataclass
class Annotated:
    """An image and the objects in it, as a data set describes them."""

    media: Mapping[str, Any]
    """{"bytes", "path"}, as `tasks.media.source` has it."""
    boxes: list[Box] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)
    """Names of classes."""
    crowds: list[bool] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    """In pixels."""

    def objects(self, places: Mapping[Any, int]) -> dict[str, list[Any]]:
        """Return the objects as `tasks.media.rows.objects_feature` has them.

        Args:
            places: of the classes.
        """
        return {
            "bbox": [list(box) for box in self.boxes],
            "category": [places[label] for label in self.labels],
            "iscrowd": self.crowds,
            "area": self.areas,
        }

    def add(self, box: Box, label: Any, crowd: bool = False, area: float | None = None) -> None:
        """Add an object; its area is that of its box where none is given."""
        x0, y0, x1, y1 = box
        self.boxes.append(box)
        self.labels.append(label)
        self.crowds.append(crowd)
        self.areas.append((x1 - x0) * (y1 - y0) if area is None else area)


@dataclass
class Annotations:
    """All that was read of a data set."""

    splits: dict[str, list[Annotated]]
    classes: list[str]
    """In the order of their places."""
    files: list[Path]
    """What was read, besides the images."""
    root: Path
    """The folder that all of them lie in."""


class Notes:
    """What was odd, but no mistake: counted, and told in a line each."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def add(self, what: str, where: str) -> None:
        """Count one; `what` goes on from a number: "boxes of no area, left out"."""
        self._first.setdefault(what, where)
        self._counts[what] = self._counts.get(what, 0) + 1

    def tell(self) -> None:
        """Print the warnings."""
        for what, count in self._counts.items():
            print_lines(
                f"warning: {count:,} {what}; the first is {self._first[what]}", file=sys.stderr
            )


def checked(
    box: Sequence[float],
    size: Size,
    where: str,
    notes: Notes,
    *,
    lenient: bool = False,
) -> Box | None:
    """Return a box cut at the edges of its image, which it may leave by `ROUNDED`; None for one to
    be left out.

    Args:
        size: height and width of the image.
        where: file and row, for messages.
        lenient: as COCO's own data want it, what reaches out further is cut, and what has no area
            left out, with a note.

    Raises `UserError` for a box that is not finite, reversed, of no area, or outside.
    """
    x0, y0, x1, y1 = box
    height, width = size
    shown = f"[{', '.join(f'{value:g}' for value in box)}]"
    if not all(map(math.isfinite, box)):
        raise UserError(f"{where}: the box {shown} is not finite")
    if x1 < x0 or y1 < y0:
        raise UserError(f"{where}: the box {shown} is reversed: x0, y0 must come before x1, y1")
    out = max(-x0, -y0, x1 - width, y1 - height)
    inside = max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))
    empty = inside[0] >= inside[2] or inside[1] >= inside[3]
    if empty and lenient:
        notes.add("boxes of no area in their image, left out", where)
        return None
    if out > ROUNDED and lenient:
        notes.add("boxes that reach out of their image, cut at its edge", where)
    elif out > ROUNDED:
        raise UserError(f"{where}: the box {shown} lies outside of its image of {width} x {height}")
    elif empty:
        raise UserError(f"{where}: the box {shown} has no area")
    return inside


def size_of(media: Mapping[str, Any]) -> Size:
    """Return height and width of an image as it is shown; `UNKNOWN` where it can't be read."""
    try:
        return images.shown_size(media)
    except BadFile:
        return UNKNOWN


def same_size(size: Size, claimed: Sequence[float], path: Path, where: str) -> None:
    """Raise `UserError` where annotations are of an image of another size (height and width)
    that is known."""
    height, width = claimed
    if size not in ((height, width), UNKNOWN):
        turned = ", turned by its EXIF data" if (width, height) == size else ""
        raise UserError(
            f"{where}: the boxes are of an image of {width:g} x {height:g}, and {path} has"
            f" {size[1]} x {size[0]} pixels{turned}"
        )


def relative(name: Any, where: str) -> Path:
    """Return the relative path of a file that annotations name, which leads into no other folder.

    Raises `UserError` for an absolute path, and one with "..".
    """
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        raise UserError(f"{where} names no file")
    slashed = name.replace("\\", "/")
    parts = PurePosixPath(slashed).parts
    if slashed.startswith("/") or ":" in parts[0] or ".." in parts:
        raise UserError(
            f"{where} names {name[:120]}: it must be a path below the folder of the images"
        )
    return Path(slashed)


def note_unlisted(
    every: Iterable[Path], listed: Iterable[Path], folders: Iterable[Path], notes: Notes
) -> None:
    """Note the images below some folders that no annotation names."""
    known, among = set(listed), set(folders)
    for file in every:
        is_image = file.suffix.lower() in images.IMAGE.suffixes
        if is_image and file not in known and among & {*file.parents}:
            notes.add("images that no annotation names, left out", str(file))


def number_of(value: Any) -> float | None:
    """Return what JSON has for a number as a float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:  # an integer of hundreds of digits
        return math.inf


def of_numbers(values: Any, count: int, where: str, what: str) -> list[float]:
    """Return `count` numbers. `UserError` where that is not what was written."""
    found = list(map(number_of, values)) if isinstance(values, list | tuple) else []
    numbers = [number for number in found if number is not None]
    if not len(numbers) == len(found) == count:
        raise UserError(f"{where}: {what} must be {count} numbers, not {str(values)[:60]}")
    return numbers
