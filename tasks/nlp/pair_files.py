"""Sources and targets in two files side by side, a text a line, as corpora of translations come.

`train.en,train.fr` names two files, the source first. A folder may have several, called by split
and language: train.en, train.fr, test.en, test.fr. Everything else is `tasks.nlp.text_files`'s.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from tasks.data import arrow_copy, files, fingerprint
from tasks.data.source import DataArgs, Source
from tasks.data.source import load as load_source
from tasks.data.tables import READERS
from tasks.errors import UserError
from tasks.nlp import text_files
from tasks.nlp.pair_columns import is_language
from tasks.paths import expanded

if TYPE_CHECKING:
    from collections.abc import Callable

    import datasets

VERSION = 1  # of the rows made of the same files: raise it with every change there
BOTH = ("source", "target")


def load(data: DataArgs, embedded: "Callable[[], datasets.DatasetDict]") -> Source:
    """Return the examples that `data` names, as `tasks.data.source.load` does; two files are named
    with a comma between them, and become the columns source and target.

    Raises `UserError` for whatever is wrong with what the user named.
    """
    both = _two_files(data.data)
    if both is None:
        return load_source(data, embedded, read)
    split = files.split_of(Path(both[0].name)) or "train"
    splits, digest = _aligned({split: dict(zip(BOTH, both, strict=True))}, both[0].parent)
    return Source(splits, f"{both[0].name} and {both[1].name}", digest)


def read(path: Path) -> "tuple[datasets.DatasetDict, str]":
    """Return the splits in a file or folder, and their fingerprint (sha256, hex): of a folder of
    files called by split and language a column a language."""
    if path.is_dir() and not files.in_folder(path, READERS):
        named = _by_language(path)
        if named:
            return _aligned(named, path)
    return text_files.load(path)


def lines_of(path: Path) -> list[str]:
    """Return the lines of a file of text. Raises `UserError` where it can't be read."""
    text, encoding = text_files.read_text(path)
    if encoding == "latin-1":
        raise UserError(f"{path} is not UTF-8 text: convert it first")
    lines = text.split("\n")  # and nowhere else: a line of the other file stands beside each
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _two_files(data: str) -> tuple[Path, Path] | None:
    """Return the two files that a comma parts; None where `data` is one name."""
    if "," not in data or expanded(data).exists():
        return None
    names = [name.strip() for name in data.split(",")]
    paths = [expanded(name) for name in names]
    if len(names) != 2 or not any(path.is_file() for path in paths):
        return None
    for name, path in zip(names, paths, strict=True):
        if not path.is_file():
            raise files.missing(name)
        if path.suffix.lower() in READERS:
            raise UserError(
                f"{name} is a table: two files side by side have a text a line; give one table "
                "that has both columns"
            )
    return paths[0], paths[1]


def _by_language(folder: Path) -> dict[str, dict[str, Path]]:
    """Return the files of a folder by split and language; empty where they are called otherwise."""
    found: dict[str, dict[str, Path]] = {}
    for file in sorted(folder.iterdir()):
        language = file.suffix.removeprefix(".")
        split = files.split_of(Path(file.stem))
        if file.is_file() and is_language(language) and split is not None:
            other = found.setdefault(split, {}).setdefault(language, file)
            if other != file:
                raise UserError(f"{other} and {file} are both {split} in {language!r}: keep one")
    languages = {name for split in found.values() for name in split}
    for split, named in found.items():
        if missing := sorted(languages - set(named)):
            raise UserError(
                f"{folder} has {next(iter(named.values())).name}, but no file of {split} in "
                f"{missing[0]!r} beside it"
            )
    return found if len(languages) > 1 else {}


def _aligned(named: dict[str, dict[str, Path]], root: Path) -> "tuple[datasets.DatasetDict, str]":
    """Return a split of each group of files, line by line, and the fingerprint of all.

    Raises `UserError` where files of one split have different numbers of lines.
    """
    import datasets
    import pyarrow as pa

    every = [(f"{split}/{name}", path) for split in named for name, path in named[split].items()]
    paths = [path for _, path in every]
    try:
        before = list(map(fingerprint.state_of, paths))
        digest = fingerprint.of_files(every)
    except OSError as problem:
        raise UserError(f"{problem.filename} cannot be read: {problem.strerror}") from None
    home = Path(datasets.config.HF_DATASETS_CACHE) / "zoo" / f"pairs-{digest}-{VERSION}"
    made = {}
    for split, by_name in named.items():
        copy = home / f"{split}.arrow"
        if not copy.exists():
            columns = {name: lines_of(path) for name, path in by_name.items()}
            if list(map(fingerprint.state_of, paths)) != before:  # the digest is of other content
                raise UserError(f"{root} was written to while it was read: run this again after")
            _must_match(by_name, columns)
            table = {name: pa.array(lines, pa.string()) for name, lines in columns.items()}
            arrow_copy.write(copy, pa.table(table))
        made[split] = arrow_copy.read(copy, split, f"{digest[:32]}-pairs-{VERSION}-{split}")
    return datasets.DatasetDict(made), digest


def _must_match(paths: dict[str, Path], columns: dict[str, list[str]]) -> None:
    (first, lines), *others = columns.items()
    for name, other in others:
        if len(other) != len(lines):
            raise UserError(
                f"{paths[first]} has {len(lines):,} lines and {paths[name]} {len(other):,}: side "
                "by side each line of the one belongs to that line of the other"
            )
    if not lines:
        raise UserError(f"{paths[first]} is empty")
