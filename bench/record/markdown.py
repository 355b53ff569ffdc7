"""Texts of others in Markdown: shown as they are, in a paragraph, a cell of a table or as code."""

import re
from collections.abc import Sequence

from tasks.printing import visible

SPECIAL = re.compile(r"[\\`*\[\]<>|#~&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""What Markdown may take for its own; an underscore inside a word is none of it."""
NOT_IN_CODE = re.compile(r"[`|\\]")
"""What would end a span of code, or the cell that it stands in."""


def safe(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line, in a cell too."""
    return SPECIAL.sub(lambda found: f"\\{found[0]}", visible(" ".join(text.split())))


def code(text: str) -> str:
    """Return a text as code, on one line, in a cell too; control characters are written out."""
    shown = visible(text)
    if shown and not shown.isspace() and not NOT_IN_CODE.search(shown):
        return f"`{shown}`"
    escaped = re.sub(r"[^\w .,:;=/+-]|_", lambda found: f"&#{ord(found[0])};", shown)
    return f"<code>{escaped}</code>"


def block(language: str, lines: Sequence[str]) -> str:
    """Return lines as a block of code, which none of them ends; control characters are written
    out."""
    shown = [visible(line) for line in lines]
    longest = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}{language}", *shown, fence])
