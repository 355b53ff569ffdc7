"""The classes of masks: what they are called, which value or colour of a mask each is, and the
colours they are drawn in."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks import json_files
from tasks.data.cells import text_of
from tasks.errors import UserError
from tasks.vision.image_args import Colour

IGNORED = 255
"""The class of pixels that count neither as right nor as wrong."""
MOST_CLASSES = 255
"""Of which a pixel can be, beside the ignored."""
IGNORE = "ignore"
"""The name, in a file of classes, of what is no class: its pixels are left out."""
MOST_VALUE = 65535  # of a mask of 16 bits
NAMES = ("name", "class", "label", "# label", "class_name", "classname")
COLOURS = ("colour", "color", "color_rgb", "rgb", "hex")
VALUES = ("value", "index", "id", "label_id", "class_id")
CHANNELS = (("r", "red"), ("g", "green"), ("b", "blue"))
TRIPLE = re.compile(r"[\s(\[]*(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})[\s)\]]*")


@dataclass(frozen=True)
class ClassTable:
    """Classes in their order, 255 at most."""

    names: tuple[str, ...]
    values: tuple[int, ...]
    """Of a mask of whole numbers, 0 to 65535: the one that each class is."""
    colours: tuple[Colour, ...] = ()
    """Of each class in a mask in colours; none where masks have numbers."""
    ignored: tuple[Colour, ...] = ()
    """Colours whose pixels are left out."""

    def drawn(self) -> tuple[Colour, ...]:
        """Return the colours that the classes are drawn in: their own, or those of `palette`."""
        return self.colours or palette(len(self.names))


def of_values(values: Sequence[int]) -> ClassTable:
    """Return the classes of masks that nothing names: one for each value, called by it."""
    return ClassTable(tuple(map(str, values)), tuple(values))


def palette(count: int) -> tuple[Colour, ...]:
    """Return `count` colours as Pascal VOC draws its classes, the first of them black: the bits of
    a class's number are dealt out to the high bits of red, green and blue (VOCdevkit,
    VOClabelcolormap)."""

    def channel(number: int, first: int) -> int:
        return sum(((number >> (3 * i + first)) & 1) << (7 - i) for i in range(8))

    return tuple((channel(i, 0), channel(i, 1), channel(i, 2)) for i in range(count))


def read(path: Path) -> ClassTable:
    """Return the classes that a file lists, in its order.

    - txt and csv: a class a line, its name alone, or with a colour behind it (#ff8000, or red,
      green and blue from 0 to 255); with a header also its value (`name`, `colour` or `r`, `g`,
      `b`, `value`). CVAT's labelmap.txt too.
    - json: a list of names, names with colours, the Hub's id2label ({"0": "wall"}), or a list of
      objects of name, colour and value.

    A class called "ignore" is none: pixels of its colour are left out.

    Raises `UserError`, with file and line, for what is none of these, and for a name, value or
    colour that comes twice.
    """
    try:
        rows = _of_json(path) if path.suffix.lower() == ".json" else _of_lines(path)
    except OSError as problem:
        raise UserError(f"`classes` {path} cannot be read: {problem.strerror}") from None
    return _table(path, rows)


@dataclass(frozen=True)
class _Row:
    where: str
    name: str
    colour: Colour | None = None
    value: int | None = None


def _of_lines(path: Path) -> list[_Row]:
    lines = text_of(path).splitlines()
    separator = ":" if path.name.lower() == "labelmap.txt" else ","
    rows: list[_Row] = []
    header: list[str] | None = None
    for number, line in enumerate(lines, start=1):
        cells = [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
        if not any(cells):
            continue
        where = f"{path}, line {number}"
        folded = [cell.casefold() for cell in cells]
        if not rows and header is None and len(cells) > 1 and set(folded) & set(NAMES):
            header = folded
        elif header is not None:
            rows.append(_of_mapping(where, dict(zip(header, cells, strict=False))))
        elif len(cells) == 1 or not any(cells[1:]):
            rows.append(_Row(where, cells[0]))
        else:
            rows.append(_Row(where, cells[0], _colour(where, ",".join(filter(None, cells[1:])))))
    return rows


def _of_json(path: Path) -> list[_Row]:
    try:
        content = json_files.read(path)
    except ValueError as problem:
        raise UserError(f"`classes` {path} is not valid JSON: {problem}") from None
    if isinstance(content, dict) and content and all(str(key).isdecimal() for key in content):
        pairs = sorted(content.items(), key=lambda pair: int(pair[0]))
        return [_Row(f"{path}, {key!r}", str(name), value=int(key)) for key, name in pairs]
    if isinstance(content, dict):
        return [
            _Row(f"{path}, {name!r}", name, None if given is None else _colour(name, given))
            for name, given in content.items()
        ]
    if not isinstance(content, list):
        raise UserError(f"`classes` {path} holds neither a list of classes nor names with colours")
    rows = []
    for number, one in enumerate(content, start=1):
        where = f"{path}, entry {number}"
        if isinstance(one, Mapping):
            rows.append(_of_mapping(where, {str(k).casefold(): v for k, v in one.items()}))
        else:
            rows.append(_Row(where, str(one)))
    return rows


def _of_mapping(where: str, cells: Mapping[str, Any]) -> _Row:
    name = next((cells[key] for key in NAMES if cells.get(key)), None)
    if name is None:
        raise UserError(f"{where}, names no class")
    value = next((cells[key] for key in VALUES if cells.get(key) not in (None, "")), None)
    channels = [next((cells[n] for n in names if n in cells), None) for names in CHANNELS]
    given = next((cells[key] for key in COLOURS if cells.get(key)), None)
    if None not in channels:
        given = channels
    colour = None if given in (None, "") else _colour(where, given)
    return _Row(where, str(name), colour, None if value is None else _value(where, value))


def _value(where: str, given: Any) -> int:
    text = str(given).strip()
    if not text.isdecimal() or int(text) > MOST_VALUE:
        raise UserError(f"{where}, has the value {text[:40]!r}: a whole number from 0 to 65535")
    return int(text)


def _colour(where: str, given: Any) -> Colour:
    from PIL import ImageColor

    text = ",".join(map(str, given)) if isinstance(given, list) else str(given).strip()
    if found := TRIPLE.fullmatch(text):
        red, green, blue = map(int, found.groups())
        if max(red, green, blue) <= 255:
            return red, green, blue
    try:
        colour = ImageColor.getrgb(text)
        if len(colour) == 3:
            return colour
    except ValueError:
        pass  # said below
    raise UserError(
        f"{where}, has {text[:40]!r} for a colour: give #rrggbb, or red, green and blue from 0 to"
        " 255"
    )


def _table(path: Path, rows: Sequence[_Row]) -> ClassTable:
    ignored = tuple(row.colour for row in rows if _is_ignored(row) and row.colour is not None)
    classes = [row for row in rows if not _is_ignored(row)]
    if not classes:
        raise UserError(f"`classes` {path} lists no classes")
    if len(classes) > MOST_CLASSES:
        raise UserError(f"`classes` {path} lists {len(classes):,} classes: at most {MOST_CLASSES}")
    coloured = [row for row in classes if row.colour is not None]
    if coloured and len(coloured) < len(classes):
        bare = next(row for row in classes if row.colour is None)
        raise UserError(f"{bare.where}, has no colour, as {coloured[0].name!r} has")
    valued = [row for row in classes if row.value is not None]
    if valued and len(valued) < len(classes):
        bare = next(row for row in classes if row.value is None)
        raise UserError(f"{bare.where}, has no value, as {valued[0].name!r} has")
    for of in ("name", "value", "colour"):
        seen: set[Any] = set()
        for row in (*classes, *(row for row in rows if _is_ignored(row) and of == "colour")):
            one = getattr(row, of)
            if one is not None and one in seen:
                raise UserError(f"{row.where}, has the {of} {one!r}, as a class above it")
            seen.add(one)
    return ClassTable(
        tuple(row.name for row in classes),
        tuple(i if row.value is None else row.value for i, row in enumerate(classes)),
        tuple(row.colour for row in coloured if row.colour is not None),
        ignored,
    )


def _is_ignored(row: _Row) -> bool:
    return row.name.casefold() == IGNORE
