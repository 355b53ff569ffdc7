"""The verb predict: texts in, one line of jsonl or csv out for each, in the order they came."""

import csv
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any

from tasks.errors import UserError
from zoo.predictor import Predictor

if TYPE_CHECKING:
    from zoo.entry import Entry
    from zoo.verbs import PredictArgs


def predict(entry: "Entry", args: "PredictArgs") -> None:
    """Streams predictions; nothing but a batch is held in memory.

    Raises `UserError` for a damaged checkpoint or an input that can't be read.
    """
    if args.text and args.file:
        raise UserError("give --text or --file, not both")
    if args.top_k is not None and args.top_k < 1:
        raise UserError(f"--top_k {args.top_k}: at least 1")
    suffix = args.output.suffix.lstrip(".") if args.output else ""
    form = args.format or (suffix if suffix in ("csv", "jsonl") else "jsonl")
    with ExitStack() as stack:
        inputs = _inputs(args, stack)
        predictor = Predictor(args.checkpoint, args.device, entry)
        if args.output is None:
            _write(sys.stdout, form, inputs, predictor, args)
            return
        args.output.parent.mkdir(parents=True, exist_ok=True)
        temporary = args.output.with_name(f".{args.output.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("w", newline="") as file:
                _write(file, form, inputs, predictor, args)
            temporary.replace(args.output)
        finally:
            temporary.unlink(missing_ok=True)


def _inputs(args: "PredictArgs", stack: ExitStack) -> Iterator[Any]:
    if args.text:
        return iter(args.text)
    if args.file is None or str(args.file) == "-":
        if sys.stdin.isatty():
            print("reading texts from standard input, one a line", file=sys.stderr)
        return _lines(sys.stdin, "standard input")
    if not args.file.is_file():
        raise UserError(f"--file {args.file}: there is no such file")
    file = stack.enter_context(args.file.open(encoding="utf-8", newline=""))
    suffix = args.file.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return _csv_rows(file, "\t" if suffix == ".tsv" else ",", args)
    if suffix == ".jsonl":
        return _json_rows(file, args)
    return _lines(file, str(args.file))


def _lines(file: IO[str], where: str) -> Iterator[str]:
    number = 0
    try:
        for number, line in enumerate(file, 1):  # noqa: B007  the last one read is named below
            yield line.rstrip("\r\n")
    except UnicodeDecodeError:
        raise UserError(f"{where}, after line {number}: not UTF-8 text") from None


def _csv_rows(file: IO[str], delimiter: str, args: "PredictArgs") -> Iterator[Any]:
    reader = csv.DictReader(file, delimiter=delimiter)
    columns = _columns(reader.fieldnames or [], args)
    for row in reader:
        if row.get(None) or any(row[c] is None for c in columns):
            raise UserError(
                f"{args.file}, line {reader.line_num}: the row has not the header's "
                f"{len(reader.fieldnames or [])} fields"
            )
        yield _pick(row, columns)


def _json_rows(file: IO[str], args: "PredictArgs") -> Iterator[Any]:
    columns: list[str] | None = None
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{args.file}, line {number}: not JSON ({error.msg})") from None
        if not isinstance(row, dict):
            raise UserError(f"{args.file}, line {number}: wants an object with a text")
        columns = columns or _columns(list(row), args)
        if missing := [c for c in columns if not isinstance(row.get(c), str)]:
            raise UserError(f"{args.file}, line {number}: no text under {missing[0]!r}")
        yield _pick(row, columns)


def _columns(names: Any, args: "PredictArgs") -> list[str]:
    from tasks.data import find_column
    from tasks.nlp.text_classification import PAIR_COLUMNS, TEXT_COLUMNS

    where = str(args.file)
    columns = [find_column(names, args.text_column, TEXT_COLUMNS, "text", where)]
    if args.text_pair_column:
        columns.append(find_column(names, args.text_pair_column, PAIR_COLUMNS, "text pair", where))
    return columns


def _pick(row: dict[str, Any], columns: list[str]) -> Any:
    return row[columns[0]] if len(columns) == 1 else (row[columns[0]], row[columns[1]])


def _write(
    file: IO[str], form: str, inputs: Iterator[Any], predictor: Predictor, args: "PredictArgs"
) -> None:
    kept: list[Any] = []  # inputs on their way through the model: at most a batch

    def passing() -> Iterator[Any]:
        for item in inputs:
            kept.append(item)
            yield item

    writer = csv.writer(file) if form == "csv" else None
    if writer:
        writer.writerow(["text", "label", "score", *(["scores"] if args.top_k else [])])
    for reading in predictor.stream(passing(), batch_size=args.batch_size, top_k=args.top_k):
        text = kept.pop(0)
        if writer:
            cells: list[Any] = [text if isinstance(text, str) else " | ".join(text)]
            for value in reading.values():
                cells.append(value if isinstance(value, str | float) else json.dumps(value))
            writer.writerow(cells)
        else:
            shown = (
                {"text": text} if isinstance(text, str) else {"text": text[0], "text_pair": text[1]}
            )
            file.write(json.dumps(shown | reading, ensure_ascii=False) + "\n")
        file.flush()
