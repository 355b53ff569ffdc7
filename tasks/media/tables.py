"""Tables of media: csv, json or parquet with a column of paths, or parquet with the bytes."""

import os
import re
import stat
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.data import files, tables
from tasks.data.splits import CANONICAL
from tasks.errors import UserError, shortened
from tasks.media import parquet
from tasks.media import rows as media_rows
from tasks.printing import print_lines

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

    from tasks.media.source import MediaKind

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|data:")
LONGEST_SHOWN = 120  # characters of a path that a message quotes


def load(
    root: Path, by_split: Mapping[str, Sequence[Path]], kind: "MediaKind", asked: str | None
) -> "tuple[datasets.DatasetDict, str]":
    """The splits in tables below `root`, whose paths count from each table's own folder."""
    with_bytes = parquet.load(root, by_split, kind, asked)
    if with_bytes is not None:
        return with_bytes
    listed: dict[str, Path] = {}
    made = {}
    for split, paths in by_split.items():
        parts = []
        for path in paths:
            table, found = _with_paths(root, path, kind, asked)
            parts.append(table)
            listed |= {name: file for name, file in found if file is not None}
        made[split] = _featured(files.concat(list(paths), parts))
    every = [path for paths in by_split.values() for path in paths]
    digest = media_rows.digest_of(root, every, listed)
    copies = media_rows.Copies(digest, str(root), "tables", kind.name, asked)
    return copies.keep(made), digest


def load_listings(
    root: Path,
    listings: Sequence[Path],
    media: Sequence[Path],
    kind: "MediaKind",
    asked: str | None,
) -> "tuple[datasets.DatasetDict, str]":
    """The splits of metadata.csv and its like. A row belongs to the split whose folder its file
    lies in, and to train where there are none. What lies there unnamed is left out with a word.
    """
    import pyarrow as pa

    parts: dict[str | None, list[tuple[Path, pa.Table]]] = {}
    listed: dict[str, Path] = {}
    for path in listings:
        table, found = _with_paths(root, path, kind, asked, usual="file_name")
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
    copies = media_rows.Copies(digest, str(root), "listings", kind.name, asked)
    return copies.keep(made), digest


def split_of_folders(relative: Path) -> str | None:
    """The split that a folder of the path names."""
    for part in relative.parts[:-1]:
        if part.lower() in CANONICAL:
            return CANONICAL[part.lower()]
    return None


def names_media(path: Path, kind: "MediaKind", asked: str | None) -> bool:
    """Return whether a table has the column asked for, or one that would be taken for media."""
    import datasets

    if path.suffix.lower() == ".parquet":
        schema = parquet.schema_of(path)
    else:
        schema = tables.read(path).schema
    try:
        media_rows.find(datasets.Features.from_arrow_schema(schema), kind, asked, str(path))
    except UserError:
        return False
    return True


def _with_paths(
    root: Path, path: Path, kind: "MediaKind", asked: str | None, usual: str | None = None
) -> "tuple[pa.Table, list[tuple[str, Path | None]]]":
    """A table with `media` for its column of paths, and of each row the file: the name that the
    fingerprint knows it by, and its absolute path (None where the row holds the bytes).
    """
    import datasets
    import pyarrow as pa

    table = tables.read(path)
    if asked is None and usual in table.column_names:
        asked = usual
    features = datasets.Features.from_arrow_schema(table.schema)
    column = media_rows.find(features, kind, asked, str(path))
    media_rows.features_of(features, column, str(path))  # refuses two columns called media
    values = table.column(column).combine_chunks()
    if not (media_rows.is_text(values.type) or pa.types.is_struct(values.type)):
        raise UserError(
            f"the column {column!r} of {path} holds {values.type}, not {kind.name} files or paths"
        )
    media = media_rows.structs(values)
    has_bytes = media.field("bytes").is_valid().to_pylist()
    found: list[tuple[str, Path | None]] = []
    shown: list[str | None] = []
    for row, (written, own) in enumerate(
        zip(media.field("path").to_pylist(), has_bytes, strict=True)
    ):
        if own:
            found.append((f"{path.name}#{row}", None))
            shown.append(written)
            continue
        written = _as_written_here(path.parent, written)
        file = path.parent / (written or "")
        problem = _problem(written, file)
        if problem:
            raise UserError(f"{path}, {tables.place_of(path, row)}, {problem}")
        assert written, "a row without a name is a problem"
        found.append((_name(root, path.parent, written), file))
        shown.append(str(file))
    resolved = pa.StructArray.from_arrays(
        [media.field("bytes"), pa.array(shown, pa.string())], ["bytes", "path"]
    )
    place = table.column_names.index(column)
    return table.set_column(place, media_rows.MEDIA, resolved), found


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
