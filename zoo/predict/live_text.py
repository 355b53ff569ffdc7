"""Texts on a terminal, shown while they are written: the prompt, and behind it what comes."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.printing import print_piece
from zoo.predict.pipeline import PredictionPipeline


def is_read(output: Path | None, form: str | None) -> bool:
    """Return whether a person reads the texts, and no program: no file and no format is asked for,
    and standard output is a terminal."""
    return output is None and form is None and sys.stdout is not None and sys.stdout.isatty()


def show(inputs: Iterator[Mapping[str, Any]], predictor: PredictionPipeline) -> None:
    """Write each prompt and its text to standard output, an empty line between them."""
    for number, item in enumerate(inputs):
        pieces = predictor.write(item)
        first = next(pieces, "")  # before the prompt is shown: it may be refused
        print_piece(("\n" if number else "") + item["prompt"] + item.get("between", "") + first)
        for piece in pieces:
            print_piece(piece)
        print_piece("\n")
