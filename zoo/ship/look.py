"""The data as the task reads them: their kind, labels and rows, and what must be said to read them
so."""

import contextlib
import dataclasses
import importlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tasks.data.columns import folded
from tasks.data.source import DataArgs
from tasks.errors import UserError
from zoo.cli.args import ShipArgs
from zoo.ship.kinds import TASKS, Kind, kind_of

if TYPE_CHECKING:
    from tasks.base import Examples, Task

LIMITS = ("max_train_samples", "max_eval_samples")
SHOWN = 5
"""Labels that are named."""
SAMPLED = 500
"""Texts that are looked at."""
SEVERAL = "|"
"""Stands between the labels of a row in a csv."""
MOST_CLASSES = 50
"""Whole numbers of more values than this are numbers to predict, unless they are codes: see
`_are_numbers`."""
ROWS_OF_A_CODE = 5
"""Rows of train that the code of a class has on average, at the least."""
OF_NUMBERS = frozenset({"score", "stars", "rating", "quality", "age", "price"})
"""Columns that hold no codes."""
TRAIN_ROWS_A_MINUTE = 20_000
EVAL_ROWS_A_MINUTE: Mapping[Kind, int] = {
    "text": 300,
    "tags": 150,
    "image": 2_000,
    "boxes": 300,
    "masks": 300,
    "sound": 500,
    "speech": 60,
    "table": 20_000,
}
"""Rows of a split that are looked at for each minute of the whole: more would take the time that
training needs."""


@dataclass(frozen=True)
class Look:
    """What was seen of the data."""

    kind: Kind
    task: "Task"
    examples: "Examples"
    words: tuple[str, ...]
    """flags of `finetune` that read the data so"""
    reasons: tuple[str, ...]
    """what was guessed or left out, in half sentences"""
    limits: Mapping[str, int | None] = field(default_factory=dict)
    """most rows that are read, by flag: of train, and of each other split"""

    @property
    def rows(self) -> dict[str, int]:
        """Return how many rows each split has."""
        return {name: len(split) for name, split in self.examples.splits.items()}

    def texts(self) -> list[str]:
        """Return some texts of the training split; of tags their words, blanks between."""
        split = self.examples.splits["train"]
        some = split.select(range(min(SAMPLED, len(split))))
        if "tokens" in some.column_names:
            return [" ".join(words) for words in some["tokens"]]
        return [text for text in some["text"] if isinstance(text, str)]

    def describe(self) -> str:
        """Return what the data are, in one line."""
        sizes = ", ".join(f"{count:,} {name}" for name, count in self.rows.items())
        return f"{self.examples.name}: {self._what()}; {sizes}"

    def _what(self) -> str:
        names = list(self.task.labels)
        shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        if self.kind == "speech":
            return "sounds and what is said in them"
        if self.kind == "tags":
            return f"words with tags ({shown})"
        if self.kind in ("boxes", "masks"):
            count = f"{len(names)} class{'es'[: 2 * (len(names) != 1)]}"
            return f"images with {self.kind} of {count} ({shown})"
        pairs = "text_pair" in self.examples.splits["train"].column_names
        inputs = {"text": "pairs of texts" if pairs else "texts", "image": "images"}
        what = (inputs | {"table": "rows of a table"}).get(self.kind, "sounds")
        problem = getattr(self.task, "problem_type", "")
        if problem == "regression":
            return f"{what} with {'numbers (' + shown + ')' if len(names) > 1 else 'a number'}"
        if problem == "multi_label_classification":
            return f"{what} with any of {len(names)} labels ({shown})"
        return f"{what} with one of {len(names)} labels ({shown})"


def look(
    args: ShipArgs, kind: Kind | None = None, before: Mapping[str, int | None] | None = None
) -> Look:
    """Read the data as the task of their kind does.

    Args:
        kind: where a model tells it; else the data do.
        before: the limits of rows that a command which is gone on with has set, by their flags.

    Raises `UserError` for what can't be read or learned.
    """
    if kind is None and args.data == "embedded":
        raise UserError("each model has embedded data of its own: name one with `model`")
    kind = kind or kind_of(args)
    words = _columns(kind, args)
    data = DataArgs(
        data=args.data,
        data_config=args.data_config,
        max_train_samples=args.max_train_samples,
        max_eval_samples=args.max_eval_samples,
    )
    task, examples = _read(kind, words, data)
    guessed = dict(_guesses(args, kind, task, examples))
    if guessed:
        words = {**words, **{name: value for name, (value, _) in guessed.items()}}
        task, examples = _read_again(kind, words, data)
    reasons = [reason for _, reason in guessed.values()]
    limits = dict(_limits(kind, args, examples) if before is None else _kept(data, before))
    if limits:
        more: dict[str, Any] = {name: most for name, (most, _) in limits.items()}
        data = dataclasses.replace(data, **more)
        task, examples = _read_again(kind, words, data)
        reasons += [reason for _, reason in limits.values()]
    flags = {"data": args.data, **words}
    for name in ("data_config", *LIMITS):
        if (most := getattr(data, name)) is not None:
            flags[name] = most
    typed = tuple(str(word) for name, value in flags.items() for word in (f"--{name}", value))
    most = {name: getattr(data, name) for name in LIMITS}
    return Look(kind, task, examples, typed, tuple(reasons), most)


def _columns(kind: Kind, args: ShipArgs) -> dict[str, Any]:
    """The columns that were named, by the names that the task gives them."""
    label = "tag_column" if kind == "tags" else "label_column"
    text = "token_column" if kind == "tags" else "text_column"
    known = {field.name for field in dataclasses.fields(_module(kind).Args)}
    found = {text: args.text_column, label: args.label_column}
    for name, value in found.items():
        if value is not None and name not in known:
            raise UserError(f"`{name}` {value}: {args.data} holds {kind}, which has none")
    return {name: value for name, value in found.items() if value is not None}


def _module(kind: Kind) -> Any:
    return importlib.import_module(TASKS[kind])


def _read(kind: Kind, words: Mapping[str, Any], data: DataArgs) -> "tuple[Task, Examples]":
    module = _module(kind)
    found: tuple[Task, Examples] = module.from_data(module.Args(**words), data)
    return found


def _read_again(kind: Kind, words: Mapping[str, Any], data: DataArgs) -> "tuple[Task, Examples]":
    """Read the same data in another way, without the warnings, which were said the first time."""
    with contextlib.redirect_stderr(io.StringIO()):
        return _read(kind, words, data)


def _guesses(
    args: ShipArgs, kind: Kind, task: "Task", examples: "Examples"
) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield how else labels are to be read than their type says: flag, value, and why."""
    if kind not in ("text", "image", "sound", "table"):
        return
    if getattr(task, "problem_type", "") != "single_label_classification":
        return
    names = task.labels
    joined = [name for name in names if SEVERAL in name]
    if joined:
        parts = {part for name in names for part in name.split(SEVERAL)}
        if len(parts) < len(names):
            reason = f"labels are joined by {SEVERAL!r}: several a row"
            yield "problem_type", ("multi_label", reason)
        return
    if len(names) > MOST_CLASSES and _are_numbers(names, _label_column(args, task), examples):
        reason = f"{len(names):,} different whole numbers are no classes: a number is predicted"
        yield "problem_type", ("regression", reason)


def _label_column(args: ShipArgs, task: "Task") -> str:
    own = getattr(task, "columns", {}).get("label") or getattr(task, "label", "")
    return folded(args.label_column or str(own))


def _are_numbers(names: Sequence[str], column: str, examples: "Examples") -> bool:
    """Return whether labels are whole numbers to predict. Codes of classes are numbered from 0 or 1
    on without a gap, and each has several rows."""
    if not all(name.strip().lstrip("+-").isdecimal() for name in names):
        return False
    first, *_, last = sorted(map(int, names))
    has_no_gap = first in (0, 1) and last - first + 1 == len(names)
    has_rows = len(examples.splits["train"]) >= ROWS_OF_A_CODE * len(names)
    return column in OF_NUMBERS or not (has_no_gap and has_rows)


def _limits(
    kind: Kind, args: ShipArgs, examples: "Examples"
) -> Iterator[tuple[str, tuple[int, str]]]:
    """Yield the limits that the time sets to the rows: flag, value, and why."""
    most = max(200, int(EVAL_ROWS_A_MINUTE[kind] * args.minutes))
    rows = {name: len(split) for name, split in examples.splits.items()}
    others = [count for name, count in rows.items() if name != "train"]
    if args.max_eval_samples is None and max(others, default=0) > most:
        reason = f"at most {most:,} rows of each other split are measured on, for the time's sake"
        yield "max_eval_samples", (most, reason)
    most = max(1_000, int(TRAIN_ROWS_A_MINUTE * args.minutes))
    if args.max_train_samples is None and rows["train"] > most:
        reason = f"{most:,} of {rows['train']:,} rows of train are read, for the time's sake"
        yield "max_train_samples", (most, reason)


def _kept(
    data: DataArgs, before: Mapping[str, int | None]
) -> Iterator[tuple[str, tuple[int, str]]]:
    """Yield the limits of before that nothing else was asked for."""
    for name in LIMITS:
        if getattr(data, name) is None and (most := before.get(name)) is not None:
            yield name, (most, f"at most {most:,} rows of {_SPLITS[name]}, as before")


_SPLITS = {"max_train_samples": "train", "max_eval_samples": "each other split"}
