"""Image files to pixels: bounded, first frame only, and alike for transformers' pipelines.

Pillow does the reading, held to a fixed list of formats: some of its plugins start other programs
(EPS runs Ghostscript), and none of those is ever tried on a file from outside.
"""

import io
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tasks.media import BadFile, MediaKind

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage
    from PIL.ImageFile import ImageFile

Pixels = npt.NDArray[np.uint8]

IMAGE = MediaKind(
    name="image",
    suffixes=frozenset(
        {".apng", ".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm"}
        | {".pfm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
    ),
    columns=("image", "img", "picture", "photo", "file_name", "file", "path", "pixels"),
)
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")  # Pillow's names
MAX_PIXELS = 50_000_000

# What images begin with that are none of ours.
OTHERS = {
    b"%!PS": "PostScript",
    b"%PDF": "PDF",
    b"8BPS": "Photoshop",
    b"\x00\x00\x01\x00": "ICO",
    b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\x00\x00\x00\x0cJXL ": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
}
BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC"}


def decode(media: Mapping[str, Any], *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """The pixels of an image file, uint8 [height, width, channels].

    One channel for greyscale of any depth (1 bit, 8, 16, 32, decimal numbers), else three, which
    are those of transformers' `load_image`: turned as EXIF says, an alpha channel dropped, CMYK,
    YCbCr and palettes as RGB. Of an animation it is the first frame, of a TIFF the first page.

    Greyscale of more than 8 bits is scaled from the range of its type (0 .. 65535 to 0 .. 255),
    where Pillow's own conversion, and with it transformers' pipeline, clips at 255 and leaves
    white. Decimal numbers have no such range: those of an image lie in 0 .. 1, else in 0 .. 255,
    else in 0 .. 65535.

    Args:
        media: {"bytes": the file's content or None, "path": where it is}.
        max_pixels: checked against the header, before memory is taken for pixels.

    Raises `BadFile` for what is no image, is broken, too large, or none of `FORMATS`.
    """
    from PIL import ImageOps

    limit = f"more than the limit of {max_pixels:,}"
    with _opened(media, limit) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise BadFile(f"{width:,} x {height:,} pixels, {limit}")
        ImageOps.exif_transpose(image, in_place=True)
        return _pixels(image)


def open_any(item: "str | Path | PILImage | Pixels") -> Pixels:
    """The pixels as `decode` gives them of a path, a PIL image, or of pixels themselves."""
    from PIL import Image, ImageOps

    if isinstance(item, np.ndarray):
        return item[:, :, None] if item.ndim == 2 else item
    if isinstance(item, Image.Image):
        return _pixels(ImageOps.exif_transpose(item))
    return decode({"bytes": None, "path": str(item)})


def size(media: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width that the header claims, before EXIF's turn. Raises `BadFile`."""
    with _opened(media, "more than can be") as image:
        return image.height, image.width


def resize(image: Pixels, height: int, width: int) -> Pixels:
    """The image at another size, uint8 [height, width, channels]; itself where it fits.

    By the call that transformers' image processors make (bilinear, antialiased, in integers), so
    that a network sees the same here and there.
    """
    if image.shape[:2] == (height, width):
        return image
    import torch
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2 import functional as tvf

    # torch warns of memory that is not to be written, such as Arrow's.
    tensor = torch.from_numpy(np.require(image, requirements="W")).permute(2, 0, 1)
    resized = tvf.resize(
        tensor, [height, width], interpolation=InterpolationMode.BILINEAR, antialias=True
    )
    return np.ascontiguousarray(resized.permute(1, 2, 0).numpy())


@contextmanager
def _opened(media: Mapping[str, Any], limit: str) -> "Iterator[ImageFile]":
    """The image with its header read, which has at least one pixel; whatever goes wrong with it
    inside becomes a `BadFile`.
    """
    from PIL import Image

    with _file(media) as file:
        try:
            with _header(file) as image:
                if min(image.size) < 1:
                    raise BadFile(f"{image.width:,} x {image.height:,} pixels, which is no image")
                yield image
        except Image.DecompressionBombError:  # of plugins that take memory for pixels early
            raise BadFile(f"too many pixels, {limit}") from None
        except BadFile:
            raise
        except Exception as problem:  # a broken file can make Pillow's plugins raise anything
            raise BadFile(_reason(problem)) from None


def _file(media: Mapping[str, Any]) -> IO[bytes]:
    content, path = media.get("bytes"), media.get("path")
    if content is not None:
        return io.BytesIO(content)
    if not path:
        raise BadFile("neither content nor a path")
    try:
        return Path(path).open("rb")
    except (OSError, ValueError) as problem:  # ValueError: a path with a null character
        reason = getattr(problem, "strerror", None) or str(problem)
        raise BadFile(f"cannot be opened: {reason}") from None


def _header(file: IO[bytes]) -> "ImageFile":
    """As `Image.open`, but without its limit, which is global and warns."""
    import PIL.BmpImagePlugin
    import PIL.GifImagePlugin
    import PIL.JpegImagePlugin
    import PIL.PngImagePlugin
    import PIL.PpmImagePlugin
    import PIL.TiffImagePlugin
    import PIL.WebPImagePlugin

    start = file.read(512)
    if not start:
        raise BadFile("empty: 0 bytes")
    for name in FORMATS:
        factory, accept = PIL.Image.OPEN[name]
        assert accept is not None
        if accept(start[:16]) is True:
            file.seek(0)
            return factory(file, "")
    raise BadFile(_what_else(start))


def _what_else(start: bytes) -> str:
    """The reason for what begins as none of `FORMATS` does."""
    kind = next((name for magic, name in OTHERS.items() if start.startswith(magic)), None)
    if start[4:8] == b"ftyp":
        kind = BRANDS.get(start[8:12])
    if b"<svg" in start:
        kind = "SVG"
    if kind is None:
        return "not an image"
    return f"{kind}, which is none of {', '.join(FORMATS)}"


def _reason(problem: Exception) -> str:
    if isinstance(problem, MemoryError):
        return "needs more memory than there is"
    if isinstance(problem, OSError) and problem.errno is not None:
        return f"cannot be read: {problem.strerror}"
    text = str(problem)
    if isinstance(problem, EOFError | struct.error) or "truncated" in text.lower():
        return "truncated"
    if "not identified" in text:
        return "a broken header, or no pixels"
    return f"broken ({text or type(problem).__name__})"


def _pixels(image: "PILImage") -> Pixels:
    mode = image.mode
    if mode in ("I", "F") or mode.startswith("I;16"):
        return _deep(image)[:, :, None]
    if mode in ("1", "L", "LA", "La"):
        return np.array(image if mode == "L" else image.convert("L"))[:, :, None]
    # Changes no pixel of the conversion, and spares a warning about a palette's transparency.
    image.info.pop("transparency", None)
    pixels = np.array(image.convert("RGB"))
    if mode == "P" and (pixels == pixels[:, :, :1]).all():  # as GIF has to store greyscale
        return pixels[:, :, :1].copy()
    return pixels


def _deep(image: "PILImage") -> Pixels:
    """Greyscale of more than 8 bits, uint8 [height, width]."""
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})  # of TIFF
    # 16 bits are exact in float32 too; more are not
    values: npt.NDArray[Any] = np.array(image, np.float64 if image.mode == "I" else np.float32)
    if image.mode == "F":
        low, high = 0, _range_of_decimals(values)
    elif image.mode == "I" and tags:
        bits = tags.get(258, (32,))[0]
        if tags.get(339, (1,))[0] == 1:  # unsigned, which Pillow reads as if it had a sign
            low, high = 0, 2**bits - 1
            values[values < 0] += 2**bits
        else:
            low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    else:  # Pillow brings a PGM's values to 16 bits
        low, high = 0, 2 ** tags.get(258, (16,))[0] - 1
    values -= low
    values *= 255 / (high - low)
    if tags.get(262) == 0:  # white is zero; of 8 bits Pillow turns it round
        np.subtract(255, values, out=values)
    np.rint(values, out=values)
    scaled: Pixels = values.clip(0, 255, out=values).astype(np.uint8)
    return scaled


def _range_of_decimals(values: npt.NDArray[Any]) -> int:
    smallest, largest = values.min(), values.max()
    if smallest >= 0:
        for high in (1, 255, 65535):
            if largest <= high:
                return high
    raise BadFile(f"decimal numbers from {smallest:g} to {largest:g}, which are no brightness")
