"""What a child said when it failed: tracebacks, and where they come from."""

import re
from dataclasses import dataclass

from tests.cli import ROOT

UNHANDLED = (
    "Traceback (most recent call last)",
    "Exception in thread",
    "Exception ignored in",
    "Exception Group Traceback",
    "panicked at",
    "Fatal Python error",
    "terminate called",
    "--- Logging error ---",
)
FRAME = re.compile(r'File "([^"]+)", line (\d+),? in (\S+)')
OURS = tuple(f"{ROOT}/{name}/" for name in ("zoo", "tasks", "bench", "tools"))
RAISED = re.compile(r"^([A-Za-z_][\w.]*)(?:: (.*))?$")


@dataclass(frozen=True)
class Trace:
    """What went wrong, and the place in the project that called it."""

    place: str  # "zoo/store/checkpoint.py read_manifest"
    line: int
    said: str  # "RecursionError: ..."

    def __str__(self) -> str:
        return f"{self.place}:{self.line} {self.said}"


def find(err: str) -> Trace | None:
    """The last thing in an output that nobody handled; None where there is nothing of the kind."""
    begin = max(err.rfind(words) for words in UNHANDLED)
    if begin < 0:
        return None
    begin = err.rfind("\n", 0, begin) + 1
    frames = FRAME.findall(err, begin)
    return Trace(*_ours(list(reversed(frames))), _said(err[begin:]))


def stack(err: str) -> Trace:
    """Where a child was when it ended by a signal, as faulthandler says it."""
    begin = max(err.rfind("Current thread"), err.rfind("Fatal Python error"), 0)
    return Trace(*_ours(FRAME.findall(err, begin)), "")


def _ours(frames: list[tuple[str, str, str]]) -> tuple[str, int]:
    """The innermost of the project's frames, given from within; else the innermost."""
    own = [frame for frame in frames if frame[0].startswith(OURS)]
    for path, line, function in (*own, *frames):
        return f"{path.removeprefix(f'{ROOT}/')} {function}", int(line)
    return "somewhere", 0


def _said(trace: str) -> str:
    """The line of the exception."""
    lines = trace.splitlines()
    for line in lines[1:]:
        if line and not line[0].isspace() and RAISED.match(line):
            return line[:200]
    return lines[0][:200]
