"""Tables of text with a delimiter: csv, tsv, and the tsv of GLUE, whose quotes are none."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.data.cells import NOTE, chunks, must_be_a_name, must_differ, text_of
from tasks.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

PARSES = "sentence1_binary_parse sentence2_binary_parse sentence1_parse sentence2_parse"
NLI = f"{PARSES} sentence1 sentence2"
STSB = "index genre filename year old_index source1 source2 sentence1 sentence2"
GLUE = frozenset(
    tuple(header.split("/"))
    for header in (
        "sentence/label",  # SST-2
        "index/sentence",  # the tests of CoLA and SST-2
        "Quality/#1 ID/#2 ID/#1 String/#2 String",  # MRPC
        "index/#1 ID/#2 ID/#1 String/#2 String",
        "id/qid1/qid2/question1/question2/is_duplicate",  # QQP
        "id/question1/question2",
        "index/question/sentence/label",  # QNLI
        "index/question/sentence",
        "index/sentence1/sentence2/label",  # RTE, WNLI
        "index/sentence1/sentence2",
        *(f"{STSB}{end}".replace(" ", "/") for end in ("", " score")),
        *(
            f"index promptID pairID genre {NLI}{end}".replace(" ", "/")  # MNLI
            for end in ("", " label1 gold_label", " label1 label2 label3 label4 label5 gold_label")
        ),
    )
)
"""The first lines of the files of GLUE (Wang et al. 2018, https://gluebenchmark.com/tasks)."""
COLA = ("source", "label", "mark", "sentence")
"""The columns of CoLA's train.tsv and dev.tsv, which have no header (Warstadt et al. 2018)."""
WORST = 0.01  # share of GLUE's lines that may be broken: of QQP's are, and nobody reads those
QUOTED = re.compile(r'(?:^|(?<=[\t\n]))"((?:[^"]|"")*)"(?=[\t\r\n]|$)')
NEEDS_QUOTES = re.compile(r'["\t\r\n,]')


def read(path: Path) -> "pa.Table":
    """A table of strings: every field is the text that stands there, whatever it looks like.

    Quoting is as `csv.writer` does it: a field in double quotes may hold the delimiter, line ends
    and, doubled, quotes. In a tsv of GLUE a quote is a character like any other, unless a program
    wrote the file anew with quotes. Blank lines are skipped.
    """
    import pyarrow as pa

    # Texts may be long; the module's own limit is 131072 characters a field.
    csv.field_size_limit(2**31 - 1)
    text = text_of(path)
    delimiter = _delimiter(path)
    first = text.lstrip("\r\n").partition("\n")[0].rstrip("\r")
    _must_be_separated(path, first, delimiter)
    rows = rows_of(path, text)
    _, header = next(rows, (0, []))
    if not header:
        raise UserError(f"{path} is empty")
    # A table saved with its row numbers has a column without a name.
    names = [name or f"Unnamed: {place}" for place, name in enumerate(header)]
    for name in names:
        must_be_a_name(path, name)
    must_differ(path, names)
    records = []
    for line, row in rows:
        if len(row) != len(names):
            raise UserError(
                f"{path}, line {line}, has {_count(len(row), 'field')}, but the header has"
                f" {len(names)} ({', '.join(names)}){_doubt(first, delimiter)}"
            )
        records.append(row)
    if not records:
        raise UserError(f"{path} has a header ({', '.join(names)}) and no rows below it")
    columns = [chunks([row[place] for row in records]) for place in range(len(names))]
    table = pa.table(columns, names=names)
    broken = _broken(text) if _is_glue(path, text) else []
    if broken:
        note = (
            f"note: {path}: {_count(len(broken), 'line')} without the {len(names)} fields of the"
            f" header are left out, as by everyone who reads this file; the first is {broken[0]}"
        )
        table = table.replace_schema_metadata({NOTE: note})
    return table


def rows_of(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not blank, the header first, with the line it begins on (1 is the
    first).

    Args:
        text: of the file.
    """
    if not _is_glue(path, text):
        yield from _csv_rows(path, text, _delimiter(path))
        return
    if _is_cola(text):
        yield 1, list(COLA)
    broken = set(_broken(text))
    yield from ((line, row) for line, row in _plain_rows(text) if line not in broken)


def _delimiter(path: Path) -> str:
    return "\t" if path.suffix.lower() == ".tsv" else ","


# --- GLUE


def _is_glue(path: Path, text: str) -> bool:
    """Return whether a file is one of GLUE's, in which quotes are characters like any other.

    One of these names of columns that a program has written anew has quotes around fields that need
    them, and around no others.
    """
    if path.suffix.lower() != ".tsv":
        return False
    if _is_cola(text):
        return True
    _, header = next(_plain_rows(text), (0, []))
    if tuple(header) not in GLUE:
        return False
    if '"' not in text:
        return True
    try:
        rows = list(_csv_rows(path, text, "\t"))
    except UserError:
        return True
    if any(len(row) != len(header) for _, row in rows):
        return True
    return not all(NEEDS_QUOTES.search(field[1]) for field in QUOTED.finditer(text))


def _is_cola(text: str) -> bool:
    """Return whether each line is one of CoLA's: source, 0 or 1, star or nothing, sentence."""
    some = False
    for _, row in _plain_rows(text):
        some = True
        if len(row) != len(COLA) or row[1] not in ("0", "1") or row[2] not in ("", "*"):
            return False
    return some


def _plain_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the fields between tabs of each line that is not blank, with its number."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip("\r"):
            yield number, line.removesuffix("\r").split("\t")


def _broken(text: str) -> list[int]:
    """Return the lines that have not the fields of the first; none where they are too many to be
    left out."""
    rows = list(_plain_rows(text))
    broken = [line for line, row in rows if len(row) != len(rows[0][1])]
    return broken if len(broken) <= WORST * len(rows) else []


# --- csv


def _csv_rows(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not blank, with the line it begins on (1 is the first)."""
    # newline="": line ends inside quotes belong to the text and stay as they are.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            reason = str(problem)
            if "unexpected end" in reason:
                reason = "a quote is opened and never closed"
            raise UserError(f"{path}, line {line}, is broken: {reason}") from None
        if row:
            yield line, row


DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars (|)"}


def _must_be_separated(path: Path, line: str, delimiter: str) -> None:
    """Raises `UserError` where the first line of a table is one field by its delimiter, and several
    by another.
    """
    other = _other_delimiter(line)
    if _fields(line, delimiter) > 1 or other in (None, delimiter):
        return
    name = {",": " or call it .csv", "\t": " or call it .tsv"}.get(str(other), "")
    raise UserError(
        f"{path} has one column only, {line[:60]!r}, for its fields are separated by"
        f" {DELIMITERS[str(other)]}: save it with {DELIMITERS[delimiter]}{name}"
    )


def _doubt(line: str, delimiter: str) -> str:
    """A question to ask where rows have not the fields of the header."""
    other = _other_delimiter(line)
    if other in (None, delimiter):
        return ""
    return f": are they separated by {DELIMITERS[str(other)]}? Save it with {DELIMITERS[delimiter]}"


def _other_delimiter(line: str) -> str | None:
    """Return the delimiter that cuts a line into the most fields; None where none does."""
    counts = {sign: _fields(line, sign) for sign in DELIMITERS}
    best = max(counts, key=lambda sign: counts[sign])
    return best if counts[best] > 1 else None


def _fields(line: str, delimiter: str) -> int:
    """Return how many fields a line has; 1 where its quotes do not fit the delimiter."""
    try:
        return len(next(csv.reader([line], delimiter=delimiter, strict=True), [""]))
    except csv.Error:
        return 1


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
