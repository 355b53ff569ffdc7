"""Boxes as YOLO has them: beside each image's `images/.../NAME.jpg` a `labels/.../NAME.txt`, with a
line of class, centre x, centre y, width and height for each object, in shares of the sides.

What the classes are called stands in `data.yaml` (Ultralytics', Roboflow's), or line by line in
`classes.txt`. A line of more numbers is an outline, x and y of each corner: its box is taken. An
image without lines, or without a file of them, has no objects.
"""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.data.splits import ALIASES, CANONICAL
from tasks.errors import UserError
from tasks.vision import box_rows as rows
from tasks.vision import images
from tasks.vision.box_rows import Annotated, Annotations, Box, Notes

NAMES = ("classes.txt", "obj.names", "labels.txt", "classes.names")
LARGEST = 2**24
"""Bytes of a file of lines or of settings."""
_SLACK = 1e-3
"""By which a share may be more than 1 or less than 0, as rounding makes it."""


def find(root: Path, every: Sequence[Path]) -> Path | None:
    """Return the file that names the classes of a data set in YOLO's layout, `data.yaml` before a
    list; None where the folder has no such layout. `UserError` where it has, and no such file."""
    settings = [f for f in every if f.suffix.lower() in {".yaml", ".yml"} and f.parent == root]
    for file in settings:
        if isinstance(found := _yaml(file), Mapping) and "names" in found:
            return file
    there = set(every)
    if not any(_lines_of(root, file) in there for file in every if _is_image(file)):
        return None
    lists = [f for f in every if f.name.lower() in NAMES]
    lists.sort(key=lambda file: (NAMES.index(file.name.lower()), len(file.parts)))
    if not lists:
        raise UserError(
            f"{root} has images and labels as YOLO has them, and no list of their classes: put a"
            " data.yaml with `names`, or a classes.txt with a name on each line, there"
        )
    return lists[0]


def read(root: Path, names: Path, every: Sequence[Path]) -> Annotations:
    """Return the images and objects of a data set in YOLO's layout.

    Args:
        root: its folder.
        names: what `find` gave.
        every: the files below it.

    Raises `UserError` with file and line for what is wrong; says what was left out.
    """
    notes = Notes()
    settings = _yaml(names) if names.suffix.lower() in {".yaml", ".yml"} else None
    classes = _classes(names, settings)
    pictures = [file for file in every if _is_image(file)]
    by_split = _listed(root, names, settings, every) if isinstance(settings, Mapping) else {}
    by_split = by_split or _by_folder(root, pictures)
    there = set(every)
    used: set[Path] = set()
    splits: dict[str, list[Annotated]] = {}
    for split, files in by_split.items():
        for image in files:
            lines = _lines_of(root, image)
            if lines in there:
                used.add(lines)
            else:
                notes.add("images without a file of labels, taken to have no objects", str(image))
            found = _annotated(image, lines if lines in there else None, classes)
            splits.setdefault(split, []).append(found)
    if not used:
        raise UserError(f"none of the images in {root} has a file of labels (labels/NAME.txt)")
    for file in every:
        of_labels = file.suffix.lower() == ".txt" and _has(file.relative_to(root), "labels")
        if of_labels and file not in used and file.name.lower() not in NAMES:
            notes.add("files of labels without an image, left out", str(file))
    notes.tell()
    return Annotations(splits, classes, [names, *sorted(used)], root)


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in images.IMAGE.suffixes


def _has(relative: Path, folder: str) -> bool:
    return folder in [part.lower() for part in relative.parts[:-1]]


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(
                f"{path} has {path.stat().st_size:,} bytes: no file of labels is so long"
            )
        return path.read_text("utf-8-sig")
    except OSError as problem:
        raise UserError(f"{path} cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text in UTF-8") from None


def _yaml(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(_text(path))
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        reason = " ".join(str(problem).split())[:120]
        raise UserError(f"{path} is no YAML: {reason}") from None


def _classes(path: Path, settings: Any) -> list[str]:
    """The names of the classes in their order."""
    if settings is None:
        names: list[Any] = [line.strip() for line in _text(path).rstrip().splitlines()]
    else:
        names = settings.get("names")
        if isinstance(names, Mapping):
            if sorted(names, key=str) != sorted(range(len(names)), key=str):
                raise UserError(f"{path}: the keys of names must be 0 to {len(names) - 1}")
            names = [names[place] for place in range(len(names))]
    if not isinstance(names, list) or not names:
        raise UserError(f"{path} names no classes")
    made = [str(name).strip() for name in names]
    for place, name in enumerate(made):
        if not name or name in made[:place]:
            raise UserError(
                f"{path}: class {place} has {'the name of another' if name else 'no name'}"
            )
    return made


def _listed(
    root: Path, path: Path, settings: Mapping[str, Any], every: Sequence[Path]
) -> dict[str, list[Path]]:
    """The images of each split that a data.yaml names: folders, or lists of files."""
    base = root
    if isinstance(settings.get("path"), str):
        inner = _inside(root, settings["path"])
        base = inner if inner is not None and inner.is_dir() else root
    made: dict[str, list[Path]] = {}
    for split, aliases in ALIASES.items():
        for key in aliases:
            entries = settings.get(key)
            if entries is None:
                continue
            for entry in entries if isinstance(entries, list) else [entries]:
                if not isinstance(entry, str):
                    raise UserError(f"{path}: {key} must be a folder of images")
                made.setdefault(split, []).extend(_images_of(base, root, path, key, entry, every))
    return made


def _images_of(
    base: Path, root: Path, path: Path, key: str, entry: str, every: Sequence[Path]
) -> list[Path]:
    place = _inside(base, entry)
    if place is None:
        raise UserError(f"{path}: {key} is {entry[:120]}: it must be a path below {root}")
    if place in every and place.suffix.lower() == ".txt":
        names = [line.strip() for line in _text(place).splitlines() if line.strip()]
        found = [_inside(base, name) for name in names]
        there = set(every)
        for number, (name, file) in enumerate(zip(names, found, strict=True), start=1):
            if file is None or file not in there:
                raise UserError(f"{place}, line {number} names {name[:120]}, which is not there")
        return [file for file in found if file is not None]
    found_below = [file for file in every if place in file.parents and _is_image(file)]
    if not found_below:
        raise UserError(f"{path}: {key} is {entry[:120]}, and there are no images in {place}")
    return found_below


def _inside(base: Path, name: str) -> Path | None:
    """The path that a data.yaml names, below its folder; None for any other.

    Roboflow writes ../train/images for the train/images beside the file.
    """
    name = name.replace("\\", "/")
    while name.startswith(("../", "./")):
        name = name.split("/", maxsplit=1)[1]
    if name.startswith("/") or ".." in name.split("/") or "\0" in name:
        return None
    return Path(os.path.normpath(base / name))


def _by_folder(root: Path, pictures: Sequence[Path]) -> dict[str, list[Path]]:
    """The images by the split whose folder they lie in, and train where there are none."""
    made: dict[str | None, list[Path]] = {}
    in_images = [file for file in pictures if _has(file.relative_to(root), "images")]
    for file in in_images or pictures:
        parts = [part.lower() for part in file.relative_to(root).parts[:-1]]
        named = [CANONICAL[part] for part in parts if part in CANONICAL]
        made.setdefault(named[0] if named else None, []).append(file)
    unnamed = made.pop(None, None)
    if unnamed and made:
        raise UserError(
            f"{unnamed[0]} lies beside the folders of the splits {', '.join(map(str, made))}: move"
            " it into one"
        )
    if unnamed:
        return {"train": unnamed}
    return {split: made[split] for split in ALIASES if split in made}


def _lines_of(root: Path, image: Path) -> Path:
    """Where the labels of an image stand: in `labels` for the last `images` of its path, else
    beside it."""
    parts = list(image.relative_to(root).parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place].lower() == "images":
            parts[place] = "labels"
            break
    return root.joinpath(*parts).with_suffix(".txt")


def _annotated(image: Path, lines: Path | None, classes: Sequence[str]) -> Annotated:
    found = Annotated({"bytes": None, "path": str(image)})
    size = rows.size_of(found.media)
    if size == rows.UNKNOWN:  # and so are the boxes, which are shares of it
        return found
    for number, line in enumerate(_text(lines).splitlines() if lines else (), start=1):
        if line.strip():
            where = f"{lines}, line {number}"
            label, box = _object(line, where, classes, size)
            checked = rows.checked(box, size, where, Notes())
            assert checked is not None
            found.add(checked, label)
    return found


def _object(line: str, where: str, classes: Sequence[str], size: rows.Size) -> tuple[str, Box]:
    """The class and the box of a line, in pixels."""
    words = line.split()
    try:
        number, *shares = map(float, words)
    except ValueError:
        raise UserError(f"{where}: {line.strip()[:60]!r} are not numbers") from None
    if len(shares) != 4 and (len(shares) < 6 or len(shares) % 2):
        raise UserError(
            f"{where} has {len(words)} numbers: they are class, centre x, centre y, width, height,"
            " or class and x and y of each corner"
        )
    if not number.is_integer() or not 0 <= number < len(classes):
        raise UserError(f"{where} is of class {words[0]}; there are 0 to {len(classes) - 1}")
    if not all(map(math.isfinite, shares)):
        raise UserError(f"{where}: the box {words[1:]} is not finite")
    if max(shares) > 1 + _SLACK:
        raise UserError(
            f"{where}: {max(shares):g} is more than 1: positions and sizes are shares of the"
            " image's sides, and no pixels"
        )
    if len(shares) == 4:
        x, y, wide, tall = shares
        if wide < 0 or tall < 0:
            raise UserError(f"{where}: width and height must be more than 0")
        ends = [x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2]
    else:
        across, down = shares[::2], shares[1::2]
        ends = [min(across), min(down), max(across), max(down)]
    height, width = size
    return classes[int(number)], (
        ends[0] * width,
        ends[1] * height,
        ends[2] * width,
        ends[3] * height,
    )
