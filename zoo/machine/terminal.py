"""Output for people: colours and tables on a terminal, plain aligned text elsewhere."""

import io
import logging
import sys
from collections.abc import Sequence

from tasks import import_hook
from tasks.printing import print_lines, visible
from zoo.machine.formatting import width

UNLIMITED = 10_000
"""Columns that no table fills."""
SHORT = 12
"""Columns up to which a word that ends in a digit is kept whole."""


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
    """Draw a table on the terminal: in a frame, and without one where that is wider than the
    terminal. A cell that still doesn't fit goes on in the next line, so none loses its end; a
    number stays whole, since 0.85 above 71 would be read as 0.85."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    heading = None if title is None else Text(visible(title), style="table.title")
    drawn = Table(title=heading, title_justify="left", header_style="bold")
    for name, *cells in zip(header, *rows, strict=True):
        numbers = [width(word) for cell in cells for word in cell.split() if word[-1:].isdigit()]
        least = min(max(numbers, default=1), SHORT)
        drawn.add_column(Text(visible(name)), overflow="fold", min_width=least)
    for row in rows:
        drawn.add_row(*(Text(visible(cell)) for cell in row))
    unlimited = console.options.update(max_width=UNLIMITED)
    if drawn.__rich_measure__(console, unlimited).maximum > console.width:
        drawn.box, drawn.padding, drawn.pad_edge = None, (0, 2, 0, 0), False
    console.print(drawn)


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
