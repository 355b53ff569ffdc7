"""Images with boxes, wherever they come from: COCO's, YOLO's and Pascal VOC's files, tables, the
Hub, or the embedded scenes."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.data import files as data_files
from tasks.data import tables as data_tables
from tasks.data.source import DataArgs, Source
from tasks.data.source import load as load_data
from tasks.errors import UserError
from tasks.media import files as media_files
from tasks.media import rows as media_rows
from tasks.media.parquet import schema_of
from tasks.vision import box_tables, coco, voc, yolo
from tasks.vision.box_args import BoxFormat
from tasks.vision.box_rows import Annotations
from tasks.vision.embedded import scenes
from tasks.vision.images import IMAGE

if TYPE_CHECKING:
    import datasets

__all__ = ["BoxFormat", "load"]

VERSION = 1  # of the rows made of the same files: raise it with every change of the readers
_COCO = re.compile(r'"(images|annotations|categories)"\s*:\s*\[')
_KNOWN = (
    "there may be annotations/*.json as COCO has them, labels/*.txt and a data.yaml as YOLO has"
    " them, Annotations/*.xml as Pascal VOC has them, a table with xmin, ymin, xmax, ymax, or a"
    " metadata.jsonl with objects"
)
_HEAD = 2**16  # bytes of a JSON file in which one of COCO's arrays begins


def load(
    args: DataArgs,
    image_column: str | None = None,
    objects_column: str | None = None,
    box_format: BoxFormat = "xywh",
) -> Source:
    """Return the images that `args.data` names, each split with the columns media (see
    `tasks.media.source`) and objects (see `tasks.media.rows.objects_feature`).

    - A folder or a JSON file of COCO's, a folder of YOLO's, a folder of Pascal VOC's.
    - A table of boxes (csv, tsv, xlsx, json, jsonl, parquet), or a folder of one for each split: a
      column of images, one of labels, and four of the box.
    - A folder with metadata.jsonl, a table, parquet with the images, or a Hub id, whose column
      objects has bbox and category, as `datasets` and the Hub have them.
    - "embedded": the scenes, with a column mask besides.

    Args:
        image_column, objects_column: columns of a table; by default those with a usual name.
        box_format: how boxes in a column objects are written. Files of the other formats, and
            columns of corners, say it themselves.

    Raises `UserError` in one line, with file and row.
    """
    is_done = args.data == "embedded"

    def read(path: Path) -> "tuple[datasets.DatasetDict, str]":
        nonlocal is_done
        root = path.absolute()
        annotations = (
            _in_folder(root, image_column) if root.is_dir() else _in_file(root, image_column)
        )
        if annotations is None:
            return media_files.load(path, IMAGE, image_column, unlabeled=False)
        is_done = True
        return _kept(annotations, image_column)

    source = load_data(args, scenes.load, read)
    if is_done:
        return source
    splits = media_rows.plain(source.splits, IMAGE, image_column, source.name)
    made = box_tables.canonical(splits, objects_column, box_format, source.name)
    _must_have_objects(made, source.name)
    return replace(source, splits=made)


def is_annotated(root: Path, every: Sequence[Path]) -> bool:
    """Return whether files below a folder say where things are in its images, as COCO, YOLO or
    Pascal VOC have it.

    Raises `UserError` as `load` does, for YOLO's without a list of their classes.
    """
    found = coco.find(root, every) or {}
    return (
        any(map(is_coco, found.values()))
        or voc.find(every) is not None
        or yolo.find(root, every) is not None
    )


def _in_folder(root: Path, image_column: str | None) -> Annotations | None:
    """What a folder holds in one of the formats; None where it has none of them."""
    _, every = media_files.walk(root)
    by_split = coco.find(root, every)
    if by_split is not None:
        return coco.read(root, by_split, every)
    if (annotated := voc.find(every)) is not None:
        return voc.read(root, annotated, every)
    if (names := yolo.find(root, every)) is not None:
        return yolo.read(root, names, every)
    data = [
        file for file in every if file.suffix.lower() in data_tables.READERS and _has_boxes(file)
    ]
    if data:
        return box_tables.read(root, data_files.by_split(root, data), image_column)
    if not any(file.suffix.lower() in data_tables.READERS for file in every):
        raise UserError(f"the folder {root} has no boxes: {_KNOWN}")
    return None


def _in_file(path: Path, image_column: str | None) -> Annotations | None:
    """What a file holds in one of the formats; None where it is none of them."""
    suffix = path.suffix.lower()
    if suffix in {".yaml", ".yml"}:
        _, every = media_files.walk(path.parent)
        return yolo.read(path.parent, path, every)
    if suffix == ".xml":
        raise UserError(f"{path} describes one image: give the folder of the data set")
    split = data_files.split_of(Path(path.name)) or "train"
    if suffix == ".json" and is_coco(path):
        root = path.parent.parent if path.parent.name.lower() == "annotations" else path.parent
        _, every = media_files.walk(root)
        return coco.read(root, {split: path}, every)
    if suffix in data_tables.READERS and _has_boxes(path):
        return box_tables.read(path.parent, {split: [path]}, image_column)
    return None


def is_coco(path: Path) -> bool:
    """Return whether a JSON file begins as one of COCO's. Raises `UserError` for one that cannot be
    read."""
    try:
        with path.open("rb") as file:
            return bool(_COCO.search(file.read(_HEAD).decode("utf-8", "replace")))
    except OSError as problem:
        raise UserError(f"{path} cannot be read: {problem.strerror}") from None


def _has_boxes(path: Path) -> bool:
    """Return whether a table has columns of boxes, by its head where that is enough: parquet may
    hold the images themselves."""
    is_parquet = path.suffix.lower() == ".parquet"
    names = schema_of(path).names if is_parquet else data_tables.read(path).column_names
    return box_tables.box_columns(names) is not None


def _kept(annotations: Annotations, image_column: str | None) -> "tuple[datasets.DatasetDict, str]":
    """The splits in the cache of `datasets`, and their fingerprint."""
    import datasets
    import pyarrow as pa

    root = annotations.root
    media = [row.media["path"] for split in annotations.splits.values() for row in split]
    digest = media_rows.digest_of(root, [*annotations.files, *map(Path, dict.fromkeys(media))])
    file = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    objects = media_rows.objects_feature(annotations.classes)
    schema = datasets.Features({"media": file, "objects": objects}).arrow_schema
    places = {name: place for place, name in enumerate(annotations.classes)}
    made = {
        split: pa.Table.from_pylist(
            [{"media": row.media, "objects": row.objects(places)} for row in found], schema
        )
        for split, found in annotations.splits.items()
        if found
    }
    splits = media_rows.Copies(digest, str(root), "boxes", VERSION, image_column).keep(made)
    _must_have_objects(splits, str(root))
    return splits, digest


def _must_have_objects(splits: "datasets.DatasetDict", where: str) -> None:
    """Raise `UserError` where no image has any object."""
    if not any(row["bbox"] for split in splits.values() for row in split["objects"]):
        raise UserError(f"none of the images of {where} has an object in it")
