"""`--help` of a verb: its examples and usual flags on one screen; `--help-all` has every flag.

What a flag is comes from its field: the name, the docstring below it, the type, the bounds and the
default. Nothing here imports torch or tyro.
"""

import ast
import inspect
import shutil
import sys
import textwrap
import types
import typing
from collections.abc import Collection, Iterator, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from tasks.bounds import Bounds
from tasks.errors import SETTING, spelled

SHORT = ("-h", "--help")
ALL = ("--help-all", "--help_all")
WIDTHS = (60, 100)
"""Least and most columns that a page fills."""
FEW = 3
"""So many flags are shown with the usual ones: hiding them would save no screen."""
COLUMN = 32
"""Where the text of a flag begins."""

DATA = "FOLDER|FILE|HUB_ID"
MEANINGS = {
    "data": DATA,
    "unlabeled": DATA,
    "model": "PRESET|FOLDER|HUB_ID",
    "checkpoint": "CHECKPOINT",
    "teacher": "CHECKPOINT",
    "qat": "CHECKPOINT",
    "output_dir": "FOLDER",
    "output": "FILE",
    "file": "FILE",
    "image": "FILE|FOLDER|GLOB",
    "audio": "FILE|FOLDER|GLOB",
    "device": "DEVICE",
    "deployment": "DEPLOYMENT",
    "deployments": "DEPLOYMENT",
    "split": "SPLIT",
    "metric_for_best_model": "METRIC",
}
"""What follows a flag, where its type says less than its name."""
TITLES = {"options": "model", "train": "training", "inputs": "input", "common": ""}
"""What the flags of a part are called, where not by its name."""
TYPES: dict[Any, str] = {int: "INT", float: "FLOAT", str: "TEXT", Path: "PATH"}


@dataclass(frozen=True)
class Flag:
    """A flag of a verb, as --help shows it."""

    name: str  # of the field
    value: str  # what follows it; empty for a switch
    text: str
    positional: bool
    choices: tuple[str, ...] = ()  # the only values, where there are such

    @property
    def shown(self) -> str:
        """Return what is typed: `--seed INT`."""
        return self.value if self.positional else f"--{self.name} {self.value}".rstrip()


@dataclass(frozen=True)
class Group:
    """Flags that belong together."""

    title: str
    flags: tuple[Flag, ...]


def wanted(words: Sequence[str]) -> Literal["usual", "all"] | None:
    """Return which help the words of a command ask for, if any."""
    if any(word in ALL for word in words):
        return "all"
    return "usual" if any(word in SHORT for word in words) else None


def groups_of(kind: Any, default: Any = None) -> list[Group]:
    """Return the flags of a dataclass, or of the dataclasses that its default consists of."""
    parts: dict[str, Any] = {
        field.name: getattr(default, field.name, MISSING) for field in fields(kind)
    }
    if parts and all(is_dataclass(part) for part in parts.values()):
        names = {field.name for part in parts.values() for field in fields(part)}
        return [
            Group(TITLES.get(name, name), tuple(_flags(type(part), part, names)))
            for name, part in parts.items()
        ]
    return [Group("", tuple(_flags(kind, default, {field.name for field in fields(kind)})))]


def page(
    prog: str,
    about: str,
    groups: Sequence[Group],
    usual: Sequence[str] = (),
    everything: bool = False,
    width: int | None = None,
) -> list[str]:
    """Return the lines of a help page.

    Args:
        prog: what is typed before the flags.
        about: what stands above the flags, as it is to be shown.
        usual: names of the flags that a short page shows; empty: all.
        everything: whether the page is the long one.
        width: columns to fill; those of the terminal by default.
    """
    low, high = WIDTHS
    width = max(low, min(high, width or shutil.get_terminal_size((80, 24)).columns))
    every = [flag for group in groups for flag in group.flags]
    given = [flag for flag in every if flag.positional]
    first = {name: place for place, name in enumerate(usual)}
    shown = [flag for flag in every if flag.name in first and not flag.positional]
    hidden = len(every) - len(given) - len(shown)
    is_short = bool(shown) and not everything and hidden > FEW
    words = [prog, *(flag.value for flag in given)]
    words += ["[FLAGS]"] if len(every) > len(given) else []
    lines = [f"usage: {' '.join(words)}", "", *spelled(about, "--{}").strip().splitlines()]
    if given:
        lines += ["", *_rows(given, width)]
    if is_short:
        lines += ["", "usual flags:"]
        lines += _rows(sorted(shown, key=lambda flag: first[flag.name]), width)
        return [*lines, "", f"--help-all shows all {len(every) - len(given)} flags."]
    for group in groups:
        flags = [flag for flag in group.flags if not flag.positional]
        if flags:
            lines += ["", f"{group.title} flags:".lstrip(), *_rows(flags, width)]
    return lines


def _rows(flags: Sequence[Flag], width: int) -> Iterator[str]:
    for flag in flags:
        text = textwrap.wrap(flag.text, width - COLUMN)
        begin = f"  {flag.shown}"
        if len(begin) > COLUMN - 2:
            yield begin
            begin = ""
        yield f"{begin:<{COLUMN}}{text[0] if text else ''}".rstrip()
        yield from (" " * COLUMN + line for line in text[1:])


def _flags(kind: Any, default: Any, known: Collection[str]) -> Iterator[Flag]:
    hints = typing.get_type_hints(kind, include_extras=True)
    texts = field_texts(kind)
    for field in fields(kind):
        hint, notes = _plain(hints[field.name])
        value = field.default if default is None else getattr(default, field.name)
        positional = _is_positional(notes)
        metavar = next((m for note in notes if (m := getattr(note, "metavar", None))), None)
        metavar = metavar or MEANINGS.get(field.name) or _metavar(field.name, hint)
        name = next((n for note in notes if (n := getattr(note, "name", None))), field.name)
        text = texts.get(field.name, "")
        if hint is bool:
            metavar = ""
            if value is True:
                name, text = f"no_{name}", f"turn off: {text}"
        elif _is_list(hint) and not metavar.endswith("..."):
            metavar = f"[{metavar} ...]" if positional else f"{metavar} ..."
        behind = _behind(notes, hint, value)
        if positional and not metavar.startswith("[") and not _is_missing(value):
            metavar = f"[{metavar}]"
        text = f"{_as_flags(text, known)}{behind}"
        yield Flag(name, metavar, text, positional, _choices(hint))


def _as_flags(text: str, known: Collection[str]) -> str:
    """Return a text with the settings that it names between backticks as flags; what is none of
    this verb's loses its backticks."""
    return SETTING.sub(lambda found: f"--{found[1]}" if found[1] in known else found[1], text)


def _behind(notes: Sequence[Any], hint: Any, value: Any) -> str:
    """Return bounds and default of a flag in brackets, as far as there is something to say."""
    said = [str(bounds) for bounds in _bounds(notes, hint)]
    if isinstance(value, tuple | list):
        value = " ".join(map(str, value))
    if value is not None and not isinstance(value, bool) and value != "" and not _is_missing(value):
        said.append(f"default: {value}")
    return f" ({'; '.join(said)})" if said else ""


def _bounds(notes: Sequence[Any], hint: Any) -> list[Bounds]:
    """Return the bounds of a flag's numbers, at most once each."""
    found = [note for note in notes if isinstance(note, Bounds)]
    for part in typing.get_args(hint) if typing.get_origin(hint) is not Literal else ():
        found += _bounds(_plain(part)[1], _plain(part)[0])
    return list(dict.fromkeys(found))


def _plain(hint: Any) -> tuple[Any, list[Any]]:
    """Return a type without `| None`, and what is annotated on it."""
    notes: list[Any] = []
    while True:
        if typing.get_origin(hint) is Annotated:
            hint, *more = typing.get_args(hint)
            notes += more
        elif typing.get_origin(hint) in (Union, types.UnionType):
            parts = [part for part in typing.get_args(hint) if part is not types.NoneType]
            if len(parts) != 1:
                return hint, notes
            hint = parts[0]
        else:
            return hint, notes


def _metavar(name: str, hint: Any) -> str:
    if name.endswith("_column"):
        return "COLUMN"
    if choices := _choices(hint):
        return "|".join(choices)
    if typing.get_origin(hint) in (tuple, list):
        inner = (typing.get_args(hint) or (str,))[: 1 if _is_list(hint) else None]
        return " ".join(_metavar(name, _plain(part)[0]) for part in inner)
    return TYPES.get(hint, "VALUE")


def _choices(hint: Any) -> tuple[str, ...]:
    """Return the values of a flag that has a few, or takes several of a few."""
    if _is_list(hint):
        hint = _plain((typing.get_args(hint) or (str,))[0])[0]
    if typing.get_origin(hint) is not Literal:
        return ()
    return tuple(str(choice) for choice in typing.get_args(hint) if choice is not None)


def _is_list(hint: Any) -> bool:
    """Return whether a flag takes any number of values."""
    if typing.get_origin(hint) not in (tuple, list):
        return False
    inner = typing.get_args(hint)
    return len(inner) < 2 or inner[1] is Ellipsis


def _is_positional(notes: Sequence[Any]) -> bool:
    """Return whether a value stands without its flag; whoever says so has imported tyro."""
    tyro = sys.modules.get("tyro")
    return tyro is not None and any(note is tyro.conf.Positional for note in notes)


def _is_missing(value: Any) -> bool:
    tyro = sys.modules.get("tyro")
    return value is MISSING or (tyro is not None and value is tyro.MISSING)


def field_texts(kind: type) -> dict[str, str]:
    """Return the docstrings below the fields of a dataclass, each on one line; those of its base
    classes included."""
    found: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        found |= _texts_in(owner.__module__).get(owner.__qualname__.rpartition(".")[2], {})
    return found


@cache
def _texts_in(module: str) -> dict[str, dict[str, str]]:
    """Return the docstrings below the fields of each class in a module's source."""
    try:
        source = inspect.getsource(sys.modules[module])
    except (KeyError, OSError, TypeError):  # built in, or made without a file
        return {}
    texts: dict[str, dict[str, str]] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            texts[node.name] = dict(_below_fields(node))
    return texts


def _below_fields(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            yield field.target.id, " ".join(below.value.value.split())
