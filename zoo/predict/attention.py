"""A picture of what a network looks at: its texts, the shade of each piece the attention it has."""

import html
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, TextIO

from tasks.errors import UserError
from tasks.printing import print_lines, visible
from zoo.machine import output_file

FLAG = "`attention`"
TERMINAL = "-"
FORMATS = (".html", ".txt")
BAR = 40
"""Characters of a bar that stands for all attention."""
STYLE = """
body { font: 1rem/1.8 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }
section { border-top: 1px solid #8888; padding: .5rem 0 }
h2 { font-size: 1rem; margin: .5rem 0 }
p { margin: .3rem 0; white-space: pre-wrap; overflow-wrap: anywhere }
span { border-radius: .2rem }
i { color: #888 }
"""
COLOUR = (255, 140, 0)


class Piece(Protocol):
    """A piece of an input with the shares that it has, as of `tasks.nlp.attention.Span`."""

    @property
    def text(self) -> str: ...
    @property
    def shares(self) -> Sequence[float]: ...
    @property
    def share(self) -> float: ...
    @property
    def is_special(self) -> bool: ...


class AttentionPicture:
    """Writes the pictures of inputs to a file, or to the terminal, as they come."""

    def __init__(self, path: Path, predictor: Any, stack: ExitStack) -> None:
        """Open the file; it is put in place when `stack` closes without an error.

        Raises `UserError` for a kind of file that is none of `FORMATS`, or that can't be written,
        and for a program of another runtime, which tells nothing.
        """
        model = getattr(predictor, "model", None)
        if model is None or not hasattr(model, "pooling_weights"):
            raise UserError(
                f"{FLAG} shows what a network that pools by attention looks at, and "
                f"{predictor.source} is none",
                hint="rnn_cls finetune with `pooling` attention makes one, and `deployment` eager "
                "runs it",
            )
        self._model, self._task = model, predictor.task
        self._source: str = predictor.source
        self._stream: TextIO | None = None
        self._kind, self._count = path.suffix.lower(), 0
        if str(path) == TERMINAL:
            self._kind = "terminal" if _has_shades() else ".txt"
            return
        if self._kind not in FORMATS:
            raise UserError(f"{FLAG} {path}: a name that ends in {' or '.join(FORMATS)}, or -")
        self._stream = stack.enter_context(output_file.replacing_text(path, FLAG))
        if self._kind == ".html":
            self._stream.write(_head(f"Attention of {self._source}"))

    def add(self, item: Mapping[str, Any], typed: Any, prediction: Mapping[str, Any]) -> None:
        """Write the picture of an input under its prediction, which is given as JSON.

        Raises `UserError` where the network pools in another way.
        """
        pieces = self._task.attention(self._model, item)
        if pieces is None:
            raise UserError(
                f"{FLAG}: {self._source} does not pool by attention",
                hint="train with `pooling` attention or multi_head",
            )
        self._count += 1
        title = f"{self._count}. {_named(prediction)}"
        if self._kind == "terminal":
            _shade(title, pieces)
        elif self._stream is None:
            print_lines(*_bars(title, pieces), file=sys.stderr)
        elif self._kind == ".html":
            self._stream.write(_section(title, pieces))
        else:
            self._stream.write("".join(f"{line}\n" for line in _bars(title, pieces)))


def _named(prediction: Mapping[str, Any]) -> str:
    """Return a prediction as a title; numbers are rounded, tables of scores left out."""
    shown = []
    for name, value in prediction.items():
        if isinstance(value, float):
            shown.append(f"{name} {value:.3f}")
        elif isinstance(value, str | int) or (isinstance(value, list) and name == "labels"):
            shown.append(f"{name} {', '.join(value) if isinstance(value, list) else value}")
    return ", ".join(shown)


def _bars(title: str, pieces: Sequence[Piece]) -> list[str]:
    """Return a line a piece: its share, and a bar as long as that."""
    lines = [visible(title)]
    for piece in pieces:
        if not piece.text.strip():
            continue
        bar = "#" * round(BAR * piece.share)
        lines.append(f"{piece.share:8.3f}  {visible(piece.text.strip())}  {bar}".rstrip())
    return [*lines, ""]


def _has_shades() -> bool:
    """Return whether standard error is a terminal with more than sixteen colours."""
    from rich.console import Console

    return Console(stderr=True).color_system in ("256", "truecolor")


def _depth(share: float, highest: float) -> float:
    """Return how dark a piece is, 0 to 1: as a part of the highest share."""
    return share / highest if highest > 0 else 0.0


def _shade(title: str, pieces: Sequence[Piece]) -> None:
    """Print the text on the terminal, its pieces on grounds that are darker the more they have."""
    from rich.console import Console
    from rich.text import Text

    highest = max(piece.share for piece in pieces)
    line = Text()
    for piece in pieces:
        depth = _depth(piece.share, highest)
        red, green, blue = (round(255 - depth * (255 - value)) for value in COLOUR)
        style = f"black on rgb({red},{green},{blue})" if piece.text.strip() else ""
        line.append(visible(piece.text) if piece.text.strip() else piece.text, style=style)
    console = Console(stderr=True, highlight=False)
    console.print(Text(visible(title), style="bold"))
    console.print(line)


def _head(title: str) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{html.escape(title)}</h1>\n"
        "<p>The darker a piece of a text, the more of its attention it has; point at it for the "
        "share, of 1 in all.</p>\n"
    )


def _section(title: str, pieces: Sequence[Piece]) -> str:
    """Return the text as HTML; of several heads their mean first, and below it each of them."""
    heads = len(pieces[0].shares)
    rows = [("", [piece.share for piece in pieces])]
    if heads > 1:
        rows = [("mean", rows[0][1])]
        rows += [(f"head {i + 1}", [piece.shares[i] for piece in pieces]) for i in range(heads)]
    lines = [f"<section>\n<h2>{html.escape(visible(title))}</h2>\n"]
    for name, shares in rows:
        lines.append(f"<p>{f'<i>{name}</i> ' if name else ''}{_marked(pieces, shares)}</p>\n")
    return "".join([*lines, "</section>\n"])


def _marked(pieces: Sequence[Piece], shares: Sequence[float]) -> str:
    highest = max(shares)
    found = []
    for piece, share in zip(pieces, shares, strict=True):
        text = html.escape(piece.text)
        if not piece.text.strip():
            found.append(text)
            continue
        ground = f"background: rgb({' '.join(map(str, COLOUR))} / {_depth(share, highest):.3f})"
        inner = f"<i>{text}</i>" if piece.is_special else text
        found.append(f'<span style="{ground}" title="{share:.3f}">{inner}</span>')
    return "".join(found)
