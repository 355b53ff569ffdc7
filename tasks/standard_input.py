"""Standard input, and what is said where a person sits before it."""

import os
import sys
from collections.abc import Iterator
from typing import TextIO

from tasks.errors import UserError
from tasks.printing import print_lines


def opened(what: str) -> TextIO:
    """Return standard input as a text stream. At a terminal, a message says that `what` is read
    from it.

    Raises `UserError` where it is closed, as `<&-` leaves it.
    """
    if sys.stdin is None:
        raise UserError(f"standard input is closed, and {what} would be read there")
    if sys.stdin.isatty():
        print_lines(f"reading {what} from standard input", file=sys.stderr)
    return sys.stdin


def names(what: str) -> Iterator[str]:
    """Yield the lines of standard input as file names, which are bytes, whatever the terminal's
    encoding. Raises `UserError` if standard input is closed."""
    stream = opened(f"the names of {what}, one a line,")
    content = getattr(stream, "buffer", None)
    for line in stream if content is None else map(os.fsdecode, content):
        yield line.rstrip("\r\n")
