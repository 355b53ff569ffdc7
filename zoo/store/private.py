"""What must not leave this machine: where things lie on it, its name, and tokens.

zoo.json is written for this machine: the paths in it find the data again. So what is published is a
copy in which a path is only its last part.
"""

import json
import re
import socket
from collections.abc import Iterator, Mapping
from typing import Any

from zoo.store.portable import without_paths

ROOTS = (
    "data|export|home|media|mnt|nfs|opt|private|root|run|scratch|srv|tmp|Users|var|work|workspace"
)
"""Folders at the top, below which people's files lie."""
SCHEMES = "file|s3|s3a|s3n|gs|gcs|az|adl|abfss?|wasbs?|hdfs|smb|cifs|nfs|ssh|sftp|scp|ftps?|rsync"
_END = r"[^\s\"'`<>()]"
PATHS = {
    "an absolute path": rf"(?<![\w.:/~<-])(?:/|[A-Za-z]:\\+)(?:{ROOTS})[/\\]{_END}+",
    "a path that leads up": rf"(?<![\w.])(?:[\w.-]+[/\\]+)*\.\.[/\\]+{_END}+",
    "a path in a home": rf"(?<![\w.:/~<-])~[\w.-]+[/\\]{_END}+",
    "a path on a server": rf"(?<![\w\\/:.]){re.escape(chr(92) * 2)}[A-Za-z0-9][\w.-]+\\{_END}+",
    "an address of files": rf"\b(?:{SCHEMES})://{_END}+",
}
"""The patterns of paths and addresses that tell of this machine, by what a message calls them."""
PASSWORD = re.compile(rf"[A-Za-z][\w+.-]*://(?:(?!/){_END})*@")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{30,}")
COMMON = frozenset(("localhost", "ubuntu", "debian"))
"""Host names that name no machine."""


def published(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """zoo.json as it may be read by everybody. The same where it is already."""
    found: dict[str, Any] = without_paths(manifest)
    if task := manifest["config"].get("task"):  # labels may look like paths, and are none
        found["config"]["task"] = {**task, "args": without_paths(task.get("args", {}))}
    return found


def faults(name: str, text: str, written_by_us: bool) -> list[str]:
    """Return what a text gives away, each with its line; the token itself is not repeated.

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
        if PASSWORD.search(line):
            found.append(f"{where} holds an address with a name or password in it")
            continue
        for text in _texts(name, line):
            kinds = [(what, re.search(path, text)) for what, path in PATHS.items()]
            if told := next((f"{what} ({match[0]})" for what, match in kinds if match), None):
                found.append(f"{where} holds {told}")
                break
        if written_by_us and is_telling and named.search(line):
            found.append(f"{where} holds this machine's name")
    return found


def _texts(name: str, line: str) -> Iterator[str]:
    """The line; of a line of JSON each text in it, as it was before it was escaped."""
    if not name.endswith((".json", ".jsonl")):
        yield line
        return
    for string in STRING.findall(line):
        try:
            yield json.loads(string)
        except ValueError:
            yield string
