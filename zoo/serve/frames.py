"""Messages between the front and its workers, on a socket: a JSON object, and bytes beside it.

A frame is the length of its header (four bytes, big endian), the header as JSON in UTF-8, and the
blobs whose lengths the header names. Nothing that is read here is run.
"""

import asyncio
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

PREFIX = struct.Struct(">I")


@dataclass(frozen=True)
class Message:
    """What one frame says."""

    content: Mapping[str, Any]
    blobs: Sequence[bytes] = ()

    @property
    def type(self) -> str:
        """The kind of message: "run", "answers", "ready", ..."""
        return str(self.content["type"])


def pack(content: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> bytes:
    """Return the frame of a message."""
    header = json.dumps({**content, "sizes": [len(blob) for blob in blobs]}).encode()
    return b"".join((PREFIX.pack(len(header)), header, *blobs))


async def read(stream: asyncio.StreamReader) -> Message | None:
    """Return the next message of a stream; None at its end, even where that is within a frame."""
    try:
        (size,) = PREFIX.unpack(await stream.readexactly(PREFIX.size))
        content = json.loads(await stream.readexactly(size))
        blobs = [await stream.readexactly(length) for length in content.pop("sizes")]
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return Message(content, blobs)


def receive(stream: IO[bytes]) -> Message | None:
    """Return the next message of a file, waiting for it; None at its end."""
    prefix = _exactly(stream, PREFIX.size)
    header = None if prefix is None else _exactly(stream, PREFIX.unpack(prefix)[0])
    if header is None:
        return None
    content = json.loads(header)
    blobs = [_exactly(stream, length) for length in content.pop("sizes")]
    if any(blob is None for blob in blobs):
        return None
    return Message(content, [blob for blob in blobs if blob is not None])


def _exactly(stream: IO[bytes], size: int) -> bytes | None:
    try:
        content = stream.read(size)
    except ConnectionError:  # whoever wrote was killed
        return None
    return content if len(content) == size else None
