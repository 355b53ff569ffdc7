"""Output for people: colours and tables on a terminal, plain aligned text elsewhere."""

import io
import logging
import sys
from collections.abc import Sequence


def interval(low: float, high: float) -> str:
    """An interval as text; a dash where it is undefined."""
    return f"{low:.4f} to {high:.4f}" if low == low else "-"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None) -> None:
    """Prints a table to standard output."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        drawn = Table(title=title, title_justify="left", header_style="bold")
        for name in header:
            drawn.add_column(name)
        for row in rows:
            drawn.add_row(*row)
        Console().print(drawn)
        return
    if title:
        print(title)
    cells = [tuple(header), *map(tuple, rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    for row in cells:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def lines(*texts: str) -> None:
    """Prints lines to standard output."""
    print("\n".join(texts), flush=True)


def escape_unencodable() -> None:
    """Have the standard streams write what their encoding lacks as an escape, instead of failing.

    A terminal of Latin-1 or ASCII can't show a Chinese label; the run must not end for that.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def quiet_libraries() -> None:
    """Keeps the notices and bars of the libraries off the screen; warnings and errors stay.

    transformers reports a new head as weights that are missing, which a fine-tune is all about.
    """
    import datasets
    import transformers

    for name in ("torchao", "torch.utils._pytree"):  # extensions for other GPUs; a deprecation
        logging.getLogger(name).setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
