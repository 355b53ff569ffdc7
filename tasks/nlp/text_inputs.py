"""Texts to label: from the command line, a file, or standard input; nothing is held in memory."""

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tasks.columns import find_column
from tasks.errors import UserError
from tasks.printing import print_lines

TEXT_COLUMNS = (
    "text",
    "sentence",
    "sentence1",
    "premise",
    "question",
    "review",
    "content",
    "tweet",
)
PAIR_COLUMNS = ("text_pair", "sentence2", "hypothesis", "question2", "passage")


@dataclass(frozen=True)
class Inputs:
    """What is to be labelled."""

    text: tuple[str, ...] = ()
    """texts to label"""
    file: Path | None = None
    """file to label: a line a text, or csv, tsv, jsonl with a text column; - or nothing reads
    standard input"""
    text_column: str | None = None
    """column of the text in a csv, tsv or jsonl file"""
    text_pair_column: str | None = None
    """column of the second text of a pair"""


def read(asked: Inputs, stack: ExitStack) -> Iterator[Any]:
    """Texts, or (text, text_pair) tuples, one by one; `stack` closes the file.

    Raises `UserError` for a file that is not there, or a line of it that can't be read.
    """
    file, columns = asked.file, (asked.text_column, asked.text_pair_column)
    if asked.text and file:
        raise UserError("give --text or --file, not both")
    if asked.text:
        return iter(asked.text)
    if file is None or str(file) == "-":
        if sys.stdin.isatty():
            print_lines("reading texts from standard input, one a line", file=sys.stderr)
        return _lines(sys.stdin, "standard input")
    if not file.is_file():
        raise UserError(f"--file {file}: there is no such file")
    opened = stack.enter_context(file.open(encoding="utf-8", newline=""))
    suffix = file.suffix.lower()
    if suffix in (".csv", ".tsv"):
        delimiter = "\t" if suffix == ".tsv" else ","
        return _csv_rows(_decoded(opened, str(file)), delimiter, str(file), columns)
    if suffix == ".jsonl":
        return _json_rows(_decoded(opened, str(file)), str(file), columns)
    return _lines(opened, str(file))


def _decoded(file: IO[str], where: str) -> Iterator[str]:
    """The lines of a file; `UserError` where one is not UTF-8."""
    number = 0
    try:
        for number, line in enumerate(file, 1):  # noqa: B007  the last one read is named below
            yield line
    except UnicodeDecodeError:
        raise UserError(f"{where}, after line {number}: not UTF-8 text") from None


def _lines(file: IO[str], where: str) -> Iterator[str]:
    for line in _decoded(file, where):
        yield line.rstrip("\r\n")


def _csv_rows(
    file: Iterator[str], delimiter: str, where: str, asked: tuple[str | None, str | None]
) -> Iterator[Any]:
    reader = csv.DictReader(file, delimiter=delimiter)
    columns = _columns(reader.fieldnames or [], where, asked)
    for row in reader:
        if row.get(None) or any(row[c] is None for c in columns):
            raise UserError(
                f"{where}, line {reader.line_num}: the row has not the header's "
                f"{len(reader.fieldnames or [])} fields"
            )
        yield _pick(row, columns)


def _json_rows(
    file: Iterator[str], where: str, asked: tuple[str | None, str | None]
) -> Iterator[Any]:
    columns: list[str] | None = None
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{where}, line {number}: not JSON ({error.msg})") from None
        if not isinstance(row, dict):
            raise UserError(f"{where}, line {number}: wants an object with a text")
        columns = columns or _columns(list(row), where, asked)
        if missing := [c for c in columns if not isinstance(row.get(c), str)]:
            raise UserError(f"{where}, line {number}: no text under {missing[0]!r}")
        yield _pick(row, columns)


def _columns(names: Any, where: str, asked: tuple[str | None, str | None]) -> list[str]:
    text, pair = asked
    columns = [find_column(names, text, TEXT_COLUMNS, "text", where)]
    if pair:
        columns.append(find_column(names, pair, PAIR_COLUMNS, "text pair", where))
    return columns


def _pick(row: dict[str, Any], columns: list[str]) -> Any:
    return row[columns[0]] if len(columns) == 1 else (row[columns[0]], row[columns[1]])
