"""CoNLL files: a word a line in columns, a blank line behind each sentence.

The format of the shared tasks of CoNLL (Tjong Kim Sang & De Meulder 2003 among them), and CoNLL-U
(https://universaldependencies.org/format.html) with its names of columns.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.data import files, tables
from tasks.data.cells import text_of
from tasks.errors import UserError

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

COLUMNS_OF_CONLLU = ["ID", "FORM", "LEMMA", "UPOS", "XPOS"]
COLUMNS_OF_CONLLU += ["FEATS", "HEAD", "DEPREL", "DEPS", "MISC"]
_DOCUMENT = "-DOCSTART-"
_COMMENT = re.compile(r"#\s*[\w.:-]+\s*=")
_NAMES = re.compile(r"#\s*global\.columns\s*=\s*(.+)")
_NO_WORD = re.compile(r"\d+[-.]\d+")  # ID of a word of several syntactic ones, or of an empty node
ROWS = 50_000  # of a chunk: one array of strings can't hold more than 2 GB


def load(path: Path) -> "tuple[datasets.DatasetDict, str]":
    """Load a file or folder as `tasks.data.files.load` does, CoNLL files among them; these may end
    in .txt where a folder has no other data."""
    readers: tables.Readers = {**tables.READERS, **READERS}
    others = path.rglob("*") if path.is_dir() else ()
    if not any(file.suffix.lower() in readers for file in others):
        readers = {**readers, ".txt": read_conll}
    return files.load(path, readers)


def read_conll(path: Path) -> "pa.Table":
    """A row a sentence, with a list of strings for each column.

    Columns are separated by tabs where the first word's are, else by blanks. They are called by
    their numbers ("1" is the first), or as CoNLL-U calls them. Left out are lines of -DOCSTART-,
    comments before a sentence and, in CoNLL-U, words that stand for several and empty nodes.

    Raises `UserError` for a line with another number of columns than the first has.
    """
    import pyarrow as pa

    is_conllu = path.suffix.lower().startswith(".conllu")
    names: list[str] = []
    width, first, tabs = 0, 0, False
    sentences: list[list[list[str]]] = []
    sentence: list[list[str]] = []
    lines = text_of(path).replace("\r\n", "\n").split("\n")
    for line in lines:  # the first that is a word's says how many columns there are
        if line.strip() and not line.startswith(("#", _DOCUMENT)):
            tabs = "\t" in line
            width = len(_fields(line, tabs))
            break
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith(_DOCUMENT):
            if sentence:
                sentences.append(sentence)
                sentence = []
            continue
        fields = _fields(line, tabs)
        if line.startswith("#") and not sentence:
            if found := _NAMES.match(line):
                names = found[1].split()
            if is_conllu or _COMMENT.match(line) or len(fields) != width:
                continue
        first = first or number
        if len(fields) != width:
            raise UserError(
                f"{path}, line {number}, has {_count(len(fields))}, but line {first} has {width}"
            )
        if not (is_conllu and _NO_WORD.fullmatch(fields[0])):
            sentence.append(fields)
    if sentence:
        sentences.append(sentence)
    if is_conllu and width == len(COLUMNS_OF_CONLLU) and not names:
        names = COLUMNS_OF_CONLLU
    if len(names) != width:
        names = [str(place + 1) for place in range(width)]
    kind = pa.list_(pa.string())
    columns = [
        pa.chunked_array(
            [
                pa.array(
                    [[word[i] for word in rows] for rows in sentences[start : start + ROWS]], kind
                )
                for start in range(0, len(sentences), ROWS)
            ],
            kind,
        )
        for i in range(width)
    ]
    return pa.table(columns, names=names)


def _fields(line: str, tabs: bool) -> list[str]:
    return line.rstrip("\r").split("\t") if tabs else line.split()


def _count(n: int) -> str:
    return f"{n} column{'s'[: n != 1]}"


READERS: tables.Readers = dict.fromkeys(
    (".conll", ".conllu", ".conllup", ".iob", ".iob2", ".bio"), read_conll
)
"""Suffixes of CoNLL files."""
