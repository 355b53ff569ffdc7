"""Documents as a language model reads them: whole, in pieces of the length of its context.

A document is its tokens between two end tokens: the first token is guessed from the end of what was
before, and the end is guessed too. A piece is a sample: it overlaps the next by one token, which is
the last that is guessed in the one and the first that is given in the other. So every token is
guessed once, and a book is as many samples as it fills pieces.
"""

import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.data import arrow_copy, files, fingerprint, tables
from tasks.data.splits import CANONICAL
from tasks.errors import UserError
from tasks.media.files import walk
from tasks.nlp import text_files
from tasks.nlp.text_files import is_text
from tasks.nlp.tokenization import OriginFeatures, whole
from tasks.printing import print_lines

if TYPE_CHECKING:
    import datasets

VERSION = 1  # of the documents that a file is cut into: raise it with every change there
SUFFIXES = frozenset((".md", ".text", ".txt"))
NAMED = 5  # files, or kinds of them, that a note names
LEAST = 2_000
"""Characters of a document out of a file of text, but for the last."""
PARAGRAPH = re.compile(r"\n(?:[ \t\r]*\n)+")


def load(path: Path) -> "tuple[datasets.DatasetDict, str]":
    """Return the splits in a file or folder, and their fingerprint (sha256, hex).

    A file of text is cut at empty lines into documents of `LEAST` characters or more, in the column
    text. A folder of texts is read to any depth: folders called as splits are these; files called
    as splits (train.txt, test.txt) are cut as one file is; else a file is a document. What lies
    above splits or beside them, as a README does, is left out and told. Everything else is
    `tasks.data.files.load`'s.

    Raises `UserError` for what can't be read, with its path.
    """
    if path.is_dir():
        return _folder(path)
    if path.suffix.lower() not in SUFFIXES:
        return files.load(path)
    split = files.split_of(Path(path.name)) or "train"
    return _cut({path: split}, path.parent)


def _folder(path: Path) -> "tuple[datasets.DatasetDict, str]":
    if files.in_folder(path, tables.READERS):
        return files.load(path)
    root = path.absolute()
    _, every = walk(root)
    texts = [file for file in every if is_text(file) or file.suffix.lower() in SUFFIXES]
    if not texts:
        return files.load(path)  # which says what is there
    if others := {file.suffix or file.name for file in {*every} - {*texts}}:
        some = ", ".join(sorted(others)[:NAMED])
        print_lines(
            f"note: {len(every) - len(texts):,} files of {path} are no texts by their names "
            f"({some}), and left out",
            file=sys.stderr,
        )
    called, in_folders = {}, {}
    for base in _bases(root, texts):
        called = _called_as_splits(base, texts)
        tops = {file: CANONICAL.get(_top(base, file).lower()) for file in texts}
        in_folders = {file: split for file, split in tops.items() if split}
        if splits := called or in_folders:
            _leave_out(path, base, [file for file in texts if file not in splits], splits.values())
            break
    if called:
        return _cut(called, root)
    groups: text_files.Groups = {}
    for file in in_folders or texts:
        groups.setdefault(in_folders.get(file, "train"), {}).setdefault(None, []).append(file)
    made, digest = text_files.read_groups(root, groups)
    text_files.tell_encodings(path, made)
    return made, digest


def _top(base: Path, file: Path) -> str:
    """Return the folder in `base` that a file lies in; "" of a file beside or above it."""
    above = file.parent.relative_to(base).parts if file.is_relative_to(base) else ()
    return above[0] if above else ""


def _bases(root: Path, texts: Sequence[Path]) -> Iterator[Path]:
    """Yield the folders that splits may lie in: an archive often unpacks to one folder that holds
    all, with a README beside it."""
    yield root
    base = root
    while len(inner := {top for file in texts if (top := _top(base, file))}) == 1:
        base /= inner.pop()
        yield base


def _called_as_splits(base: Path, texts: Sequence[Path]) -> dict[Path, str]:
    """Return the splits of the files in a folder that are called so; none where they are not.

    They are where all texts have a split in their names, or where two names differ in that alone,
    and one is of the training: so "testing.md" among many documents is none.
    """
    there = [file for file in texts if file.parent == base]
    named = {file: split for file in there if (split := files.split_of(Path(file.name)))}
    if len(named) == len(texts):
        return named
    kinds: dict[str, set[str]] = {}
    for file, split in named.items():
        words = re.split(r"([^a-z]+)", file.stem.lower())
        kind = "".join(word for word in words if word not in CANONICAL)
        kinds.setdefault(kind, set()).add(split)
    is_called = any("train" in found and len(found) > 1 for found in kinds.values())
    return named if is_called else {}


def _leave_out(path: Path, base: Path, others: Sequence[Path], splits: Collection[str]) -> None:
    """Tell that texts are of no split. Raises `UserError` for one that lies in a folder beside
    those of splits: nobody can say whether it is a document."""
    names = ", ".join(split for split in dict.fromkeys(CANONICAL.values()) if split in splits)
    if deep := next((file for file in others if _top(base, file)), None):
        raise UserError(
            f"{deep} lies beside the splits of {path} ({names}), and in none of them: move it into "
            "the folder or file of a split, or out of the data"
        )
    if others:
        some = ", ".join(file.name for file in others[:NAMED])
        more = f" and {len(others) - NAMED:,} more" if len(others) > NAMED else ""
        print_lines(
            f"note: texts of {path} that are of none of its splits ({names}) are left out: "
            f"{some}{more}",
            file=sys.stderr,
        )


def _cut(split_by_file: Mapping[Path, str], root: Path) -> "tuple[datasets.DatasetDict, str]":
    """Return the documents of files of text, and the fingerprint of the files."""
    import datasets
    import pyarrow as pa

    try:
        digest = fingerprint.of_files(
            (file.relative_to(root).as_posix(), file) for file in split_by_file
        )
    except OSError as problem:
        raise UserError(f"{problem.filename} cannot be read: {problem.strerror}") from None
    home = Path(datasets.config.HF_DATASETS_CACHE) / "zoo" / f"documents-{digest}-{VERSION}"
    made = {}
    for split in dict.fromkeys(CANONICAL.values()):
        if split not in split_by_file.values():
            continue
        copy = home / f"{split}.arrow"
        if not copy.exists():
            found = [_text(file) for file, own in split_by_file.items() if own == split]
            documents = [document for text in found for document in documents_of(text)]
            arrow_copy.write(copy, pa.table({"text": pa.array(documents, pa.string())}))
        made[split] = arrow_copy.read(copy, split, f"{digest[:32]}-documents-{VERSION}-{split}")
    return datasets.DatasetDict(made), digest


def _text(file: Path) -> str:
    """Return the text in a file. Raises `UserError` where there is none."""
    text, encoding = text_files.read_text(file)
    if encoding == "latin-1":
        print_lines(f"note: {file} is not UTF-8 and was read as Latin-1", file=sys.stderr)
    if not text.strip():
        raise UserError(f"{file} has no text")
    return text


def documents_of(text: str) -> list[str]:
    """Return the documents of a text: paragraphs that follow each other, until they have `LEAST`
    characters."""
    found: list[str] = []
    begin = 0
    for gap in PARAGRAPH.finditer(text):
        if gap.start() - begin >= LEAST:
            found.append(text[begin : gap.start()])
            begin = gap.end()
    rest = text[begin:].rstrip("\n")
    return [*found, rest] if rest or not found else found


class DocumentFeatures(OriginFeatures):
    """The pieces of the documents of one split. Satisfies `tasks.base.Features`.

    `origins` is the document of each piece, and a length counts the tokens that are guessed.
    """

    given = ("text",)
    made = ("input_ids", "bytes")

    def __init__(self, tokens: "datasets.Dataset", *others: Any) -> None:
        """Take the columns of `encode`, and length and windows; others as `TokenFeatures`."""
        import numpy as np

        super().__init__(tokens, *others)
        column = tokens.with_format("numpy", columns=["piece"])["piece"]
        self.origins = np.cumsum(np.asarray(column[:]) == 0) - 1
        self.lengths = self.lengths - 1

    @staticmethod
    def encode(rows: Mapping[str, Any], tokenizer: Any, **encoding: Any) -> dict[str, list[Any]]:
        """Return the pieces of a batch of documents in columns: input_ids, bytes (of the text in
        UTF-8; all with the first piece), piece (its number), and untruncated (its tokens).

        Args:
            encoding: `window`, the tokens that are guessed in a piece, and the token that a
                document begins and the one that it ends with, `begin` and `end`.
        """
        names = ("input_ids", "bytes", "piece", "untruncated")
        columns: dict[str, list[Any]] = {name: [] for name in names}
        window, begin, end = (encoding[name] for name in ("window", "begin", "end"))
        for text, ids in zip(rows["text"], whole(rows["text"], tokenizer), strict=True):
            document = [begin, *ids, end]
            size = len(text.encode("utf-8", "surrogatepass"))
            for number, start in enumerate(range(0, len(document) - 1, window)):
                piece = document[start : start + window + 1]
                values = ([piece], 0 if number else size, number, len(piece))
                for name, value in zip(names, values, strict=True):
                    columns[name].append(value)
        return columns
