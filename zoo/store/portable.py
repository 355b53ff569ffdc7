"""Texts without what tells where things lie on a machine, whose they are, or how to get in.

Of a path that is absolute, leads up (`..`), begins in a home (`~anna/x`), on a drive (`C:\\x`) or
on a server (`\\\\server\\x`), or has a scheme (`file://`, `s3://key:secret@host/x`), the last part
stays.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
DRIVE = re.compile(r"[A-Za-z]:[\\/]")
REMOTE = re.compile(r"[^\s@/\\:]+@[^\s@/\\:]+:")
"""me@server:path, as scp and rsync have it."""
_END = r"[^\s,;\[\](){}<>'\"`]"
INSIDE = re.compile(
    rf"{SCHEME.pattern}{_END}+"
    rf"|(?<![\w.@/\\-])(?:{REMOTE.pattern}{_END}+|[A-Za-z]:[\\/]{_END}+)"
    rf"|(?<![\w.~\\]){re.escape(chr(92) * 2)}[\w.$-]+\\{_END}*"
    rf"|(?<![\w./\\~<-])(?:/(?!/)|//(?=\w)|~[\w.-]*/){_END}+"
    rf"|(?<![\w./\\])(?:[\w.~-]+[/\\])*\.\.(?:[/\\]{_END}*|(?![\w./\\]))"
)
"""Where such a path begins and ends inside a text. `</a>` and `and/or` are none."""


def is_telling(text: str) -> bool:
    """Return whether a text as a whole is a path that tells something of this machine."""
    return bool(
        text.startswith(("/", "~", "\\\\"))
        or SCHEME.match(text)
        or DRIVE.match(text)
        or REMOTE.match(text)
        or ".." in re.split(r"[/\\]", text)
    )


def last_part(path: str) -> str:
    """Return the last part of a path or an address that says anything, without its query."""
    has_scheme = SCHEME.match(path)
    if has_scheme:
        path = re.split(r"[?#]", path[has_scheme.end() :])[0]
    parts = [one.lstrip("~") for one in re.split(r"[/\\]", path)]
    parts = [one for one in parts if one not in ("", ".", "..")]
    last = parts[-1] if parts else ""
    if has_scheme and len(parts) == 1:
        last = last.rpartition("@")[2]  # user:password@host
    if REMOTE.match(last):
        last = last.rpartition(":")[2]
    return last.lstrip("~") or "."


def portable(argument: str, base: Path | None = None) -> str:
    """Return an argument of a command, or another text, without such paths.

    Args:
        base: the folder below which absolute paths stay, as relative ones.
    """
    flag, equals, value = argument.partition("=")
    if equals and flag.startswith("-"):
        return flag + equals + portable(value, base)
    if is_telling(argument):
        return _shorten(argument, base)
    short = INSIDE.sub(lambda found: _shorten(found[0], base), argument)
    return short if short == argument else portable(short, base)


def without_paths(content: Any) -> Any:
    """Return plain JSON with every text in it made portable."""
    if isinstance(content, Mapping):
        return {key: without_paths(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [without_paths(value) for value in content]
    return portable(content) if isinstance(content, str) else content


def _shorten(path: str, base: Path | None) -> str:
    if base is not None and path.startswith("/"):
        for one in (base, base.resolve()):
            if Path(path).is_relative_to(one) and ".." not in Path(path).parts:
                return str(Path(path).relative_to(one))
    return last_part(path)
