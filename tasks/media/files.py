"""Media in files of their own: a folder by label, or files that a table beside them names.

Only regular files count, through symbolic links too: a pipe or a device would never end. Hidden
files and those that archives leave behind are passed over.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.data import files, tables
from tasks.data.splits import CANONICAL
from tasks.errors import UserError
from tasks.media import label_folders, rows
from tasks.media import tables as media_tables
from tasks.media.tables import split_of_folders

if TYPE_CHECKING:
    import datasets

    from tasks.media.source import Companion, MediaKind


def load(
    path: Path,
    kind: "MediaKind",
    column: str | None,
    *,
    unlabeled: bool,
    companion: "Companion | None" = None,
) -> "tuple[datasets.DatasetDict, str]":
    """The splits of a file or folder with their column `media`, and their fingerprint.

    Args:
        companion: a second column of tables whose paths are those of files; see
            `tasks.media.tables.load`.
    """
    root = path.absolute()
    if not root.is_dir():
        if kind.of_arrays and root.is_file() and root.suffix.lower() not in tables.READERS:
            beside = sorted(file for file in root.parent.iterdir() if file.is_file())
            if (arrays := kind.of_arrays(root, beside)) is not None:
                return arrays
        return media_tables.load(root.parent, _one_table(path, kind), kind, column, companion)
    folders, every = walk(root)
    media = [file for file in every if file.suffix.lower() in kind.suffixes]
    if unlabeled and media:
        return _unlabeled(root, media)
    data = [file for file in every if _is_table(file.relative_to(root))]
    listings = [file for file in data if file.stem.lower() == "metadata"]
    if listings:
        return media_tables.load_listings(root, listings, media, kind, column, companion)
    if media:
        data = [file for file in data if _beside(file.relative_to(root))]
        data = [file for file in data if media_tables.names_media(file, kind, column)]
    if data:
        return media_tables.load(root, files.by_split(root, data), kind, column, companion)
    if not media and kind.of_arrays and (arrays := kind.of_arrays(root, every)) is not None:
        return arrays
    if not media:
        others = sorted({file.suffix or file.name for file in every})
        found = f"only {', '.join(others[:5])}" if others else "no files"
        raise UserError(
            f"the folder {path} has {found}, and no {kind.name} files"
            f" ({', '.join(sorted(kind.suffixes))}) or tables of them ({files.FORMATS})"
        )
    return label_folders.load(root, folders, media, kind)


def _one_table(path: Path, kind: "MediaKind") -> dict[str, list[Path]]:
    if not path.is_file():
        raise UserError(f"{path} is neither a folder nor a regular file")
    suffix = path.suffix.lower()
    if suffix in tables.READERS:
        return {files.split_of(Path(path.name)) or "train": [path.absolute()]}
    if suffix in files.ARCHIVES:
        raise UserError(f"{path} is an archive: unpack it, and give the folder that comes out")
    here = f"a {path.suffix} file" if suffix else "a file without a suffix"
    raise UserError(
        f"{path} is {here}: {kind.name} data are a folder of them (LABEL/*), or a table"
        f" ({files.FORMATS})"
    )


def walk(root: Path) -> tuple[list[Path], list[Path]]:
    """The folders and the regular files below a folder, each sorted.

    Follows symbolic links, but into no folder that it is in already. Raises `UserError` for a link
    to nothing, a name that is not UTF-8, and what may not be read.
    """
    folders: list[Path] = []
    found: list[Path] = []
    pending: list[tuple[Path, tuple[str, ...]]] = [(root, (os.path.realpath(root),))]
    while pending:
        folder, above = pending.pop()
        try:
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError as problem:
            raise UserError(f"{folder} cannot be read: {problem.strerror}") from None
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            _check_name(entry.name, folder)
            path = Path(entry.path)
            if entry.is_file():
                found.append(path)
            elif entry.is_dir():
                real = os.path.realpath(path) if entry.is_symlink() else f"{above[-1]}/{entry.name}"
                if real not in above:
                    folders.append(path)
                    pending.append((path, (*above, real)))
            elif entry.is_symlink() and not path.exists():
                raise UserError(f"{path} is a symbolic link to nothing: mend or remove it")
    return sorted(folders), sorted(found)


def _check_name(name: str, folder: Path) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode("utf-8", "backslashreplace")
        raise UserError(f"the name of {shown} in {folder} is not UTF-8: rename it") from None


def _is_table(relative: Path) -> bool:
    return (
        relative.suffix.lower() in tables.READERS
        and relative.name not in files.NOT_DATA
        and not any(part.startswith("_") for part in relative.parts)
    )


def _beside(relative: Path) -> bool:
    """Return whether a table stands where tables that name media do: at the root or in a split's
    folder, not among the files of a label."""
    return all(part.lower() in {*CANONICAL, "data"} for part in relative.parts[:-1])


def _unlabeled(root: Path, media: Sequence[Path]) -> "tuple[datasets.DatasetDict, str]":
    """Return all files without labels: of the split in whose folder they lie, else of train."""
    by_split: dict[str, list[Path]] = {}
    for file in media:
        split = split_of_folders(file.relative_to(root)) or "train"
        by_split.setdefault(split, []).append(file)
    digest = rows.digest_of(root, media)
    made = {name: rows.of_paths(paths) for name, paths in by_split.items()}
    return rows.Copies(digest, str(root), "unlabeled").keep(made), digest
