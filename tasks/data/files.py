"""Examples in a file or a folder of split files, through an Arrow copy in the cache of `datasets`.

The copy is keyed by the content's fingerprint and not by path and time, so that a changed file is
never served from a stale one.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.data import arrow_copy, fingerprint, tables
from tasks.data.splits import CANONICAL
from tasks.errors import UserError, did_you_mean
from tasks.paths import expanded

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

VERSION = 2  # of what the readers make of the same bytes: raise it with every change there


def _formats(readers: tables.Readers) -> str:
    return ", ".join(sorted(suffix.removeprefix(".") for suffix in readers))


FORMATS = _formats(tables.READERS)
# Files beside the data in a folder of `datasets` or of the Hub that hold no examples.
NOT_DATA = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"})
NOT_DATA |= {"dev_ids.tsv"}  # of MRPC, as GLUE has it
ARCHIVES = frozenset({".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip"})
RAW = "original"
"""The folder in which GLUE's tasks keep what their tables were made of."""
# Suffixes that make a name a path even behind a slash, where a Hub id may have dots of its own.
OTHER_SUFFIXES = frozenset(
    {
        ".arrow",
        ".bz2",
        ".conll",
        ".conllu",
        ".feather",
        ".gz",
        ".ods",
        ".txt",
        ".xls",
        ".xml",
        ".yaml",
        ".zip",
    }
    | {".flac", ".jpeg", ".jpg", ".mp3", ".ogg", ".png", ".tar", ".tgz", ".wav"}
)


def looks_like_a_path(name: str) -> bool:
    """Return whether a name, of which there is no file, was meant as a file or folder rather than
    as a Hub id.

    It has a file's suffix, is absolute or begins with "." or "~", has a backslash, no or more than
    one slash to it that a Hub id could have, or its folder is there.
    """
    if (
        name[:1] in {"", ".", "~"}
        or Path(name).is_absolute()
        or "\\" in name
        or name.count("/") > 1
    ):
        return True
    path = Path(name)
    known = path.suffix.lower() in {*tables.READERS, *OTHER_SUFFIXES}
    if "/" not in name:
        return known or bool(re.fullmatch(r"\.[A-Za-z]\w*", path.suffix))
    return known or name.endswith("/") or path.parent.is_dir()


def missing(name: str) -> UserError:
    """The error for a path where there is nothing; names the nearest file beside it."""
    path = expanded(name)
    there = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
    hint = did_you_mean(path.name, there, shown=path.with_name)
    return UserError(f"there is no file or folder {name}", hint=hint)


def load(
    path: Path, readers: tables.Readers = tables.READERS
) -> "tuple[datasets.DatasetDict, str]":
    """The splits in a file or folder, and their fingerprint (sha256, hex).

    A file is "train" unless its name says otherwise ("test.csv"). Raises `UserError`, with file and
    line, where there are no data or they cannot be read.

    Args:
        readers: what reads a file, by its suffix; a file's content is read by one reader only.
    """
    import datasets

    by_split = _in_folder(path, readers) if path.is_dir() else _one_file(path, readers)
    root = path if path.is_dir() else path.parent
    every = [file for files in by_split.values() for file in files]
    try:
        before = list(map(fingerprint.state_of, every))
        digest = fingerprint.of_files(
            (file.relative_to(root).as_posix(), file)
            for files in by_split.values()
            for file in files
        )
    except OSError as problem:
        raise UserError(f"{path} cannot be read: {problem.strerror}") from None
    home = Path(datasets.config.HF_DATASETS_CACHE) / "zoo" / f"{digest}-{VERSION}"
    splits = {}
    for name, files in by_split.items():
        copy = home / f"{name}.arrow"
        if not copy.exists():
            rows = _read(files, readers)
            if list(map(fingerprint.state_of, every)) != before:  # the digest is of other content
                raise UserError(f"{path} was written to while it was read: run this again after")
            arrow_copy.write(copy, rows)
        splits[name] = arrow_copy.read(copy, name, f"{digest[:32]}-{VERSION}-{name}")
    return datasets.DatasetDict(splits), digest


def _one_file(path: Path, readers: tables.Readers) -> dict[str, list[Path]]:
    if path.suffix.lower() in ARCHIVES:
        raise UserError(f"{path} is an archive: unpack it, and give the folder that comes out")
    if path.suffix.lower() not in readers:
        kind = f"a {path.suffix} file" if path.suffix else "a file without a suffix"
        raise UserError(f"{path} is {kind}, which is none of {_formats(readers)}")
    return {split_of(Path(path.name)) or "train": [path]}


def in_folder(folder: Path, readers: tables.Readers) -> list[Path]:
    """Return the data files below a folder, in the order of their paths. Hidden ones are none, nor
    what a task of GLUE has in its folder `RAW`, beside tables (tsv) made of it."""
    found = [file for file in _every(folder) if file.suffix.lower() in readers]
    if any(file.parent == folder and file.suffix.lower() == ".tsv" for file in found):
        found = [file for file in found if file.relative_to(folder).parts[0] != RAW]
    return found


def _every(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.rglob("*")
        if file.is_file()
        and file.name not in NOT_DATA
        and not any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
    )


def _in_folder(folder: Path, readers: tables.Readers) -> dict[str, list[Path]]:
    """The data files of a folder by split, in the order of their paths."""
    data = in_folder(folder, readers)
    if not data:
        every = _every(folder)
        others = sorted({file.suffix or file.name for file in every})
        found = f"only {', '.join(others[:5])}" if others else "no files"
        raise UserError(f"the folder {folder} has {found}, and none of {_formats(readers)}")
    return by_split(folder, data)


def by_split(folder: Path, data: list[Path]) -> dict[str, list[Path]]:
    """The data files below a folder by the split that their paths name, in the order given.

    Raises `UserError` for several formats, and where only some names say which split they are.
    """
    formats = sorted({file.suffix.lower() for file in data})
    if len(formats) > 1:
        raise UserError(
            f"the folder {folder} has files of several formats ({', '.join(formats)}), and which"
            " of them are the data is not plain: name one file, or leave one format there"
        )
    named: dict[str, list[Path]] = {}
    unnamed = []
    for file in data:
        name = split_of(file.relative_to(folder))
        if name is None:
            unnamed.append(file)
        else:
            named.setdefault(name, []).append(file)
    if not named:
        return {"train": unnamed}
    if unnamed:
        raise UserError(
            f"{unnamed[0]} stands beside files of {', '.join(named)}, but its name does not say"
            " which split it is: call it train, validation or test"
        )
    return {name: named[name] for name in CANONICAL.values() if name in named}


def split_of(relative: Path) -> str | None:
    """The split that a path names: by a folder, else by one word of the file's own name."""
    for part in relative.parts[:-1]:
        if part.lower() in CANONICAL:
            return CANONICAL[part.lower()]
    words = re.split(r"[^a-z]+", relative.stem.lower())
    named = {CANONICAL[word] for word in words if word in CANONICAL}
    return named.pop() if len(named) == 1 else None


def _read(files: list[Path], readers: tables.Readers) -> "pa.Table":
    """The rows of all files of a split."""
    return concat(files, [tables.read(file, readers) for file in files])


def concat(files: "list[Path]", parts: "list[pa.Table]") -> "pa.Table":
    """The rows of the tables that stood in `files`, columns by name, with the first's metadata.

    Raises `UserError` where they have different columns or types that do not meet.
    """
    import pyarrow as pa

    first = parts[0]
    for file, part in zip(files, parts, strict=True):
        if set(part.column_names) != set(first.column_names):
            raise UserError(
                f"{file} has the columns {', '.join(part.column_names)}, but {files[0]} of the same"
                f" split has {', '.join(first.column_names)}"
            )
    parts = [part.select(first.column_names) for part in parts]
    try:
        whole = pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowException as problem:
        raise UserError(
            f"{files[0]} and {files[-1]} hold values of different types: {problem}"
        ) from None
    return whole.replace_schema_metadata(first.schema.metadata)
