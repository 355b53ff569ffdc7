"""What must not leave this machine: where things lie on it, its name, and tokens.

zoo.json is written for this machine: the paths in it find the data again. So what is published is a
copy in which a path is only its last part.
"""

import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOTS = (
    "data|export|home|media|mnt|nfs|opt|private|root|run|scratch|srv|tmp|Users|var|work|workspace"
)
"""Folders at the top, below which people's files lie."""
ABSOLUTE = re.compile(rf"(?<![\w.:/~<-])(?:/|[A-Za-z]:\\+)(?:{ROOTS})[/\\][^\s\"'`<>()]+")
TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{30,}")
COMMON = frozenset(("localhost", "ubuntu", "debian"))
"""Host names that name no machine."""


def published(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """zoo.json as it may be read by everybody. The same where it is already."""
    found: dict[str, Any] = _without_paths(manifest)
    if task := manifest["config"].get("task"):  # labels may look like paths, and are none
        found["config"]["task"] = {**task, "args": _without_paths(task.get("args", {}))}
    return found


def _without_paths(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _without_paths(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_without_paths(value) for value in content]
    if isinstance(content, str) and (content.startswith("~") or _is_absolute(content)):
        return Path(content.replace("\\", "/")).name
    return content


def _is_absolute(text: str) -> bool:
    return Path(text).is_absolute() or re.match(r"[A-Za-z]:\\", text) is not None


def faults(name: str, text: str, written_by_us: bool) -> list[str]:
    """What a text gives away, each with its line; the token itself is not repeated.

    Args:
        written_by_us: it is no prose, so that the machine's name can't be in it by chance.
    """
    host = socket.gethostname().partition(".")[0]
    named = re.compile(rf"\b{re.escape(host)}\b")
    is_telling = len(host) >= 4 and host not in COMMON
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"{name}, line {number},"
        if TOKEN.search(line):
            found.append(f"{where} holds what looks like a token of the Hub")
        if match := ABSOLUTE.search(line):
            found.append(f"{where} holds an absolute path ({match[0]})")
        if written_by_us and is_telling and named.search(line):
            found.append(f"{where} holds this machine's name")
    return found
