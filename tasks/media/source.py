"""Examples that are files: images and sound, wherever they come from.

A split has a column `media` of {"bytes", "path"}, never decoded: the bytes where they came in a
table, the path where they lie in a file of their own. `tasks.media.decoding` makes arrays of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.data.source import DataArgs, Source
from tasks.data.source import load as load_data
from tasks.media import files, rows

if TYPE_CHECKING:
    import datasets

    ReadArrays = Callable[[Path, Sequence[Path]], tuple[datasets.DatasetDict, str] | None]


class BadFile(Exception):
    """A file that cannot be used. Its text is a short reason without the file's name:
    "truncated JPEG: 1,204 of about 5,000 bytes"; who catches it knows the name.
    """


@dataclass(frozen=True)
class MediaKind:
    """A kind of media, images or sounds, and how their files are recognised."""

    name: str
    """"image" or "audio", as it stands in messages"""
    suffixes: frozenset[str]
    """Of the files in a folder by label, lower case, with the dot."""
    columns: tuple[str, ...]
    """Usual names of the column that holds them or their paths, best first."""
    of_arrays: "ReadArrays | None" = None
    """Reads data sets in formats that only this kind has, given a folder and the files below it, or
    one file and those beside it; gives None where there is none."""


@dataclass(frozen=True)
class Companion:
    """A second column of files that belong to the media of their rows: the masks of images.

    Its cells may be empty.
    """

    kind: MediaKind
    column: str | None = None
    """Its name; by default a usual one of its kind."""


def name_of(media: Mapping[str, Any], row: int) -> str:
    """Return what messages call a file: its path, else "row 12" for `row` 11 of its split."""
    return str(media["path"]) if media.get("path") else f"row {row + 1}"


def load_media(
    args: DataArgs,
    kind: MediaKind,
    embedded: "Callable[[], datasets.DatasetDict]",
    column: str | None = None,
    *,
    unlabeled: bool = False,
) -> Source:
    """The examples that `args.data` names, each split with a column `media` and all its others.

    - A folder by label, LABEL/*.png or SPLIT/LABEL/*.png: columns media and label (string).
    - A folder with metadata.csv or metadata.jsonl, at its root or in each split's folder, whose
      column file_name names files beside it (ImageFolder, AudioFolder).
    - Where a folder has neither, a data set in a format of the kind's own (MNIST's, CIFAR's).
    - A table or a folder of split tables (csv, tsv, xlsx, json, parquet) with a column of paths,
      absolute or from the table's folder, or in parquet of bytes or Hugging Face's {bytes, path}.
    - A Hub id, or "embedded": what `embedded` makes, which has its `media` already.

    Features are plain values: nothing decodes. Paths in rows are absolute; the fingerprint is over
    relative paths and bytes and does not change when a folder moves.

    Args:
        column: the column that holds the media; by default the one whose type or name says so.
        unlabeled: all files anywhere below a folder, and no column but `media`, from any source.

    Raises `UserError` in one line, with file and line where there is one.
    """
    source = load_data(
        args, embedded, lambda path: files.load(path, kind, column, unlabeled=unlabeled)
    )
    splits = rows.plain(source.splits, kind, column, source.name)
    if unlabeled:
        splits = splits.select_columns([rows.MEDIA])
    return replace(source, splits=splits)
