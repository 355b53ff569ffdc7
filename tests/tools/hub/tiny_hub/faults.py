"""What goes wrong on demand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass
class Fault:
    """Something that goes wrong with a call, some times and then no more.

    Calls are named by `server.CALLS`: "info", "create", "preupload", "batch", "upload", "confirm",
    "validate", "commit", "header" and "content" of a file, ...
    """

    call: str
    kind: (
        int
        | Literal[
            "cut", "lost", "corrupt", "short", "slow", "says", "drips", "silent", "turns", "endless"
        ]
    )
    """a status; a connection cut in the middle of a body; an answer lost after the work was done;
    a byte that changes on its way; a file that ends too early; every answer a while later;
    `body` with status 200 in the answer's place; that byte by byte, slowly; nothing at all; a
    redirect to itself; the body again and again without an end"""
    times: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"<html><body>Welcome to the hotel's network. Please log in.</body></html>"
    path: str = ""
    """only for addresses that end like this"""
    seen: int = 0

    def strikes(self, call: str, path: str) -> bool:
        """Whether it is this call's turn; counts."""
        if call != self.call or self.seen >= self.times or not path.endswith(self.path):
            return False
        self.seen += 1
        return True
