"""The classes of masks: what they are called, which value or colour of a mask each is, and the
colours they are drawn in."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
NAMES = ("name", "class", "label", "# label", "class_name", "classname", "names", "labels")
COLOURS = ("colour", "color", "color_rgb", "rgb", "hex")
VALUES = ("value", "index", "id", "label_id", "class_id")
CHANNELS = (("r", "red"), ("g", "green"), ("b", "blue"))
NUMBERED = re.compile(r"(\d+)\s*[:.)=\s]\s*(\D.*)")
"""A name behind the value of its class: "0 road", "0: road"."""
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
    ignored_values: tuple[int, ...] = ()
    """Numbers whose pixels are left out."""

    def drawn(self) -> tuple[Colour, ...]:
        """Return the colours that the classes are drawn in: their own, or those of `palette`."""
        return self.colours or palette(len(self.names))


def of_record(record: Mapping[str, Any]) -> ClassTable:
    """Return the classes of which `dataclasses.asdict` made a record, perhaps read from JSON."""
    colours, ignored = (tuple(map(tuple, record[name])) for name in ("colours", "ignored"))
    numbers = (tuple(record[name]) for name in ("values", "ignored_values"))
    values, ignored_values = numbers
    return ClassTable(tuple(record["names"]), values, colours, ignored, ignored_values)


def places_of(table: ClassTable, trained: ClassTable, where: str) -> tuple[int, ...]:
    """Return the place among the classes of a model of each class of other data: of that with its
    name; where the model's classes have no names but their values, of that with its value.

    Args:
        where: the file that lists the classes of the other data.

    Raises `UserError` for a class that the model was not trained for.
    """
    mine: Sequence[Any] = table.names
    known: Sequence[Any] = trained.names
    is_unnamed = trained.names == tuple(map(str, trained.values))
    if is_unnamed and not set(mine) <= set(known):
        mine, known = table.values, trained.values
    strange = [name for name, one in zip(table.names, mine, strict=True) if one not in known]
    if strange:
        raise UserError(
            f"{where} lists the class {strange[0]!r}, and the model was trained for"
            f" {', '.join(trained.names)}"
        )
    return tuple(known.index(one) for one in mine)


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

    - txt and csv: a class a line, its name alone, or with its value before it ("0 wall", "0,wall")
      or a colour behind it (#ff8000, or red, green and blue from 0 to 255); with a header in any
      order (`name`, `colour` or `r`, `g`, `b`, `value`). Between them are commas, tabs or
      semicolons. CVAT's labelmap.txt too.
    - json: a list of names, names with colours, the Hub's id2label ({"0": "wall"}), or a list of
      objects of name, colour and value.

    Without values the classes are numbered as they stand, from 0. One called "ignore" is none:
    pixels of its colour, value or place are left out.

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
    lines = [(i, line) for i, line in enumerate(text_of(path).splitlines(), 1) if line.strip()]
    separator = ":" if path.name.lower() == "labelmap.txt" else _separator(lines)
    cut: list[tuple[str, list[str]]] = []
    for number, line in lines:
        cells = [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
        if any(cells):
            cut.append((f"{path}, line {number}", cells))
    if cut and _is_header(cut[0][1]):
        header = [cell.casefold() for cell in cut[0][1]]
        return [
            _of_mapping(where, dict(zip(header, cells, strict=False))) for where, cells in cut[1:]
        ]
    if numbered := _numbered(cut):
        return numbered
    return [_Row(where, cells[0], _colour_behind(where, cells)) for where, cells in cut]


def _is_header(cells: Sequence[str]) -> bool:
    return any(cell.casefold() in NAMES for cell in cells)


def _separator(lines: Sequence[tuple[int, str]]) -> str:
    """Return what stands between the cells of the first line: a comma, unless with a tab or
    semicolon it is a header, or a name with numbers or a colour."""
    for separator in ("\t", ";"):
        for _, line in lines[:1]:
            cells = [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
            rest = [cell for cell in cells[1:] if cell]
            is_one = any(cell.isdecimal() for cell in cells) or (bool(rest) and _is_colour(rest))
            if len(cells) > 1 and (is_one or _is_header(cells)):
                return separator
    return ","


def _is_colour(cells: Sequence[str]) -> bool:
    try:
        _colour("", ",".join(cells))
    except UserError:
        return False
    return True


def _colour_behind(where: str, cells: Sequence[str]) -> Colour | None:
    rest = [cell for cell in cells[1:] if cell]
    return _colour(where, ",".join(rest)) if rest else None


def _numbered(cut: Sequence[tuple[str, list[str]]]) -> list[_Row]:
    """Return the classes of lines that all begin with a value of their own, and go on with a name
    of their own; none where a line does not."""
    found = []
    for where, cells in cut:
        if len(cells) == 1 and (both := NUMBERED.fullmatch(cells[0])):
            cells = list(both.groups())
        if len(cells) < 2 or not cells[0].isdecimal() or not re.match(r"[^\d#]", cells[1]):
            return []
        colour = _colour_behind(where, cells[1:])
        found.append(_Row(where, cells[1], colour, _value(where, cells[0])))
    is_own = len({row.name for row in found}) == len({row.value for row in found}) == len(found)
    return found if is_own else []


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
    if all(row.value is None for row in rows):
        rows = [replace(row, value=i) for i, row in enumerate(rows)]
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
        for row in classes if of == "name" else rows:
            one = getattr(row, of)
            if one is not None and one in seen:
                raise UserError(f"{row.where}, has the {of} {one!r}, as a class above it")
            seen.add(one)
    left_out = [row for row in rows if _is_ignored(row)]
    return ClassTable(
        tuple(row.name for row in classes),
        tuple(row.value for row in valued if row.value is not None),
        tuple(row.colour for row in coloured if row.colour is not None),
        tuple(row.colour for row in left_out if row.colour is not None),
        tuple(row.value for row in left_out if row.value is not None),
    )


def _is_ignored(row: _Row) -> bool:
    return row.name.casefold() == IGNORE
