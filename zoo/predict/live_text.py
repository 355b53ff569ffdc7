"""Texts on a terminal, shown while they are written: the prompt, and behind it what comes.

`show` does so for given prompts, `converse` for those that are typed, one a line.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.errors import UserError, spelled
from tasks.printing import print_lines, print_piece
from zoo.predict.pipeline import PredictionPipeline

Read = Callable[[str], Iterator[Mapping[str, Any]]]


def is_read(output: Path | None, form: str | None) -> bool:
    """Return whether a person reads the texts, and no program: no file and no format is asked for,
    and standard output is a terminal."""
    return output is None and form is None and sys.stdout is not None and sys.stdout.isatty()


def must_have_keyboard() -> None:
    """Raise `UserError` where standard input is no terminal."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise UserError(
            "`interactive` reads prompts from a terminal, and standard input is none: without it, "
            "each line of standard input is a prompt as well"
        )


def converse(predictor: PredictionPipeline, read: Read) -> None:
    """Read prompts from the terminal and write each and its text to standard output, until the end
    of the input (Ctrl-D). Ctrl-C ends a text, or the line that is typed, and a mistake in a prompt
    is told in one line.

    Args:
        read: gives the inputs that a typed line makes.
    """
    ways = "a line is a prompt, an empty one begins a new text"
    print_lines(f"{ways}; Ctrl-C ends a text, Ctrl-D this program", file=sys.stderr)
    is_over = False
    while not is_over:
        try:
            line = _typed()
            is_over = line is None
            if line is not None:
                show(read(line), predictor)
        except KeyboardInterrupt:
            print_lines("", "(stopped; Ctrl-D ends this program)", file=sys.stderr)
        except UserError as error:
            print_lines(spelled(str(error)), file=sys.stderr)
        print_lines("")


def _typed() -> str | None:
    """Return the next line that is typed; None behind the last one."""
    print_piece("> ")
    line = sys.stdin.buffer.readline()
    return os.fsdecode(line.removesuffix(b"\n")) if line else None


def show(inputs: Iterator[Mapping[str, Any]], predictor: PredictionPipeline) -> None:
    """Write each prompt and its text to standard output, an empty line between them."""
    for number, item in enumerate(inputs):
        pieces = predictor.write(item)
        first = next(pieces, "")  # before the prompt is shown: it may be refused
        print_piece(("\n" if number else "") + item["prompt"] + item.get("between", "") + first)
        for piece in pieces:
            print_piece(piece)
        print_piece("\n")
