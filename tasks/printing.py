"""The one place that prints: what would steer a terminal is shown as it is written, and not obeyed.

Labels, texts, file names and answers of servers come from others. An escape sequence among them
could clear the screen or retitle it, a newline forge a line, a bidi control turn a name around.
"""

import json
import re
import sys
from typing import IO, TextIO, cast

# C0, DEL and C1; soft hyphen; marks, embeddings, overrides and isolates of direction; zero-width
# spaces; line and paragraph separators; annotations; tags; surrogates (bytes of a file's name that
# are no UTF-8). The joiners U+200C and U+200D stay: Persian, Hindi and emoji are written with them.
UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""Return the text with control characters written out: an escape as `\x1b`, a newline as `\n`,
    a right-to-left override as `\u202e`. Everything else stays as it is."""
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def python_literal(text: str) -> str:
    """Return a text as Python source writes it, on one line."""
    return json.dumps(visible(text), ensure_ascii=False)


def print_lines(*lines: str, file: TextIO | None = None) -> None:
    """Print each text as exactly one line, to standard output where no other file is given."""
    stream = sys.stdout if file is None else file
    print("\n".join(map(visible, lines)), file=stream, flush=True)


def print_piece(text: str) -> None:
    """Print a piece of a text to standard output at once, without a line end of its own; its lines
    and tabs stay."""
    parts = re.split("([\n\t])", text)
    print(
        "".join(part if part in ("\n", "\t") else visible(part) for part in parts),
        end="",
        flush=True,
    )


def for_terminal(stream: IO[str]) -> IO[str]:
    """Return a stream for lines of data; on a terminal, its control characters are escaped."""
    return cast(IO[str], _Shown(stream)) if stream.isatty() else stream


class _Shown:
    """A stream that writes whole lines to a terminal, with control characters escaped."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream

    def write(self, line: str) -> int:
        """Write one line, which includes its line end."""
        return self.stream.write(visible(line.rstrip("\r\n")) + "\n")

    def flush(self) -> None:
        """Flush the terminal stream."""
        self.stream.flush()
