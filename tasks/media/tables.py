"""Tables of media: csv, json or parquet with a column of paths, or parquet with the bytes."""

import os
import re
import stat
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.data import files, tables
from tasks.data.columns import folded
from tasks.data.splits import CANONICAL
from tasks.errors import UserError, shortened
from tasks.media import parquet
from tasks.media import rows as media_rows
from tasks.printing import print_lines

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

    from tasks.media.source import Companion, MediaKind

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|data:")
LONGEST_SHOWN = 120  # characters of a path that a message quotes
LABELS_TOO = {"annotation", "annotations", "gt", "ground_truth", "label", "label_map", "labels"}
"""Names of columns of masks that labels of whole images have too."""


def load(
    root: Path,
    by_split: Mapping[str, Sequence[Path]],
    kind: "MediaKind",
    asked: str | None,
    companion: "Companion | None" = None,
) -> "tuple[datasets.DatasetDict, str]":
    """The splits in tables below `root`, whose paths count from each table's own folder.

    Args:
        companion: a second column of files, which keeps its name. Where it holds paths or files,
            its values become {"bytes", "path"}, an empty cell null, and its files are part of the
            fingerprint; else it is as it was.
    """
    with_bytes = parquet.load(root, by_split, kind, asked, companion)
    if with_bytes is not None:
        return with_bytes
    listed: dict[str, Path] = {}
    made = {}
    for split, paths in by_split.items():
        parts = []
        for path in paths:
            table, found, others = _with_paths(root, path, kind, asked, companion)
            parts.append(table)
            listed |= {name: file for name, file in found if file is not None} | others
        made[split] = _featured(files.concat(list(paths), parts))
    every = [path for paths in by_split.values() for path in paths]
    digest = media_rows.digest_of(root, every, listed)
    copies = media_rows.Copies(digest, str(root), "tables", *_key(kind, asked, companion))
    return copies.keep(made), digest


def load_listings(
    root: Path,
    listings: Sequence[Path],
    media: Sequence[Path],
    kind: "MediaKind",
    asked: str | None,
    companion: "Companion | None" = None,
) -> "tuple[datasets.DatasetDict, str]":
    """The splits of metadata.csv and its like. A row belongs to the split whose folder its file
    lies in, and to train where there are none. What lies there unnamed is left out with a word.

    Args:
        companion: see `load`.
    """
    import pyarrow as pa

    parts: dict[str | None, list[tuple[Path, pa.Table]]] = {}
    listed: dict[str, Path] = {}
    for path in listings:
        table, found, others = _with_paths(root, path, kind, asked, companion, usual="file_name")
        listed |= others
        rows: dict[str | None, list[int]] = {}
        for row, (name, file) in enumerate(found):
            if file is not None:
                listed[name] = file
            rows.setdefault(split_of_folders(Path(name)), []).append(row)
        for split, places in rows.items():
            parts.setdefault(split, []).append((path, table.take(pa.array(places))))
    unnamed = parts.pop(None, None)
    if unnamed and parts:
        raise UserError(
            f"{unnamed[0][0]} names files outside of the folders of the splits"
            f" ({', '.join(map(str, parts))}): move them into one"
        )
    if unnamed:
        parts["train"] = unnamed
    _mention_unlisted(root, media, listed.values(), kind)
    made = {
        split: _featured(files.concat(*map(list, zip(*parts[split], strict=True))))
        for split in dict.fromkeys(CANONICAL.values())
        if split in parts
    }
    digest = media_rows.digest_of(root, listings, listed)
    copies = media_rows.Copies(digest, str(root), "listings", *_key(kind, asked, companion))
    return copies.keep(made), digest


def _key(kind: "MediaKind", asked: str | None, companion: "Companion | None") -> list[str | None]:
    """Return what the rows made of tables depend on beside the files."""
    more = [companion.kind.name, companion.column] if companion is not None else []
    return [kind.name, asked, *more]


def split_of_folders(relative: Path) -> str | None:
    """The split that a folder of the path names."""
    for part in relative.parts[:-1]:
        if part.lower() in CANONICAL:
            return CANONICAL[part.lower()]
    return None


def names_media(
    path: Path, kind: "MediaKind", asked: str | None, companion: "Companion | None" = None
) -> bool:
    """Return whether a table has the column asked for, or one that would be taken for media, and
    with it that of the companion."""
    import datasets

    table = None if path.suffix.lower() == ".parquet" else tables.read(path)
    schema = parquet.schema_of(path) if table is None else table.schema
    try:
        features = datasets.Features.from_arrow_schema(schema)
        column = media_rows.find(features, kind, asked, str(path))
    except UserError:
        return False
    if companion is None:
        return True
    if table is None:
        return media_rows.find_companion(schema.names, column, companion) is not None
    return _files_beside(table, column, companion) is not None


Found = list[tuple[str, Path | None]]
"""Of each row the file: its name in the fingerprint, and its absolute path, None where the row has
the bytes or nothing."""


def _with_paths(
    root: Path,
    path: Path,
    kind: "MediaKind",
    asked: str | None,
    companion: "Companion | None",
    usual: str | None = None,
) -> "tuple[pa.Table, Found, dict[str, Path]]":
    """A table with `media` for its column of paths, the file of each row, and the files that the
    column of the companion names, by their names in the fingerprint.
    """
    import datasets

    table = tables.read(path)
    if asked is None and usual in table.column_names:
        asked = usual
    features = datasets.Features.from_arrow_schema(table.schema)
    column = media_rows.find(features, kind, asked, str(path))
    media_rows.features_of(features, column, str(path))  # refuses two columns called media
    stored = table.schema.field(column).type
    if not _may_be_files(stored):
        raise UserError(
            f"the column {column!r} of {path} holds {stored}, not {kind.name} files or paths"
        )
    resolved, found = _resolved(root, path, table, column, may_miss=False)
    named: dict[str, Path] = {}
    if companion is not None and (second := _files_beside(table, column, companion)) is not None:
        values, files_beside = _resolved(root, path, table, second, may_miss=True)
        table = table.set_column(table.column_names.index(second), second, values)
        named = {name: file for name, file in files_beside if file is not None}
    place = table.column_names.index(column)
    return table.set_column(place, media_rows.MEDIA, resolved), found, named


def _may_be_files(stored: "pa.DataType") -> bool:
    import pyarrow as pa

    return (
        media_rows.is_text(stored) or pa.types.is_struct(stored) or media_rows.holds_bytes(stored)
    )


def _files_beside(table: "pa.Table", media: str, companion: "Companion") -> str | None:
    """Return the column of the companion; None where a table has none, or texts in it that cannot
    be paths, as the labels of images are."""
    column = media_rows.find_companion(table.column_names, media, companion)
    if column is None:
        return None
    stored = table.schema.field(column).type
    if not media_rows.is_text(stored):
        return column if _may_be_files(stored) else None
    there = [value for value in table.column(column).to_pylist() if value]
    named = any(Path(value).suffix.lower() in companion.kind.suffixes for value in there)
    means_files = companion.column is not None or folded(column) not in LABELS_TOO
    return column if named or not there or means_files else None


def _resolved(
    root: Path, path: Path, table: "pa.Table", column: str, *, may_miss: bool
) -> "tuple[pa.StructArray, Found]":
    """Return the values of a column as {"bytes", "path"} with absolute paths, and their files.

    Args:
        may_miss: whether a cell may be empty, which makes it null.
    """
    import pyarrow as pa

    media = media_rows.structs(table.column(column).combine_chunks())
    has_bytes = media.field("bytes").is_valid().to_pylist()
    found: Found = []
    shown: list[str | None] = []
    for row, (written, own) in enumerate(
        zip(media.field("path").to_pylist(), has_bytes, strict=True)
    ):
        if own or (may_miss and not (written or "").strip()):
            found.append((f"{path.name}#{row}", None))
            shown.append(written if own else None)
            continue
        written = _as_written_here(path.parent, written)
        file = path.parent / (written or "")
        problem = _problem(written, file)
        if problem:
            raise UserError(f"{path}, {tables.place_of(path, row)}, {problem}")
        assert written, "a row without a name is a problem"
        found.append((_name(root, path.parent, written), file))
        shown.append(str(file))
    paths = pa.array(shown, pa.string())
    return pa.StructArray.from_arrays([media.field("bytes"), paths], ["bytes", "path"]), found


def _as_written_here(folder: Path, written: str | None) -> str | None:
    """A path with the slashes of this system, where it was written on Windows: imgs\\0.png."""
    if written is None or "\\" not in written or os.path.exists(folder / written):  # noqa: PTH110
        return written
    slashed = written.replace("\\", "/")
    # os.path and not Path: a name that is too long is no error, but is not there
    return slashed if os.path.exists(folder / slashed) else written  # noqa: PTH110


def _problem(written: str | None, file: Path) -> str | None:
    """Return what is wrong with a file that a table names; None where nothing is."""
    if not written:
        return "names no file"
    quoted = shortened(written, LONGEST_SHOWN)
    if URL.match(written):
        return f"names a URL ({quoted}): download the files and name them by their paths"
    try:
        mode = file.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return f"names {quoted}, and there is no such file in {file.parent}"
    except OSError as problem:
        return f"names {quoted}, which cannot be read: {problem.strerror}"
    except ValueError:  # a zero byte
        return f"names {quoted!r}, which no file can be called"
    return None if stat.S_ISREG(mode) else f"names {quoted}, which is no regular file"


def _name(root: Path, folder: Path, written: str) -> str:
    """Return the name of a file in the fingerprint: its path from the root, unless the table has an
    absolute path, which is part of the fingerprint already."""
    return written if Path(written).is_absolute() else os.path.relpath(folder / written, root)


def _featured(table: "pa.Table") -> "pa.Table":
    """The table with features of plain values; class names are kept where its metadata has them."""
    import datasets

    features = media_rows.features_of(
        datasets.Features.from_arrow_schema(table.schema), media_rows.MEDIA, "the table"
    )
    if features.arrow_schema.types != table.schema.types:  # shards met in another type
        bare = table.schema.remove_metadata()
        features = datasets.Features.from_arrow_schema(bare)
    return table.cast(features.arrow_schema)


def _mention_unlisted(
    root: Path, media: Sequence[Path], listed: Iterable[Path], kind: "MediaKind"
) -> None:
    known = {os.path.normpath(path) for path in listed}
    others = [path for path in media if str(path) not in known]
    if others:
        count = f"{len(others)} {kind.name} file{'s'[: len(others) != 1]}"
        print_lines(
            f"warning: {count} in {root} that no metadata file names, left out; the first is"
            f" {others[0].relative_to(root)}",
            file=sys.stderr,
        )
