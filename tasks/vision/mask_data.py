"""Images with masks as examples, wherever they come from: folders, tables, parquet, the Hub."""

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tasks.data import columns
from tasks.data.source import DataArgs, Source
from tasks.data.source import load as load_data
from tasks.errors import UserError
from tasks.media import files, rows
from tasks.media.source import BadFile, Companion, name_of
from tasks.paths import expanded
from tasks.printing import print_lines
from tasks.vision import class_table, mask_files, mask_folders
from tasks.vision.class_table import IGNORED, MOST_CLASSES, ClassTable
from tasks.vision.embedded import scenes
from tasks.vision.images import IMAGE
from tasks.vision.mask_files import MASK

if TYPE_CHECKING:
    import datasets
    import numpy as np
    import pyarrow as pa

CLASS_FILES = ("classes.txt", "classes.csv", "classes.json", "labelmap.txt", "class_dict.csv")
"""Names of files at the root of a folder of data that list its classes."""
NOTED = '{"table":'  # how the note of `keep_classes` begins
ROWS_A_JOB = 32
LOOKED_AT = 100  # values of a column that say whether it has paths

T = TypeVar("T")
Load = Callable[[], "datasets.DatasetDict"]


def load(data: DataArgs, embedded: Load, image_column: str | None, mask: str | None) -> Source:
    """Return the examples that `data` names, each split with the columns media and mask, both
    {"bytes", "path"}; mask is null where there is none.

    - A folder with images and masks side by side (`tasks.vision.mask_folders`), where no table
      in it (train.csv, metadata.csv) says which belong together.
    - Whatever `tasks.media.source.load_media` takes that has a column of masks: a table with paths
      of both, a cell of a mask perhaps empty, parquet with the files themselves, the Hub.

    A fingerprint is over images and masks.

    Args:
        embedded: makes the data that come with us, in these columns.
        mask: the column of masks; by default the one that has a usual name.

    Raises `UserError` in one line, with file and line where there is one.
    """

    def read(path: Path) -> "tuple[datasets.DatasetDict, str]":
        root = path.absolute()
        if root.is_dir() and (pairs := mask_folders.find(root, image_column, mask)) is not None:
            return mask_folders.load(root, pairs)
        return files.load(
            path, IMAGE, image_column, unlabeled=False, companion=Companion(MASK, mask)
        )

    source = load_data(data, embedded, read)
    splits = rows.plain(source.splits, IMAGE, image_column, source.name)
    column = _mask_column(splits, mask, source.name)
    both = columns.select(
        splits, {rows.MEDIA: rows.MEDIA, column: "mask"}, source.name, may_miss=("mask",)
    )
    for name, split in both.items():
        if not _is_plain(split):
            values = columns.values_of(split, "mask")
            both[name] = columns.with_column(split, "mask", _structs(values, column, source.name))
    return dataclasses.replace(source, splits=both)


def _mask_column(splits: "datasets.DatasetDict", asked: str | None, where: str) -> str:
    names = [name for name in columns.names_of(splits) if name != rows.MEDIA]
    try:
        column = columns.find_column(names, asked, MASK.columns, "mask", where)
    except UserError:
        if asked is not None or names:
            raise
        raise _no_masks(where) from None
    if asked is None and _are_names(splits, column):  # as in a folder by label
        raise _no_masks(where)
    return column


def _are_names(splits: "datasets.DatasetDict", column: str) -> bool:
    """Return whether a column has texts of which none can be the name of a mask's file."""
    if not rows.is_text(_stored(splits, column)):
        return False
    split = next(iter(splits.values()))
    values = split[:LOOKED_AT][column]
    return not any(Path(str(value)).suffix.lower() in MASK.suffixes for value in values)


def _no_masks(where: str) -> UserError:
    return UserError(
        f"{where} has images and no masks: put the masks beside them (images/cat.jpg and"
        " masks/cat.png), or give a table with a column of each"
    )


def _stored(splits: "datasets.DatasetDict", column: str) -> "pa.DataType":
    split = splits["train"] if "train" in splits else next(iter(splits.values()))
    return split.features.arrow_schema.field(column).type


def _is_plain(split: "datasets.Dataset") -> bool:
    feature = split.features["mask"]
    return isinstance(feature, dict) and set(feature) == {"bytes", "path"}


def _structs(masks: "pa.ChunkedArray", column: str, where: str) -> "pa.ChunkedArray":
    """Return masks as {"bytes", "path"}. Raises `UserError` for a column of something else."""
    import pyarrow as pa

    if not rows.holds_bytes(masks.type) and masks.null_count < len(masks):
        raise UserError(f"the column {column!r} of {where} holds {masks.type}, not mask files")
    form = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    return pa.chunked_array([rows.structs(chunk) for chunk in masks.chunks], form)


def classes_of(
    data: DataArgs,
    asked: str | None,
    train: "datasets.Dataset",
    ignore_index: int,
    max_pixels: int,
) -> ClassTable:
    """Return the classes of masks: of the file asked for, of one beside the data (`CLASS_FILES`),
    else one for each number that the masks of train have.

    Raises `UserError` for a file that lists none, and for masks whose classes nobody can say.
    """
    if asked is not None:
        table = class_table.read(expanded(asked))
    elif (found := listed(data)) is not None:
        table, _ = found
    else:
        return _of_train(train, ignore_index, max_pixels)
    if len(table.names) == 2 and not table.colours and ignore_index not in table.values:
        _must_have_both(train, table, ignore_index, max_pixels)
    return table


def listed(data: DataArgs) -> tuple[ClassTable, str] | None:
    """Return the classes that data list themselves, in a file beside them (`CLASS_FILES`), and
    where; None where nothing lists them.

    Raises `UserError` where several files do, and for one that cannot be read.
    """
    if data.data == "embedded":
        names = ("background", *scenes.CLASSES)
        return ClassTable(names, tuple(range(len(names)))), data.data
    root = expanded(data.data)
    beside = [root / name for name in CLASS_FILES if (root / name).is_file()]
    if len(beside) > 1:
        names_of_files = " and ".join(file.name for file in beside)
        raise UserError(f"{root} has {names_of_files}: say with `classes` which of them counts")
    return (class_table.read(beside[0]), str(beside[0])) if beside else None


def keep_classes(
    split: "datasets.Dataset", table: ClassTable, where: str, trained: ClassTable
) -> None:
    """Note in the description of a split which classes its masks hold, as `listed` says it.

    Raises `UserError` for a class that is none of the trained ones.
    """
    places = class_table.places_of(table, trained, where)
    split.info.description = json.dumps({"table": dataclasses.asdict(table), "places": places})


def kept_classes(
    split: "datasets.Dataset", trained: ClassTable
) -> tuple[ClassTable, tuple[int, ...]]:
    """Return the classes that the masks of a split hold, and which of the trained ones each is:
    those of `keep_classes`, else the trained ones themselves."""
    if not (description := split.info.description).startswith(NOTED):
        return trained, tuple(range(len(trained.names)))
    noted = json.loads(description)
    return class_table.of_record(noted["table"]), tuple(noted["places"])


def _must_have_both(
    train: "datasets.Dataset", table: ClassTable, ignore_index: int, max_pixels: int
) -> None:
    """Raise `UserError` where train has pixels of one of two classes alone, and others that are
    `ignore_index`: black and white masks, whose white is 255."""
    seen: set[int] = set()
    find = _values_of(train, max_pixels, skip=True)
    for start in range(0, train.num_rows, ROWS_A_JOB):
        seen |= find(start)
        if seen >= set(table.values):
            return
    absent = [name for name, one in zip(table.names, table.values, strict=True) if one not in seen]
    if ignore_index in seen:
        name = absent[0]
        raise UserError(
            f"no mask of train has a pixel of {name!r}, number"
            f" {table.values[table.names.index(name)]}, and some have {ignore_index}, which is"
            f" `ignore_index`, the number of pixels that do not count: if those are {name!r}, give"
            f" `classes` as csv with the columns name and value, and {name},{ignore_index} in it"
        )


def _values_of(
    train: "datasets.Dataset", max_pixels: int, skip: bool = False
) -> Callable[[int], set[int]]:
    """Return what finds the numbers in the masks of some rows, from one on (`ROWS_A_JOB`).

    Args:
        skip: pass over files that are no masks of numbers, which are a `UserError` else.
    """
    stored = train.select_columns(["mask"]).with_format("arrow")

    def job(start: int) -> set[int]:
        found: set[int] = set()
        column = stored[start : start + ROWS_A_JOB].column("mask")
        for row, value in enumerate(column, start):
            mask = value.as_py()
            if not has_file(mask):
                continue
            try:
                found.update(mask_files.values_of(mask, max_pixels))
            except BadFile as problem:
                if not skip:
                    raise UserError(f"the mask {name_of(mask, row)}: {problem}") from None
        return found

    return job


def _of_train(train: "datasets.Dataset", ignore_index: int, max_pixels: int) -> ClassTable:
    """Return one class for each number in the masks of train."""
    values = sorted(set().union(*_in_threads(_values_of(train, max_pixels), train.num_rows)))
    if values == [0, IGNORED] and ignore_index == IGNORED:
        raise UserError(
            "the masks of train hold 0 and 255 alone, and 255 is `ignore_index`, the number of"
            " pixels that do not count: if it is a class here, give `ignore_index` -1"
        )
    classes = [value for value in values if value != ignore_index]
    if not classes:
        raise UserError("no mask of train has a pixel that counts: all are `ignore_index`")
    if len(classes) > MOST_CLASSES:
        raise UserError(
            f"the masks of train hold {len(classes):,} different numbers, at most {MOST_CLASSES}"
            " are classes: these are no masks of classes (of depth, or of single things?)"
        )
    return class_table.of_values(classes)


def pixel_counts(
    train: "datasets.Dataset", table: ClassTable, ignore_index: int, max_pixels: int
) -> list[int]:
    """Return how many pixels of each class the masks of train have, at their own size.

    Masks that can't be read count nothing: they are told where images are read.
    """
    import numpy as np

    stored = train.select_columns(["mask"]).with_format("arrow")

    def job(start: int) -> np.ndarray:
        counts = np.zeros(256, np.int64)
        for value in stored[start : start + ROWS_A_JOB].column("mask"):
            with contextlib.suppress(BadFile):
                mask = mask_files.decode(value.as_py(), table, ignore_index, max_pixels)
                counts += mask_files.pixels_of_classes(mask)
        return counts

    total = np.zeros(256, np.int64)
    for counts in _in_threads(job, train.num_rows):
        total += counts
    return [int(count) for count in total[: len(table.names)]]


def _in_threads(job: Callable[[int], T], rows: int) -> Iterator[T]:
    """Yield what a job makes of masks, from each `ROWS_A_JOB`th of so many rows on, in order."""
    from tqdm import tqdm

    starts = range(0, rows, ROWS_A_JOB)
    with (
        ThreadPoolExecutor(thread_name_prefix="masks") as pool,
        tqdm(
            total=rows, desc="reading masks", unit="file", delay=1, leave=False, disable=None
        ) as bar,
    ):
        try:
            for start, found in zip(starts, pool.map(job, starts), strict=True):
                yield found
                bar.update(min(ROWS_A_JOB, rows - start))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def has_file(media: Any) -> bool:
    """Return whether a value of the column media or mask names a file or holds one."""
    return media is not None and (media["bytes"] is not None or media["path"] is not None)


def with_masks(source: Source) -> "tuple[datasets.DatasetDict, tuple[str, ...]]":
    """Return the splits without those of their rows that have no mask, which are told, and the
    names of the splits that have none at all, which are as they were.

    Raises `UserError` where no row has a mask, or none to train on.
    """
    import datasets
    import numpy as np

    kept, without = {}, []
    for name, split in source.splits.items():
        there = _have_masks(split)
        if not there.any():
            without.append(name)
        elif not there.all():
            lacking = np.flatnonzero(~there)
            count = f"{len(lacking):,} image{'s'[: len(lacking) != 1]}"
            first = int(lacking[0])
            named = name_of(split[first][rows.MEDIA], first)
            print_lines(
                f"warning: {name} has {count} without a mask, left out; the first is {named}",
                file=sys.stderr,
            )
            split = split.select(np.flatnonzero(there))
        kept[name] = split
    if "train" in without or len(without) == len(kept):
        where = "train of " if len(without) < len(kept) else ""
        raise UserError(f"{where}{source.name} has no masks: no row names or holds one")
    return datasets.DatasetDict(kept), tuple(without)


def _have_masks(split: "datasets.Dataset") -> "np.ndarray":
    """Return which rows have a mask, bool [rows]."""
    import numpy as np
    import pyarrow.compute as pc

    there = np.zeros(split.num_rows, np.bool_)
    start = 0
    for chunk in columns.values_of(split, "mask").chunks:
        for part in chunk.flatten():  # which makes the fields of a null struct null
            there[start : start + len(chunk)] |= np.asarray(pc.is_valid(part))
        start += len(chunk)
    return there
