"""Texts to label: from the command line, a file, or standard input.

A table is read by the reader that training uses, and lies in memory as it does there. Of text a
line no more than a line is held.
"""

import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import standard_input
from tasks.data.columns import find_column, folded
from tasks.errors import UserError, shortened
from tasks.printing import print_lines

if TYPE_CHECKING:
    import pyarrow as pa

TEXT_COLUMNS = (
    "text",
    "sentence",
    "sentence1",
    "premise",
    "question",
    "review",
    "content",
    "tweet",
    "question1",
    "#1 string",
)
PAIR_COLUMNS = ("text_pair", "sentence2", "hypothesis", "question2", "passage", "#2 string")
PAIRS = (("question", "sentence"),)
"""Columns that are a pair where both are there, as of QNLI, and by themselves single texts."""
ROWS = 1_000  # of a table that become Python values together
BOM = "\ufeff"

Columns = Mapping[str, str | None]
"""The columns that training read, by what they hold: "text", "text_pair" (None: single texts),
"label". Empty where that is not known."""


@dataclass(frozen=True)
class Inputs:
    """What is to be labelled."""

    text: tuple[str, ...] = ()
    """texts to label"""
    text_pair: tuple[str, ...] = ()
    """second texts, one for each of `text`, where the model was trained on pairs"""
    file: Path | None = None
    """file to label: csv, tsv, xlsx, json, jsonl or parquet with a text column, whose other columns
    are kept, or a line a text; a folder of texts; - or nothing reads standard input"""
    text_column: str | None = None
    """column of the text in a table; that of the training by default"""
    text_pair_column: str | None = None
    """column of the second text of a pair; that of the training by default, "none" for single
    texts"""


def read(
    inputs: Inputs,
    known: Columns,
    stack: ExitStack,
    labels: Collection[str] = (),
    usual: Sequence[str] = TEXT_COLUMNS,
) -> Iterator[Mapping[str, Any]]:
    """Items one by one: `text`, of pairs `text_pair`, and of a table's row `others`.

    `others` is a `pyarrow.RecordBatch` of one row, with the columns that are no text.

    Args:
        known: the columns of the training.
        stack: closes the file.
        labels: what the model tells apart: beside folders of these names no text is read.
        usual: names of the column of the text in a table, best first, where nothing is asked for.

    Raises `UserError` for a file that can't be read, and in its turn for a text that can't.
    """
    file = inputs.file
    if inputs.text and file:
        raise UserError("give `text` or `file`, not both")
    if inputs.text_pair and not inputs.text:
        raise UserError("`text_pair` goes with `text`")
    if known and not known.get("text_pair"):
        for flag in ("text_pair", "text_pair_column"):
            if getattr(inputs, flag) not in ((), None, "none"):
                raise UserError(f"`{flag}`: this model was trained on single texts")
    wants_pairs = inputs.text_pair_column != "none" and bool(
        inputs.text_pair_column or known.get("text_pair")
    )
    if inputs.text:
        return _given(inputs, wants_pairs)
    if file is None or str(file) == "-":
        _must_be_single(wants_pairs, "standard input has one text a line")
        stream = standard_input.opened("texts, one a line,")
        lines = getattr(stream, "buffer", stream)
        return _lines(lines, "standard input", stream.encoding or "utf-8")
    if file.is_dir():
        return _in_folder(file, wants_pairs, labels)
    return _in_file(file, inputs, known, wants_pairs, stack, usual)


def _in_file(
    file: Path,
    inputs: Inputs,
    known: Columns,
    wants_pairs: bool,
    stack: ExitStack,
    usual: Sequence[str],
) -> Iterator[Mapping[str, Any]]:
    from tasks.data import cells, files, tables

    if not file.exists():
        raise UserError(f"`file` {file}: there is no such file")
    suffix = file.suffix.lower()
    if suffix in tables.READERS:
        if not file.is_file():
            raise UserError(f"`file` {file} is no regular file, as a table has to be")
        table = tables.read(file)
        cells.tell(table)
        asked = inputs.text_column, inputs.text_pair_column
        columns = text_columns(table.column_names, str(file), known, *asked, usual=usual)
        return _rows(file, table, columns)
    if suffix in files.OTHER_SUFFIXES - {".txt"}:
        raise UserError(
            f"`file` {file} is a {file.suffix} file, which is none of {files.FORMATS}, nor text "
            "with a line a text"
        )
    _must_be_single(wants_pairs, f"{file} has one text a line")
    try:
        opened = stack.enter_context(file.open("rb"))
    except OSError as problem:
        raise UserError(f"`file` {file} cannot be read: {problem.strerror}") from None
    return _lines(opened, str(file), "utf-8")


def _in_folder(
    folder: Path, wants_pairs: bool, labels: Collection[str]
) -> Iterator[Mapping[str, Any]]:
    """A text a file, as `tasks.nlp.text_files` reads them, and its path under `others`."""
    from tasks.nlp import text_files

    _must_be_single(wants_pairs, f"{folder} has one text a file")
    found = text_files.texts_in(folder, labels)
    if not found:
        raise UserError(f"`file` {folder} is a folder without texts (*.txt): name a file in it")
    return _each(folder, found)


def _each(folder: Path, found: Sequence[Path]) -> Iterator[Mapping[str, Any]]:
    import pyarrow as pa

    from tasks.nlp import text_files

    for path in found:
        text, _ = text_files.read_text(path)
        name = path.relative_to(folder).as_posix()
        yield {"text": text, "others": pa.RecordBatch.from_pydict({"file": [name]})}


def text_columns(
    names: Sequence[str],
    where: str,
    known: Columns,
    text: str | None = None,
    pair: str | None = None,
    usual: Sequence[str] = TEXT_COLUMNS,
) -> tuple[str, str | None]:
    """The columns of the text and of its pair (None: single texts) in other data than training's.

    Args:
        names: the columns there are.
        where: the data's name, for messages.
        known: the columns of the training: taken where nothing else is asked for.
        text, pair: the user's choice; "none" for single texts.
        usual: names of the column of the text to try where nothing else is asked for.

    Raises `UserError` where one is missing, or both are the same.
    """
    found = _column(names, where, text, known.get("text"), usual, "text")
    if pair == "none" or not (pair or known.get("text_pair")):
        return found, None
    other = _column(names, where, pair, known.get("text_pair"), PAIR_COLUMNS, "text pair")
    if other == found:
        raise UserError(f"{where}: {found!r} can't be both the text and its pair")
    return found, other


def training_columns(
    names: Sequence[str], where: str, text: str | None, pair: str | None
) -> tuple[str, str | None]:
    """The columns of the text and of its pair (None: single texts) in data to train on.

    Args:
        text, pair: the user's choice; "none" for single texts.

    Raises `UserError` where one is missing.
    """
    by_folded = {folded(name): name for name in reversed(names)}
    if text is None and pair is None:
        for both in PAIRS:
            if all(name in by_folded for name in both):
                return by_folded[both[0]], by_folded[both[1]]
    found = find_column(names, text, TEXT_COLUMNS, "text", where)
    if pair == "none" or (pair is None and not by_folded.keys() & set(PAIR_COLUMNS)):
        return found, None
    return found, find_column(names, pair, PAIR_COLUMNS, "text pair", where)


def _column(
    names: Sequence[str],
    where: str,
    asked: str | None,
    known: str | None,
    usual: Sequence[str],
    what: str,
) -> str:
    """The column asked for, else that of the training, else one with a usual name, which is told
    where training read another."""
    if asked is not None or known is None:
        return find_column(names, asked, usual, what, where)
    if known in names:
        return known
    try:
        found = find_column(names, None, tuple(dict.fromkeys((known, *usual))), what, where)
    except UserError as error:
        raise UserError(
            f"{error}; training read {known!r}: call it so, or give predict"
            f" `{what.replace(' ', '_')}_column`"
        ) from None
    if folded(found) != folded(known):
        print_lines(
            f"note: {where} has no column {known!r}, which training read as the {what}: "
            f"{found!r} is read in its place",
            file=sys.stderr,
        )
    return found


def _given(inputs: Inputs, wants_pairs: bool) -> Iterator[Mapping[str, Any]]:
    """Yield the texts of the command line."""
    if not inputs.text_pair:
        _must_be_single(wants_pairs, "`text` alone is one text")
        return ({"text": argument(text, "`text`")} for text in inputs.text)
    if len(inputs.text) != len(inputs.text_pair):
        raise UserError(
            f"`text` has {len(inputs.text)} and `text_pair` {len(inputs.text_pair)}: give as many"
        )
    return (
        {"text": argument(text, "`text`"), "text_pair": argument(pair, "`text_pair`")}
        for text, pair in zip(inputs.text, inputs.text_pair, strict=True)
    )


def argument(text: str, flag: str) -> str:
    """Return a text of the command line, which is UTF-8 where the locale says otherwise too. Raises
    `UserError` where it is no text; `flag` names where it stood."""
    try:
        return os.fsencode(text).decode("utf-8")
    except UnicodeError:
        return checked(text, flag)


def _must_be_single(wants_pairs: bool, reason: str) -> None:
    if wants_pairs:
        raise UserError(
            f"{reason}, and this model was trained on pairs of texts: give `text` and `text_pair`,"
            " or `file` with a table of both"
        )


def _lines(lines: Iterable[bytes | str], where: str, encoding: str) -> Iterator[Mapping[str, Any]]:
    """A text a line, as they come; `UserError` for a line that can't be read."""
    for number, line in enumerate(lines, 1):
        try:
            text = line if isinstance(line, str) else line.decode(encoding)
        except UnicodeDecodeError:
            kind = " (it looks like UTF-16)" if line[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
            raise UserError(f"{where}, line {number}: not {encoding.upper()} text{kind}") from None
        if number == 1:
            text = text.removeprefix(BOM)
        for part in text.removesuffix("\n").removesuffix("\r").split("\r"):  # as on old Macs
            yield {"text": checked(part, f"{where}, line {number}")}


def _rows(
    file: Path, table: "pa.Table", columns: tuple[str, str | None]
) -> Iterator[Mapping[str, Any]]:
    text, pair = columns
    for name in table.column_names:
        if table.column_names.count(name) > 1:
            raise UserError(f"{file} has two columns called {name!r}")
    kept = [name for name in table.column_names if name not in columns]
    for column in filter(None, columns):
        _must_be_texts(file, table, column)
    for batch in table.to_batches(max_chunksize=ROWS):
        texts = batch.column(text).to_pylist()
        pairs = [None] * len(texts) if pair is None else batch.column(pair).to_pylist()
        others = batch.select(kept)
        for i, both in enumerate(zip(texts, pairs, strict=True)):
            item: dict[str, Any] = {}
            for key, name, value in zip(("text", "text_pair"), columns, both, strict=True):
                if name is not None:
                    item[key] = value or ""  # a missing text is an empty one, as in training
            if kept:
                item["others"] = others.slice(i, 1)
            yield item


def _must_be_texts(file: Path, table: "pa.Table", column: str) -> None:
    import pyarrow as pa

    stored = table.schema.field(column).type
    kinds = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_null,
    )
    if not any(is_kind(stored) for is_kind in kinds):
        raise UserError(
            f"the column {column!r} of {file} holds {stored}, not texts: name another"
            " (`text_column`), or write its values as strings"
        )


def is_one(raw: Any) -> bool:
    """Return whether an input from Python is a single text or pair, and not a list of them."""
    if isinstance(raw, tuple) and len(raw) == 2:
        return all(isinstance(part, str) for part in raw)
    if type(raw).__name__ == "DataFrame":  # a loop over it would give the names of its columns
        raise UserError("a table is no row of texts: give a column of it, table['text'].tolist()")
    single = isinstance(raw, str | bytes | Mapping) or hasattr(raw, "read")
    return single or not isinstance(raw, Iterable)


def item(raw: Any, known: Columns) -> Mapping[str, Any]:
    """`text` and perhaps `text_pair` of what Python was given: a text, a tuple of two, or a mapping
    with these names.

    Raises `UserError` for anything else, and where training read pairs and this is none, or the
    other way round.
    """
    if isinstance(raw, Mapping):
        parts = [raw[name] for name in ("text", "text_pair") if raw.get(name) is not None]
        if "text" not in raw:
            raise UserError(f"a mapping needs 'text'; this one has {', '.join(map(str, raw))}")
    else:
        parts = list(raw) if isinstance(raw, tuple | list) and len(raw) == 2 else [raw]
        if known and (len(parts) == 2) != bool(known.get("text_pair")):
            raise UserError(
                "this model was trained on pairs of texts: give a tuple of two for each"
                if len(parts) == 1
                else "this model was trained on single texts, and a tuple of two is a pair: give"
                " texts in a list"
            )
    for part in parts:
        if not isinstance(part, str):
            shown = shortened(repr(part), 40)
            hint = "decode it" if isinstance(part, bytes) else None
            raise UserError(f"{shown} is a {type(part).__name__}, and no text", hint=hint)
        checked(part, "a text")
    return dict(zip(("text", "text_pair"), parts, strict=False))


def checked(text: str, where: str) -> str:
    """The text. Raises `UserError` where it holds what no UTF-8 text can: half of a surrogate pair,
    which stands for a byte that could not be read."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(f"{where}: not UTF-8 text") from None
    return text
