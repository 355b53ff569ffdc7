"""EXAMPLES.md, rendered from the examples."""

import re
import textwrap
from collections.abc import Iterator

from tests.cli import ROOT
from tests.examples.catalogue import Command, Example
from tests.examples.chapters import CHAPTERS

PAGE = ROOT / "EXAMPLES.md"
WIDTH = 88  # of a line of a command
HEAD = """# Worked examples

What tutorials and books on PyTorch have their readers build, and the command that does it here:
{runs} of {all} run, {part} in part, {never} not yet. What is not there yet is said.

`tests/examples` runs every command of this page in a folder of small files that are laid out as
the originals are. The tests only add flags that make a command shorter: fewer steps and samples,
smaller networks, tiny weights in the place of pretrained ones, and for `quantize` a contract that
noise can't break. `nox -s examples` runs the slow ones too. This page is rendered from the table
that the tests read, by `python -m tests.examples`."""


def render() -> str:
    """Return the page."""
    every = [example for chapter in CHAPTERS for example in chapter.examples]
    status = [example.status for example in every]
    counts = {
        "all": len(status),
        "runs": status.count("runs"),
        "part": status.count("in part"),
        "never": status.count("not yet"),
    }
    parts = [HEAD.format(**counts)]
    parts.append("\n".join(_contents()))
    for chapter in CHAPTERS:
        parts.append(f"## {chapter.title}")
        for example in chapter.examples:
            parts += _section(example)
    return "\n\n".join(parts) + "\n"


def small_flags() -> list[str]:
    """Return the flags that only the tests add to a command, by name."""
    every = (c for chapter in CHAPTERS for e in chapter.examples for c in e.commands)
    return sorted({flag for command in every for flag in Command(command.small).flags})


def slug(title: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _contents() -> Iterator[str]:
    yield "| | example | here |"
    yield "| --- | --- | --- |"
    for chapter in CHAPTERS:
        for number, example in enumerate(chapter.examples):
            of = "" if number else chapter.title
            yield f"| {of} | [{example.title}](#{slug(example.title)}) | {example.status} |"


def _section(example: Example) -> Iterator[str]:
    yield f"### {example.title}"
    if example.theirs:
        yield _paragraph(f"Theirs: {example.theirs}")
    if example.wrong:
        yield _paragraph(f"Wrong in it: {example.wrong}")
    there = [command for command in example.commands if not command.lacks]
    if there:
        lines = [line for command in there for line in wrapped(command.line)]
        yield "\n".join(["```sh", *lines, "```"])
    if example.ours:
        yield _paragraph(example.ours)
    missing = [command.lacks for command in example.commands if command.lacks]
    for lacks in dict.fromkeys([*missing, *filter(None, [example.lacks])]):
        yield _paragraph(f"Not yet: {lacks}")


def _paragraph(text: str) -> str:
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)


def wrapped(line: str) -> list[str]:
    """Return a command in lines of at most `WIDTH` characters, each but the last with a backslash
    behind it; a flag stays beside its values."""
    pieces = re.split(r" (?=--[a-z]|-[dFH] )", line)  # -d, -F, -H: curl's
    lines = [pieces[0]]
    for piece in pieces[1:]:
        if len(lines[-1]) + len(piece) + 3 > WIDTH:
            lines[-1] += " \\"
            lines.append(f"    {piece}")
        else:
            lines[-1] += f" {piece}"
    return lines
