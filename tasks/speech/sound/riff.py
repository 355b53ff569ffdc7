"""What a wav file claims to hold: libsndfile believes the file's length instead, and says nothing.

RIFF WAVE: chunks of a four-letter name, a little-endian uint32 size, and as many bytes, padded to
an even number; RF64 (EBU Tech 3306) keeps the size of `data` in a chunk `ds64` of its own.
"""

import io
import struct
from contextlib import ExitStack
from pathlib import Path
from typing import IO

UNKNOWN = 0xFFFFFFFF  # written by programs that stream, and by RF64
PLAIN = (1, 3, 6, 7, 0xFFFE)  # integers, floats, A-law, mu-law, and whatever has a long header
MOST_CHUNKS = 1_000  # before the data: more is a broken file


def claimed_frames(source: bytes | Path) -> int | None:
    """Samples a channel that the header promises; None for other formats and unknown sizes."""
    with ExitStack() as stack:
        if isinstance(source, bytes):
            return _claimed(io.BytesIO(source))
        try:
            file = stack.enter_context(source.open("rb"))
            return _claimed(file)
        except OSError:
            return None


def _claimed(file: IO[bytes]) -> int | None:
    head = file.read(12)
    if head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
        return None
    frame = long_size = None
    for _ in range(MOST_CHUNKS):
        chunk = file.read(8)
        if len(chunk) < 8:
            return None
        name, size = chunk[:4], struct.unpack("<I", chunk[4:])[0]
        if name == b"data":
            if size == UNKNOWN:
                size = long_size
            return None if size is None or not frame else size // frame
        if name in (b"fmt ", b"ds64") and size <= 4096:
            body = file.read(size + size % 2)
            if name == b"fmt " and len(body) >= 16:
                kind, frame = (struct.unpack("<H", body[at : at + 2])[0] for at in (0, 12))
                if kind not in PLAIN:
                    return None  # there a "frame" is a block of many samples
            elif name == b"ds64" and len(body) >= 16:
                long_size = struct.unpack("<Q", body[8:16])[0]
        else:
            file.seek(size + size % 2, io.SEEK_CUR)
    return None
