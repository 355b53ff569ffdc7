"""Images whose headers lie, that are empty, cut, huge, of every mode, under every name."""

import functools
import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from tests.faults import bad_media
from tests.faults.fuzz import media
from tests.faults.fuzz.command import Command, Scene
from tests.faults.fuzz.models import VISION

Chunk = tuple[bytes, bytes]
BOMB_SIDE = 9_000  # 81 Mpixel of one shade in 80 kB
END: Chunk = (b"IEND", b"")
MODES = ("1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16", "RGBX")


def png(*chunks: Chunk) -> bytes:
    """A PNG of these chunks, with their sums."""
    parts = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def header(width: int, height: int, bits: int = 8, colour: int = 2) -> Chunk:
    """The chunk that says how large an image is."""
    return b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)


def pixels(size: int) -> Chunk:
    """The chunk of so many bytes of black."""
    return b"IDAT", zlib.compress(b"\0" * size, 9)


@functools.cache
def _bomb() -> bytes:
    side = pixels(BOMB_SIDE * (BOMB_SIDE + 1))
    return png(header(BOMB_SIDE, BOMB_SIDE, 8, 0), side, END)


@functools.cache
def _text_bomb() -> bytes:
    words = b"Comment\0\0" + zlib.compress(b"a" * 200_000_000, 9)
    return png(header(2, 2), (b"zTXt", words), pixels(14), END)


def _mode(mode: str, suffix: str) -> media.Write:
    def write(path: Path) -> None:
        made = bad_media.noise(12)
        try:
            made = made.convert(mode) if mode != "I;16" else Image.new("I;16", (12, 12), 4000)
        except ValueError:  # by way of grey
            made = made.convert("L").convert(mode)
        try:
            made.save(path, suffix)
        except (OSError, KeyError):  # there is no such file of that mode
            made.convert("RGB").save(path, "PNG")

    return write


def _bytes(content: bytes) -> media.Write:
    return lambda path: path.write_bytes(content)


def _jpeg_of(size: tuple[int, int]) -> bytes:
    """A JPEG that claims another size than it has."""
    buffer = io.BytesIO()
    bad_media.noise(16).save(buffer, "JPEG")
    content = bytearray(buffer.getvalue())
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", size[1], size[0])
    return bytes(content)


def _named(path: Path, kind: str) -> None:
    bad_media.noise(12).save(path, kind)


def _exif(path: Path) -> None:
    """An orientation that there is not, and a table that begins beyond the end."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, 99, 0)
    tables = b"MM\0*" + struct.pack(">IH", 8, 1) + entry + b"\xff" * 4
    bad_media.noise(12).save(path, "JPEG", exif=b"Exif\0\0" + tables)


ODD: dict[str, media.Write] = {
    "nothing.png": bad_media.empty,
    "prose.jpg": bad_media.prose,
    "cut.jpg": bad_media.cut_jpeg,
    "claims 50,000.png": bad_media.huge_png,
    "bomb.png": lambda path: path.write_bytes(_bomb()),
    "words.png": lambda path: path.write_bytes(_text_bomb()),
    "0 x 0.png": _bytes(png(header(0, 0), pixels(0), END)),
    "2**31 wide.png": _bytes(png(header(2**31 - 1, 1), pixels(10), END)),
    "no pixels.png": _bytes(png(header(8, 8), END)),
    "few pixels.png": _bytes(png(header(8, 8), pixels(20), END)),
    "bits 3.png": _bytes(png(header(8, 8, 3, 2), pixels(200), END)),
    "palette of none.png": _bytes(png(header(8, 8, 8, 3), pixels(72), END)),
    "one pixel.png": _bytes(png(header(1, 1), pixels(4), END)),
    "very wide.png": _bytes(png(header(20_000, 1, 8, 0), pixels(20_001), END)),
    "a jpeg.png": lambda path: _named(path, "JPEG"),
    "a gif.jpg": lambda path: _named(path, "GIF"),
    "a tiff.png": lambda path: _named(path, "TIFF"),
    "an icon.png": lambda path: _named(path, "ICO"),
    "UPPER.PNG": lambda path: _named(path, "PNG"),
    "[b] `x`.png": lambda path: _named(path, "PNG"),
    "line\nfeed.png": lambda path: _named(path, "PNG"),
    "\x1b[2J.png": lambda path: _named(path, "PNG"),
    "animated.gif": bad_media.animation,
    "claims 60000.jpg": _bytes(_jpeg_of((60_000, 60_000))),
    "claims 0.jpg": _bytes(_jpeg_of((0, 0))),
    "exif.jpg": _exif,
    "svg.png": _bytes(b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
    "folder.png": lambda path: path.mkdir(),
    "floats.tiff": lambda path: Image.fromarray(np.full((4, 4), np.nan, "float32")).save(path),
}
ODD |= {f"{mode}.{kind}": _mode(mode, kind.upper()) for mode in MODES for kind in ("png", "tiff")}


def images(scene: Scene) -> Command:
    """A folder of images with odd ones among them."""
    return media.folder_case(scene, VISION, ODD)


def image_tables(scene: Scene) -> Command:
    """A table of images with odd paths."""
    return media.table_case(scene, VISION, ODD)
