"""`card.md`: what people add to a card, below a front matter that says what no file can tell.

---
language: en
license: mit
repo: me/reviews
---
Trained for the course of 2026; ask before you build on it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.errors import UserError
from zoo.store import evidence

FILE = "card.md"
LISTS = ("language", "tags", "datasets")
TEXTS = ("license", "license_name", "license_link", "name", "repo")
KEYS = (*LISTS, *TEXTS, "benchmarks")


@dataclass(frozen=True)
class CardText:
    """The content of `card.md`: what people add to a card. Empty where there is no such file."""

    front: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""


def read(folder: Path) -> CardText:
    """Return the text that people have added to the card of a checkpoint.

    Lists come as lists though one text was given. Raises `UserError` where the file is no text, or
    its front matter is no YAML or says what no card has.
    """
    path = folder / FILE
    evidence.must_be_file(path)
    if not path.exists():
        return CardText()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} is no UTF-8 text: write it anew") from None
    found = re.match(r"---[ \t]*\n(.*?)(?:^|\n)---[ \t]*(?:\n|\Z)", text, re.DOTALL)
    if found is None:
        if text.startswith("---\n"):
            raise UserError(f"{path}, line 1: its front matter has no end, a line of ---")
        return CardText(text=text.strip())
    return CardText(_front(path, found[1]), text[found.end() :].strip())


def _front(path: Path, text: str) -> Mapping[str, Any]:
    import yaml

    try:
        said = yaml.safe_load(text)
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0)
        raise UserError(f"{path}, line {line + 2}: its front matter is not valid YAML") from None
    if said is None:
        return {}
    if not isinstance(said, dict):
        raise UserError(f"{path}, line 2: its front matter wants lines of `key: value`")
    return {str(key): _value(path, str(key), value) for key, value in said.items()}


def _value(path: Path, key: str, value: object) -> Any:
    if key not in KEYS:
        raise UserError(f"{path}: its front matter has no key {key!r}; it takes {', '.join(KEYS)}")
    if key == "benchmarks":
        return _benchmarks(path, value)
    values = value if key in LISTS and isinstance(value, list) else [value]
    if not values or not all(isinstance(one, str) and one.strip() for one in values):
        kind = "a text, or a list of texts" if key in LISTS else "a text"
        raise UserError(f"{path}: {key} in its front matter wants {kind}, not {value!r}")
    return values if key in LISTS else value


def _benchmarks(path: Path, value: object) -> Mapping[str, Mapping[str, str]]:
    """Data sets that are benchmarks of the Hub: {id: {task_id: ..., metric: ...}}."""
    whole = isinstance(value, dict) and all(
        isinstance(one, dict)
        and set(one) == {"task_id", "metric"}
        and all(isinstance(text, str) for text in one.values())
        for one in value.values()
    )
    if not whole:
        raise UserError(
            f"{path}: benchmarks in its front matter wants, by the id of a data set, task_id (of "
            "its eval.yaml) and metric (of the evidence)"
        )
    assert isinstance(value, dict)
    return {str(name): one for name, one in value.items()}
