"""Annotations as Pascal VOC has them (Everingham et al. 2010): an XML file for each image.

`Annotations/NAME.xml` beside `JPEGImages/NAME.jpg`, with the names of each split's images in
`ImageSets/Main/SPLIT.txt`; or, as Roboflow writes it, both beside each other in SPLIT/. Pixels
count from 1 and both ends belong to a box, unless some box of the data begins at 0. What is
`difficult` counts as a crowd does: to find it is neither right nor wrong.
"""

import xml.parsers.expat as expat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tasks.data.splits import ALIASES, CANONICAL
from tasks.errors import UserError
from tasks.vision import box_rows as rows
from tasks.vision import images
from tasks.vision.box_rows import Annotated, Annotations, Notes

LARGEST = 2**24
"""Bytes of a file of XML."""
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def find(every: Sequence[Path]) -> list[Path] | None:
    """Return the XML files of annotations among the files of a folder; None where it has none, or
    has no image beside them or in `JPEGImages`."""
    found = [file for file in every if file.suffix.lower() == ".xml"]
    stems = {(f.parent, f.stem) for f in every if f.suffix.lower() in images.IMAGE.suffixes}
    names = {stem for _, stem in stems}
    in_place = [
        file
        for file in found
        if (file.parent, file.stem) in stems
        or (file.parent.name.lower() == "annotations" and file.stem in names)
    ]
    return found if in_place else None


def read(root: Path, found: Sequence[Path], every: Sequence[Path]) -> Annotations:
    """Return the images and objects that XML files describe.

    Args:
        root: the folder of the data set.
        found: what `find` gave.
        every: the files below it.

    Raises `UserError` with file and object for what is wrong; says what was left out.
    """
    notes = Notes()
    parsed = {file: _parsed(file) for file in found}
    origin = _origin(parsed.values())
    pictures = {
        (file.parent, name): file
        for file in every
        if file.suffix.lower() in images.IMAGE.suffixes
        for name in (file.stem, file.name)
    }
    splits: dict[str, list[Annotated]] = {}
    for split, files in _by_split(root, found, every).items():
        for file in files:
            image = _image_of(file, parsed[file], pictures)
            if image is None:
                notes.add("annotations without their image, left out", str(file))
                continue
            splits.setdefault(split, []).append(_annotated(file, parsed[file], image, origin))
    if not splits:
        raise UserError(f"none of the images that {found[0]} and others describe are in {root}")
    listed = [Path(row.media["path"]) for split in splits.values() for row in split]
    rows.note_unlisted(every, listed, {path.parent for path in listed}, notes)
    notes.tell()
    classes = sorted({label for split in splits.values() for row in split for label in row.labels})
    return Annotations(splits, classes, list(found), root)


@dataclass
class _Object:
    name: str = ""
    difficult: str = "0"
    corners: dict[str, str] = field(default_factory=dict)


@dataclass
class _Image:
    """What an XML file says of an image."""

    filename: str = ""
    size: dict[str, str] = field(default_factory=dict)
    objects: list[_Object] = field(default_factory=list)


def _parsed(path: Path) -> _Image:
    """What an XML file says. `UserError` for what is no such XML, or declares anything: entities
    can grow without end, or name other files."""
    made = _Image()
    above: list[str] = []
    text: list[str] = []

    def start(name: str, _: Mapping[str, str]) -> None:
        above.append(name)
        text.clear()
        if above[1:] == ["object"]:
            made.objects.append(_Object())

    def end(name: str) -> None:
        value, inside = "".join(text).strip(), above[1:]
        text.clear()
        above.pop()
        if inside == ["filename"]:
            made.filename = value
        elif inside[:1] == ["size"] and len(inside) == 2:
            made.size[name] = value
        elif inside == ["object", "name"]:
            made.objects[-1].name = value
        elif inside == ["object", "difficult"]:
            made.objects[-1].difficult = value
        elif inside[:2] == ["object", "bndbox"] and len(inside) == 3:
            made.objects[-1].corners[name] = value

    def declares(*_: object) -> None:
        raise UserError(f"{path} declares a document type or entities: remove its <!DOCTYPE ...>")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = text.append
    parser.StartDoctypeDeclHandler = declares
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path} has {path.stat().st_size:,} bytes: it describes no image")
        parser.Parse(path.read_bytes(), True)
    except OSError as problem:
        raise UserError(f"{path} cannot be read: {problem.strerror}") from None
    except (expat.ExpatError, ValueError) as problem:
        raise UserError(f"{path} is no XML: {problem}") from None
    return made


def _origin(parsed: Iterable[_Image]) -> float:
    """The number of the first pixel: 1, unless some box begins at 0."""
    firsts = {
        found.corners.get(name, "").strip()
        for one in parsed
        for found in one.objects
        for name in ("xmin", "ymin")
    }
    return 0.0 if firsts & {"0", "0.0"} else 1.0


def _by_split(root: Path, found: Sequence[Path], every: Sequence[Path]) -> dict[str, list[Path]]:
    """The files of each split: by lists in ImageSets/Main, else by folders, else all are train."""
    lists = {
        file.stem.lower(): file
        for file in every
        if file.suffix.lower() == ".txt"
        and [p.lower() for p in file.parts[-3:-1]] == ["imagesets", "main"]
    }
    named = {CANONICAL[stem]: path for stem, path in lists.items() if stem in CANONICAL}
    if "train" not in named and "trainval" in lists:
        named["train"] = lists["trainval"]
    by_stem = {file.stem: file for file in found}
    if named:
        return {
            split: [
                _listed(line, number, named[split], by_stem)
                for number, line in _lines(named[split])
            ]
            for split in ALIASES
            if split in named
        }
    made: dict[str | None, list[Path]] = {}
    for file in found:
        parts = [part.lower() for part in file.relative_to(root).parts[:-1]]
        folder = next((CANONICAL[part] for part in parts if part in CANONICAL), None)
        made.setdefault(folder, []).append(file)
    unnamed = made.pop(None, None)
    if unnamed and made:
        raise UserError(
            f"{unnamed[0]} lies beside the folders of the splits {', '.join(map(str, made))}: move"
            " it into one"
        )
    return {"train": unnamed} if unnamed else {s: made[s] for s in ALIASES if s in made}


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"{path} cannot be read as text: {problem}") from None
    return [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def _listed(line: str, number: int, path: Path, by_stem: Mapping[str, Path]) -> Path:
    name = line.split()[0] if line.strip() not in by_stem else line.strip()
    if name not in by_stem:
        raise UserError(f"{path}, line {number} names {name[:120]}, of which there is no XML file")
    return by_stem[name]


def _image_of(path: Path, parsed: _Image, pictures: Mapping[tuple[Path, str], Path]) -> Path | None:
    """The image that a file describes: by the name in it, else of the same name."""
    names = [rows.relative(parsed.filename, str(path)).name] if parsed.filename else []
    for folder in (path.parent, *(path.parent.parent / name for name in ("JPEGImages", "images"))):
        for name in (*names, path.stem):
            if (folder, name) in pictures:
                return pictures[folder, name]
    return None


def _annotated(path: Path, parsed: _Image, image: Path, origin: float) -> Annotated:
    found = Annotated({"bytes": None, "path": str(image)})
    size = rows.size_of(found.media)
    claimed = [_number(parsed.size.get(n, "0"), f"{path}, size") for n in ("height", "width")]
    if min(claimed) > 0:
        rows.same_size(size, claimed, image, str(path))
    for number, one in enumerate(parsed.objects, start=1):
        where = f"{path}, object {number}"
        if not one.name:
            raise UserError(f"{where} has no name")
        if missing := [name for name in _CORNERS if name not in one.corners]:
            raise UserError(f"{where} has no {', '.join(missing)} in its bndbox")
        x0, y0, x1, y1 = (_number(one.corners[name], where) for name in _CORNERS)
        box = rows.checked((x0 - origin, y0 - origin, x1, y1), size, where, Notes())
        assert box is not None
        found.add(box, one.name, crowd=one.difficult == "1")
    return found


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{where}: {text[:40]!r} is not a number") from None
