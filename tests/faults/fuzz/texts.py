"""Tables of texts as people have them: odd cells, odd columns, odd bytes, odd names."""

import csv
import gzip
import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import tiny_text
from tests.faults.fuzz import mutations
from tests.faults.fuzz.command import Command, Scene
from tests.faults.fuzz.models import TEXT, measured

SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".txt", ".parquet")
NAMES = ("data", "my data", "写真", "[b]data", "a`b", "data.v1", "-data")
FIELD_LIMIT = 150_000  # characters; the csv module refuses more than 131,072 in a field
ODD = (None, 3, 2.5, True, [1], {"x": 1}, float("nan"))
LABELS = (
    "nan",
    "写真",
    "[/INST]",
    "`x`",
    "a|b",
    mutations.STEERING,
    " positive",
    "",
    "None",
    "\ud800",
)


@dataclass
class Table:
    """What is to be written, and what was done to it."""

    names: list[str]
    rows: list[list[Any]]
    done: list[str] = field(default_factory=list)
    delimiter: str = ","


def _cell(draw: random.Random, table: Table) -> None:
    table.rows[draw.randrange(len(table.rows))][0] = draw.choice(ODD)


def _word(draw: random.Random, table: Table) -> None:
    table.rows[draw.randrange(len(table.rows))][0] = draw.choice(mutations.WORDS)


def _huge(draw: random.Random, table: Table) -> None:
    table.rows[draw.randrange(len(table.rows))][0] = "word " * (FIELD_LIMIT // 5)


def _label(draw: random.Random, table: Table) -> None:
    old, new = table.rows[0][1], draw.choice(LABELS)
    for row in table.rows:
        row[1] = new if row[1] == old else row[1]


def _odd_label(draw: random.Random, table: Table) -> None:
    table.rows[draw.randrange(len(table.rows))][1] = draw.choice((*ODD, "", "nan"))


def _numbers(draw: random.Random, table: Table) -> None:
    for i, row in enumerate(table.rows):
        row[1] = draw.choice(("nan", "inf", "-1")) if i == 5 else i % 3


def _one_class(draw: random.Random, table: Table) -> None:
    for row in table.rows:
        row[1] = "positive"


def _no_label(draw: random.Random, table: Table) -> None:
    del table.names[1]
    for row in table.rows:
        del row[1]


def _header(draw: random.Random, table: Table) -> None:
    names = ["Text", "LABEL"], ["text", "text"], ["", ""], ["label", "label"], ["a", "b"]
    table.names[:] = draw.choice(names)[: len(table.names)]


def _no_rows(draw: random.Random, table: Table) -> None:
    table.rows.clear()


def _ragged(draw: random.Random, table: Table) -> None:
    row = table.rows[draw.randrange(len(table.rows))]
    row.append("more") if draw.random() < 0.5 else row.pop()


def _semicolons(draw: random.Random, table: Table) -> None:
    table.delimiter = draw.choice((";", "|", "\t"))


def _columns(draw: random.Random, table: Table) -> None:
    for i, word in enumerate(mutations.WORDS):
        table.names.append(word or f"c{i}")
        for row in table.rows:
            row.append(draw.choice((word, i, None)))


ODDITIES: dict[str, Callable[[random.Random, Table], None]] = {
    "an odd cell": _cell,
    "an odd text": _word,
    "a huge text": _huge,
    "an odd label": _label,
    "one odd label": _odd_label,
    "numbers for labels": _numbers,
    "one class": _one_class,
    "no label column": _no_label,
    "an odd header": _header,
    "no rows": _no_rows,
    "a ragged row": _ragged,
    "another delimiter": _semicolons,
    "many columns": _columns,
}


def texts(scene: Scene) -> Command:
    """A file of texts to train on, to evaluate on, or to label."""
    draw = scene.draw
    table = Table(["text", "label"], [list(row) for row in tiny_text.review_rows()[:24]])
    if scene.chance(0.8):
        name = draw.choice([*ODDITIES])
        ODDITIES[name](draw, table)
        table.done.append(name)
    suffix = draw.choice(SUFFIXES)
    content = _written(suffix, table)
    is_damaged = scene.chance(0.35)
    if is_damaged:
        content, how = mutations.spoil(draw, content, suffix != ".parquet")
        table.done.append(how)
    file = scene.inputs / (draw.choice(NAMES) + draw.choice((suffix, suffix, suffix.upper())))
    if scene.chance(0.04):
        file = file.with_name(f"{file.name}.gz")
        content = gzip.compress(content, mtime=0)
    file.write_bytes(content)
    what = f"{file.name}: {', '.join(table.done) or 'as it should be'}"
    verb = draw.choices(("finetune", "evaluate", "predict"), (2, 2, 5))[0]
    screen = {
        "is_terminal": scene.chance(0.3),
        "encoding": draw.choice(("utf-8",) * 3 + ("latin-1",)),
    }
    if verb == "finetune":
        flags = draw.choice(((), ("--label_column", "label"), ("--problem_type", "regression")))
        words = TEXT.finetune(scene, *flags, data=file)
        return Command(TEXT.module, words, what, run=scene.run, **screen)
    checkpoint = scene.copy("text", without=("state",))
    if verb == "evaluate":
        words = ("evaluate", str(checkpoint), "--data", str(file))
        return Command(TEXT.module, words, what, writes=measured(checkpoint), **screen)
    return _predict(scene, checkpoint, file, what, None if is_damaged else len(table.rows), screen)


def _predict(
    scene: Scene, checkpoint: Path, file: Path, what: str, rows: int | None, screen: dict[str, Any]
) -> Command:
    words = ["predict", str(checkpoint), "--file", str(file)]
    output = None
    if scene.chance(0.5):
        output = scene.out / scene.draw.choice(("labels.csv", "labels.jsonl", "labels.parquet"))
        words += ["--output", str(output)]
    stdin = None
    if file.suffix == ".txt" and scene.chance(0.3):
        words[2:4] = []
        stdin = file.read_bytes()[:60_000]
        rows = None if len(stdin) == 60_000 else rows
    return Command(TEXT.module, tuple(words), what, stdin, output, rows, **screen)


def _written(suffix: str, table: Table) -> bytes:
    if suffix == ".txt":
        lines = (str(row[0]).replace("\n", " ") for row in table.rows)
        return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")
    if suffix in (".csv", ".tsv"):
        delimiter = "\t" if suffix == ".tsv" and table.delimiter == "," else table.delimiter
        buffer = io.StringIO(newline="")
        csv.writer(buffer, delimiter=delimiter).writerows([table.names, *table.rows])
        return buffer.getvalue().encode("utf-8", "surrogatepass")
    rows = [dict(zip(table.names, row, strict=False)) for row in table.rows]
    if suffix == ".json":
        return json.dumps(rows).encode()
    if suffix == ".jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    return _parquet(rows)


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    """Columns of mixed types become text: a parquet file has none."""
    import pyarrow
    from pyarrow import parquet

    columns: dict[str, Any] = {}
    for name in rows[0] if rows else ("text", "label"):
        key = name.encode("utf-8", "replace").decode()
        values = [row.get(name) for row in rows]
        try:
            columns[key] = pyarrow.array(values)
        except (pyarrow.ArrowException, UnicodeError):
            plain = (
                None if v is None else str(v).encode("utf-8", "replace").decode() for v in values
            )
            columns[key] = pyarrow.array(list(plain), pyarrow.string())
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), buffer)
    return buffer.getvalue()
