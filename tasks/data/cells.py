"""What readers of tables share: a file's text, names of columns, and columns of many values."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from tasks.printing import print_lines

if TYPE_CHECKING:
    import pyarrow as pa


NOTE = b"zoo.note"
"""The key under which a table's metadata holds what its reader has to tell whoever uses it."""


def tell(table: "pa.Table") -> None:
    """Print the note that the reader of a table left, if any, to standard error."""
    note = (table.schema.metadata or {}).get(NOTE)
    if note:
        print_lines(note.decode(), file=sys.stderr)


def text_of(path: Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark."""
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        # utf-8-sig counts from behind the mark
        start = problem.start + (3 if content.startswith(b"\xef\xbb\xbf") else 0)
        line = content.count(b"\n", 0, start) + 1
        kind = " (it looks like UTF-16)" if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else ""
        raise UserError(
            f"{path}, line {line}, is not UTF-8{kind}: save the file as UTF-8"
        ) from None


def must_be_a_name(path: Path, name: str) -> None:
    """Raises `UserError` for a column's name with half a character or a zero byte in it."""
    if not is_unicode(name):
        raise UserError(f"{path} has a column {name!r}, which is no whole text (Unicode)")
    if "\0" in name:
        raise UserError(
            f"{path} has a column {name[:60]!r}, with a zero byte in its name, as UTF-16 has them:"
            " save the file as UTF-8"
        )


def must_differ(path: Path, names: Sequence[str]) -> None:
    """Raises `UserError` for two columns of one name."""
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise UserError(f"{path} has two columns called {twice!r}")


def is_unicode(value: Any) -> bool:
    """Return whether all texts in a JSON value are valid Unicode, at any depth."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def chunks(values: list[Any]) -> "pa.ChunkedArray":
    """Many short arrays: one array of strings cannot hold more than 2 GB."""
    import pyarrow as pa

    size = 50_000
    first = pa.array(values[:size])
    if len(values) <= size:
        return pa.chunked_array([first])
    whole = [pa.array(values[start : start + size]) for start in range(0, len(values), size)]
    one_type = pa.unify_schemas(
        [pa.schema([("column", part.type)]) for part in whole], promote_options="permissive"
    ).field(0)
    return pa.chunked_array([part.cast(one_type.type) for part in whole])
