"""Boxes in tables: one row a box, or one row an image with a column `objects`."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.data import tables
from tasks.data.columns import find_column, folded
from tasks.errors import UserError
from tasks.media.rows import objects_feature
from tasks.vision import box_rows as rows
from tasks.vision.box_args import BoxFormat
from tasks.vision.box_rows import Annotated, Annotations, Box, Notes
from tasks.vision.images import IMAGE

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

_COLUMNS: tuple[tuple[tuple[str, str, str, str], BoxFormat], ...] = (
    (("xmin", "ymin", "xmax", "ymax"), "xyxy"),
    (("x_min", "y_min", "x_max", "y_max"), "xyxy"),
    (("x0", "y0", "x1", "y1"), "xyxy"),
    (("x1", "y1", "x2", "y2"), "xyxy"),
    (("left", "top", "right", "bottom"), "xyxy"),
    (("x", "y", "width", "height"), "xywh"),
    (("x", "y", "w", "h"), "xywh"),
    (("left", "top", "width", "height"), "xywh"),
)
_LABELS = ("label", "class", "category", "class_name", "category_name", "name")
_IMAGES = (*IMAGE.columns, "filename", "image_id")
_OBJECTS = ("objects", "annotations")
_BOXES = ("bbox", "bboxes", "boxes", "box")
_CATEGORIES = ("category", "categories", "category_id", "label", "labels", "class", "classes",
               "class_id")  # fmt: skip
_CROWDS = ("iscrowd", "is_crowd", "crowd")


def box_columns(names: Iterable[str]) -> tuple[tuple[str, ...], BoxFormat] | None:
    """Return the four columns of a table that hold a box, and how; None where there are none."""
    by_folded = {folded(name): name for name in names}
    for columns, how in _COLUMNS:
        if all(column in by_folded for column in columns):
            return tuple(by_folded[column] for column in columns), how
    return None


def has_boxes(schema: "pa.Schema") -> bool:
    """Return whether a table has boxes: in four columns, or in one of objects."""
    import pyarrow as pa

    nested = {folded(one.name) for one in schema if pa.types.is_nested(one.type)}
    return box_columns(schema.names) is not None or not nested.isdisjoint(_OBJECTS)


def read(root: Path, by_split: Mapping[str, Sequence[Path]], asked: str | None) -> Annotations:
    """Return the images and objects of tables with one row a box. A row without numbers is an image
    without objects.

    Args:
        root: the folder of the data set.
        by_split: the tables of each split.
        asked: the column of the images' paths, which count from the folder of the table.

    Raises `UserError` with file and line.
    """
    splits: dict[str, list[Annotated]] = {}
    for split, paths in by_split.items():
        found: dict[Path, Annotated] = {}
        for path in paths:
            for image, label, box in _boxes(path, asked):
                row = found.setdefault(image, Annotated({"bytes": None, "path": str(image)}))
                if box is not None:
                    row.add(box, label)
        splits[split] = list(found.values())
    labels = {label for split in splits.values() for row in split for label in row.labels}
    every = [path for paths in by_split.values() for path in paths]
    return Annotations(splits, sorted(labels), every, root)


def _boxes(path: Path, asked: str | None) -> Iterator[tuple[Path, str, Box | None]]:
    """The image of each row, its label, and its box."""
    table = tables.read(path)
    columns = box_columns(table.column_names)
    if columns is None:
        raise UserError(f"{path} has no columns of boxes (xmin, ymin, xmax, ymax)")
    image_column = find_column(table.column_names, asked, _IMAGES, "image", str(path))
    label_column = find_column(table.column_names, None, _LABELS, "label", str(path))
    images, labels, *numbers = (
        table.column(name).to_pylist() for name in (image_column, label_column, *columns[0])
    )
    known: dict[Any, tuple[Path, rows.Size]] = {}
    for row, (name, label, *values) in enumerate(zip(images, labels, *numbers, strict=True)):
        try:
            if name not in known:
                image = path.parent / rows.relative(name, "")
                if not image.is_file():
                    raise UserError(f" names {name[:120]!r}, and there is no such image")
                known[name] = image, rows.size_of({"bytes": None, "path": str(image)})
            image, size = known[name]
            if all(value is None or value == "" for value in values):
                yield image, "", None
                continue
            box = _box(values, columns[1])
            if box is None:
                raise UserError(f" has {values} where four numbers should be")
            if label is None or not str(label).strip():
                raise UserError(" has no label")
            checked = rows.checked(box, size, "", Notes())
        except UserError as problem:
            # the place is found by reading the file once more, so only where it is told
            place = f"{path}, {tables.place_of(path, row)}"
            raise UserError(f"{place}{problem}") from None
        assert checked is not None
        yield image, str(label).strip(), checked


def _box(values: Sequence[Any], how: BoxFormat) -> Box | None:
    """The corners of a box; None where its values are no numbers."""
    try:
        x0, y0, x1, y1 = map(float, values)
    except (TypeError, ValueError):
        return None
    return (x0, y0, x0 + x1, y0 + y1) if how == "xywh" else (x0, y0, x1, y1)


def canonical(
    splits: "datasets.DatasetDict", asked: str | None, how: BoxFormat, where: str
) -> "datasets.DatasetDict":
    """Return splits of one row an image with the columns media and objects alone, the latter as
    `tasks.media.rows.objects_feature` has it.

    Boxes and classes stand in a column `objects` with `bbox` and `category` (or a name like it), a
    list each, or a list of such objects, or in columns of their own. Boxes that reach out of their
    image are cut, those of no area left out, with a note.

    Args:
        asked: the column of the objects.
        where: the data's name, for messages.

    Raises `UserError` with split and row, also where most boxes must be corners, and `how` says
    that they are none.
    """
    notes, written = Notes(), _Written(how)
    names: list[str] | None = None
    found = {}
    for split, data in splits.items():
        objects, declared = _objects(data, asked, f"{split} of {where}")
        if names is not None and declared is not None and declared != names:
            raise UserError(f"{split} of {where} has other classes than the split before it")
        names = names or declared
        found[split] = [
            _annotated(media, one, written, names, f"{where}, row {row + 1} of {split}", notes, row)
            for row, (media, one) in enumerate(zip(data["media"], objects, strict=True))
        ]
    written.must_fit()
    notes.tell()
    labels = {label for split in found.values() for row in split for label in row.labels}
    return _with_objects(splits, found, names or sorted(labels, key=_order))


@dataclass
class _Written:
    """How boxes are written, and how many of them seem to be written otherwise."""

    how: BoxFormat
    boxes: int = 0
    corners: int = 0
    """Boxes that reach out of their image, and would not if they were two corners."""
    first: str = ""

    def box(self, values: Sequence[float], size: rows.Size, where: str) -> Box:
        """Return the corners of a box in an image of this height and width."""
        box = _box(values, self.how)
        assert box is not None, "values are checked before"
        height, width = size
        x0, y0, x1, y1 = values
        reaches_out = max(box[2] - width, box[3] - height) > rows.ROUNDED
        are_corners = x0 < x1 <= width + rows.ROUNDED and y0 < y1 <= height + rows.ROUNDED
        self.boxes += 1
        if reaches_out and are_corners:
            self.first = self.first or where
            self.corners += 1
        return box

    def must_fit(self) -> None:
        """Raise `UserError` where most boxes are written otherwise."""
        if 2 * self.corners > self.boxes:
            raise UserError(
                f"`box_format` {self.how}: {self.corners:,} of {self.boxes:,} boxes reach out of"
                f" their image this way, and lie in it as two corners, xyxy; the first is"
                f" {self.first}"
            )


def _with_objects(
    splits: "datasets.DatasetDict",
    found: Mapping[str, Sequence[Annotated]],
    classes: Sequence[str],
) -> "datasets.DatasetDict":
    import datasets
    import pyarrow as pa

    places = {name: place for place, name in enumerate(classes)}
    schema = datasets.Features({"objects": objects_feature(classes)}).arrow_schema
    made = {}
    for split, data in splits.items():
        values = [row.objects(places) for row in found[split]]
        added = datasets.Dataset(pa.table({"objects": pa.array(values, schema[0].type)}, schema))
        pictures = data.select_columns(["media"])
        made[split] = datasets.concatenate_datasets([pictures, added], axis=1)
    return datasets.DatasetDict(made)


def _order(label: str) -> tuple[bool, int, str]:
    """Numbers by their value, before names."""
    is_number = label.isascii() and label.isdigit()
    return not is_number, int(label) if is_number else 0, label


def _objects(
    data: "datasets.Dataset", asked: str | None, where: str
) -> tuple[list[Mapping[str, Any] | None], list[str] | None]:
    """The objects of each row, a list by name, and the names of the classes where the data declare
    them."""
    names = data.column_names
    by_folded = {folded(name): name for name in names}
    if asked is None and not any(name in by_folded for name in _OBJECTS):
        boxes, category = (
            next((n for n in usual if n in by_folded), None) for usual in (_BOXES, _CATEGORIES)
        )
        if boxes is not None and category is not None:
            kept = data.select_columns([by_folded[boxes], by_folded[category]])
            feature: Any = {name: kept.features[name] for name in kept.column_names}
            return [dict(row) for row in kept], _names_in(feature)
    column = find_column(names, asked, _OBJECTS, "objects", where)
    feature = data.features[column]
    return [_by_name(value) for value in data[column]], _names_in(feature)


def _by_name(value: Any) -> Mapping[str, Any] | None:
    """Objects as a list by name, where they are a list of objects."""
    if isinstance(value, list):
        keys = {key for one in value if isinstance(one, Mapping) for key in one}
        return {key: [one.get(key) for one in value] for key in keys}
    return value if isinstance(value, Mapping) else None


def _names_in(feature: Any) -> list[str] | None:
    """The names of the classes, where some part of a feature declares them."""
    if hasattr(feature, "names"):
        return list(feature.names)
    inner = (
        feature.values() if isinstance(feature, Mapping) else [getattr(feature, "feature", None)]
    )
    return next((found for one in inner if one is not None and (found := _names_in(one))), None)


def _annotated(
    media: Mapping[str, Any],
    objects: Mapping[str, Any] | None,
    written: _Written,
    names: Sequence[str] | None,
    where: str,
    notes: Notes,
    row: int,
) -> Annotated:
    made = Annotated(media)
    if not objects:
        return made
    columns = [_column(objects, usual) for usual in (_BOXES, _CATEGORIES, _CROWDS, ("area",))]
    boxes, categories, crowds, areas = columns
    if boxes is None or categories is None:
        raise UserError(f"{where}: objects have {', '.join(objects)}, and not bbox and category")
    lengths = {len(column) for column in columns if column is not None}
    if len(lengths) > 1:
        raise UserError(f"{where} has {len(boxes)} boxes and {len(categories)} categories")
    size = rows.size_of(media) if boxes else (0, 0)
    for number, (values, category) in enumerate(zip(boxes, categories, strict=True)):
        place = f"{where}, object {number + 1}"
        box = written.box(rows.of_numbers(values, 4, place, "bbox"), size, place)
        checked = rows.checked(box, size, place, notes, lenient=True)
        label = _label(category, names, place)
        if checked is not None:
            area = rows.number_of(areas[number]) if areas else None
            given = area is not None and 0 < area < math.inf
            made.add(checked, label, bool(crowds and crowds[number]), area if given else None)
    return made


def _label(category: Any, names: Sequence[str] | None, where: str) -> str:
    """The name of a class that is given by its name or place."""
    if isinstance(category, bool) or not isinstance(category, int | str):
        raise UserError(f"{where} has {str(category)[:60]!r} for its category")
    if names is None:
        return str(category)
    if isinstance(category, int) and 0 <= category < len(names):
        return names[category]
    raise UserError(f"{where} is of class {category}; there are 0 to {len(names) - 1}")


def _column(objects: Mapping[str, Any], usual: Sequence[str]) -> list[Any] | None:
    found = next((objects[name] for name in usual if objects.get(name) is not None), None)
    return found if isinstance(found, list) else None
