"""--help: the usual flags on one screen, all of them behind --help-all, read off their fields."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import tyro

from tasks.bounds import Bounded, Count, Share
from tests.cli import run_cli
from zoo.cli import help as module
from zoo.cli import settings
from zoo.cli.help import Flag, groups_of, page, wanted
from zoo.model import registry

VERBS = [(entry, verb) for entry in registry.entries() for verb in entry.verbs]
SCREEN = 16
"""Flags that --help of a verb shows at most."""


@dataclass(frozen=True)
class Base(Bounded):
    """Half of the flags."""

    learning_rate: Share = 0.5
    """how fast `speedups` learns; `nothing` is none of these flags"""
    speedups: bool = True
    """faster"""
    resume: bool = False
    """go on"""


@dataclass(frozen=True)
class Args(Base):
    """All flags."""

    text_column: str | None = None
    """column of
    the text"""
    form: Literal["jsonl", "csv"] | None = None
    widths: tuple[Count, ...] = (8, 16)
    """sizes"""
    folder: Annotated[Path | None, "a note"] = None
    as_: Annotated[str, tyro.conf.arg(name="as", metavar="MODEL")] = "bert_cls"
    mean: tuple[Share, Share, Share] | None = None


def _flags(default: Any = None) -> dict[str, Flag]:
    (group,) = groups_of(Args, default)
    return {flag.name: flag for flag in group.flags}


def test_a_flag_is_read_off_its_field() -> None:
    flags = _flags()
    assert [flag.shown for flag in flags.values()] == [
        "--learning_rate FLOAT",
        "--no_speedups",
        "--resume",
        "--text_column COLUMN",
        "--form jsonl|csv",
        "--widths INT ...",
        "--folder PATH",
        "--as MODEL",
        "--mean FLOAT FLOAT FLOAT",
    ]
    assert flags["text_column"].text == "column of the text"
    assert flags["widths"].text == "sizes (at least 1; default: 8 16)"
    assert flags["no_speedups"].text == "turn off: faster"
    assert flags["resume"].text == "go on" and flags["folder"].text == ""
    text = flags["learning_rate"].text
    assert text.startswith("how fast --speedups learns; nothing is none")
    assert text.endswith("(from 0 to 1; default: 0.5)")
    assert _flags(Args(learning_rate=0.25, speedups=False))["speedups"].shown == "--speedups"


def test_a_short_page_shows_the_usual_flags_in_their_order() -> None:
    groups = groups_of(Args)
    lines = page("zoo x", "about", groups, ("resume", "learning_rate", "none_of_it"))
    flags = [line.split()[0] for line in lines if line.startswith("  --")]
    assert flags == ["--resume", "--learning_rate"]
    assert lines[-1] == "--help-all shows all 9 flags."
    every = page("zoo x", "about", groups, ("resume",), everything=True)
    assert sum(line.startswith("  --") for line in every) == 9
    most = ("learning_rate", "no_speedups", "resume", "text_column", "form", "widths")
    assert "--help-all" not in "\n".join(page("zoo x", "about", groups, most))


def test_a_page_is_as_wide_as_the_terminal() -> None:
    for asked, most in ((20, 60), (72, 72), (300, 100)):
        lines = page("zoo", "about", groups_of(Args), width=asked)
        assert max(map(len, lines)) <= most


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--data", "x"], None),
        (["-h"], "usual"),
        (["--help", "--help-all"], "all"),
        (["--help_all"], "all"),
    ],
)
def test_which_help_is_wanted(words: list[str], expected: str | None) -> None:
    assert wanted(words) == expected


@pytest.mark.parametrize(("entry", "verb"), VERBS, ids=[f"{e.name}-{v}" for e, v in VERBS])
def test_help_of_every_verb(entry: Any, verb: str) -> None:
    short, whole = (run_cli(entry, verb, flag) for flag in ("--help", "--help-all"))
    assert short.code == whole.code == 0
    for done in (short, whole):
        assert "{None}" not in done.out and "options options" not in done.out
        assert "None" not in done.out and "STR" not in done.out
        assert done.lines[0].startswith(f"usage: python -m {entry.module} {verb}")
    shown = [line for line in short.lines if line.startswith("  --")]
    every = [line for line in whole.lines if line.startswith("  --")]
    assert 0 < len(shown) <= SCREEN and len(shown) <= len(every)
    if verb in ("finetune", "pretrain"):
        _, default = settings.of_training(entry, verb)
        parts = [getattr(default, field.name) for field in dataclasses.fields(default)]
        fields = [field.name for part in parts for field in dataclasses.fields(part)]
        named = [re.match(r"  --(?:no_)?(\w+)", line)[1] for line in every]  # type: ignore[index]
        assert sorted(named) == sorted(name.removeprefix("no_") for name in fields)


def test_every_flag_that_help_shows_is_read() -> None:
    """What a page shows of a switch is what the parser takes."""
    from zoo.cli.program import parse_flags

    args = parse_flags(Args, ["--no_speedups", "--resume"], prog="x", description="")
    assert args == Args(speedups=False, resume=True)


def test_a_class_without_source_has_no_texts() -> None:
    made = dataclasses.make_dataclass("Made", [("n", int, 3)], frozen=True)
    assert module.field_texts(made) == {}
    ((flag,),) = (group.flags for group in groups_of(made))
    assert flag.shown == "--n INT" and flag.text == " (default: 3)"


@pytest.mark.parametrize(
    ("program", "said"),
    [("zoo.vision.cnn_cls", "--data photos/"), ("zoo.speech.kws_cls", "--data recordings/")],
)
def test_examples_name_data_of_their_kind(program: str, said: str) -> None:
    assert said in run_cli(program, "finetune", "--help").out
