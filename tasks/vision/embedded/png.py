"""PNG files that have the same bytes whoever's zlib is here, because nothing in them is compressed:
the fingerprint of embedded data is over bytes."""

import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_GREY, _COLOUR, _PALETTE = 0, 2, 3  # color types (PNG specification, section 11.2.1)


def encode(
    image: npt.NDArray[np.uint8], palette: Sequence[tuple[int, int, int]] | None = None
) -> bytes:
    """Return an image as a PNG file of 8 bits a channel.

    Args:
        image: [height, width] of grey or of places in `palette`, or [height, width, 3] of colour.
        palette: red, green and blue of each place.
    """
    height, width = image.shape[:2]
    kind = _COLOUR if image.ndim == 3 else _GREY if palette is None else _PALETTE
    rows = b"".join(b"\0" + row.tobytes() for row in image)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))]
    if palette is not None:
        chunks.append((b"PLTE", bytes(channel for colour in palette for channel in colour)))
    chunks += [(b"IDAT", zlib.compress(rows, 0)), (b"IEND", b"")]
    return of_chunks(chunks)


def of_chunks(chunks: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return the file of chunks, each a name of four bytes and its content (PNG, 3rd edition)."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )
