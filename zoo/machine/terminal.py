"""Output for people: colours and tables on a terminal, plain aligned text elsewhere."""

import io
import logging
import sys
from collections.abc import Sequence

from tasks import import_hook
from tasks.printing import print_lines, visible
from zoo.machine.formatting import width

SHORT = 12
"""Columns up to which a word is kept whole: 0.85 above 71 would be read as 0.85."""


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    title: str | None = None,
    after_gap: bool = False,
) -> None:
    """Print a table to standard output, below an empty line if `after_gap`.

    Cells are texts and no markup: what they hold is shown as it is, control characters written out.
    """
    if after_gap:
        print_lines("")
    if sys.stdout.isatty():
        _draw(header, rows, title)
        return
    aligned(header, rows, title)


def _draw(header: Sequence[str], rows: Sequence[Sequence[str]], title: str | None) -> None:
    """Draw a table on the terminal, so that no cell loses its end: in a frame; without one where
    that is wider than the terminal; and as a line a cell where even its words don't fit."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    cells = [[visible(cell) for cell in row] for row in (header, *rows)]
    least = [
        min(max(width(word) for cell in column for word in cell.split() or [""]), SHORT)
        for column in zip(*cells, strict=True)
    ]
    names = max(width(word) for row in cells for word in row[0].split() or [""])
    least[0] = min(names, max(SHORT, console.width // 3))
    if sum(least) + 2 * (len(least) - 1) > console.width:
        print_lines(*([] if title is None else [title]))
        for row in cells[1:]:
            said = zip(cells[0], row, strict=True)
            print_lines("", *(f"{name}: {cell}".removeprefix(": ") for name, cell in said if cell))
        return
    natural = [max(map(width, column)) for column in zip(*cells, strict=True)]
    framed = sum(natural) + 3 * len(natural) + 1 <= console.width
    room = natural if framed else _shared(least, natural, console.width - 2 * (len(least) - 1))
    heading = None if title is None else Text(visible(title), style="table.title")
    drawn = Table(title=heading, title_justify="left", header_style="bold")
    if not framed:
        drawn.box, drawn.padding, drawn.pad_edge = None, (0, 2, 0, 0), False
    for name, columns in zip(cells[0], room, strict=True):
        drawn.add_column(Text(name), overflow="fold", width=columns)
    for row in cells[1:]:
        drawn.add_row(*(Text(cell) for cell in row))
    console.print(drawn)


def _shared(least: Sequence[int], natural: Sequence[int], columns: int) -> list[int]:
    """Return widths from the least to the natural ones that take so many columns at most; what is
    left is shared equally, those that need little first."""
    found, left = list(least), columns - sum(least)
    order = sorted(range(len(found)), key=lambda i: natural[i] - least[i])
    for before, i in enumerate(order):
        more = max(0, min(natural[i] - least[i], left // (len(order) - before)))
        found[i] += more
        left -= more
    return found


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None) -> None:
    """Print a table as plain text, its columns two blanks apart, whatever it is printed to."""
    if title:
        print_lines(title)
    cells = [[visible(cell) for cell in row] for row in (header, *rows)]
    widths = [max(width(row[i]) for row in cells) for i in range(len(header))]
    for row in cells:
        padded = (cell + " " * (most - width(cell)) for cell, most in zip(row, widths, strict=True))
        print_lines("  ".join(padded).rstrip())


def lines(*texts: str) -> None:
    """Print each text as a line to standard output."""
    print_lines(*texts)


def escape_unencodable() -> None:
    """Make the standard streams escape characters that their encoding lacks, instead of failing.

    A terminal of Latin-1 or ASCII can't show a Chinese label; the run must not end for that.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def quiet_libraries() -> None:
    """Hide the notices and progress bars of libraries from their import on; warnings and errors
    stay.

    transformers reports a new head as weights that are missing, which a fine-tune is all about.
    """
    for name in ("torchao", "torch.utils._pytree"):  # extensions for other GPUs; a deprecation
        logging.getLogger(name).setLevel(logging.ERROR)
    import_hook.after_import("datasets", _quiet_datasets)
    import_hook.after_import("transformers", _quiet_transformers)


def _quiet_datasets() -> None:
    import datasets

    datasets.disable_progress_bars()


def _quiet_transformers() -> None:
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
