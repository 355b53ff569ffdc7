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

from tasks.media.source import BadFile, MediaKind
from tasks.vision import array_files, deep_images, pixels
from tasks.vision.deep_images import ValueRange, Values
from tasks.vision.image_args import WHITE, Colour
from tasks.vision.pixels import Facts, Pixels, fit, resize

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage
    from PIL.ImageFile import ImageFile

__all__ = [
    "IMAGE",
    "Pixels",
    "decode",
    "fit",
    "is_deep",
    "open_any",
    "read",
    "resize",
    "shown_size",
    "size",
    "turned",
    "values_of",
    "within",
]

IMAGE = MediaKind(
    name="image",
    suffixes=frozenset(
        {".apng", ".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm"}
        | {".pfm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
    ),
    columns=(
        *("image", "img", "picture", "photo", "file_name", "file", "path", "pixels"),
        *("image_path", "image_file", "image_file_name"),
    ),
    of_arrays=array_files.load,
)
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")  # Pillow's names
MOVING = ("GIF", "PNG", "TIFF", "WEBP")  # of several frames or pages; MPO has but previews
UPRIGHT = 1  # of the orientations of EXIF
MAX_PIXELS = 50_000_000
FULL: ValueRange = (0, 65535)  # of 16 bits
_ORIENTATION = 0x0112  # the tag of EXIF

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


def decode(
    media: Mapping[str, Any],
    *,
    max_pixels: int = MAX_PIXELS,
    background: Colour = WHITE,
    value_range: ValueRange | None = None,
) -> Pixels:
    """The pixels of an image file, uint8 [height, width, channels]; see `read`."""
    return read(media, max_pixels=max_pixels, background=background, value_range=value_range)[0]


def read(
    media: Mapping[str, Any],
    *,
    max_pixels: int = MAX_PIXELS,
    background: Colour = WHITE,
    value_range: ValueRange | None = None,
) -> tuple[Pixels, Facts]:
    """The pixels of an image file, uint8 [height, width, channels], and what is remarkable in it.

    One channel for greyscale of any depth (1 bit, 8, 16, 32, decimal numbers), else three. Images
    without transparency and of 8 bits are those of transformers' `load_image`: turned as EXIF says,
    CMYK, YCbCr and palettes as RGB. Of an animation it is the first frame, of a TIFF the first
    page.

    Transparent pixels are laid on the background, whatever says that they are: an alpha channel, a
    palette, or one colour. transformers drops the alpha channel instead, and shows the colour that
    nobody was to see.

    Values of more than 8 bits are scaled to 0 .. 255 from one range for all images, where Pillow's
    own conversion, and with it transformers' pipeline, clips at 255 and leaves white.

    Args:
        media: {"bytes": the file's content or None, "path": where it is}.
        max_pixels: checked against the header, before memory is taken for pixels.
        background: what transparent pixels show.
        value_range: values of more than 8 bits that are black and white. By default the range of
            the type, which an image must use; decimal numbers lie in 0 .. 1, else in 0 .. 255, else
            in 0 .. 65535.

    Raises `BadFile` for what is no image, is broken, too large, none of `FORMATS`, or of values
    that nobody can say the brightness of.
    """
    with within(media, max_pixels) as image:
        pixels.scale_transparency(image)
        values = _values(image, media, value_range)
        if values is not None:
            found, facts = pixels.of_values(values, value_range, background)
        else:
            way = orientation(image)
            found, facts = pixels.of_image(turned(image), background)
            facts |= {"orientation": float(way)} if way != UPRIGHT else {}
        return found, facts | ({"frames": 1.0} if _has_more_frames(image) else {})


def values_of(media: Mapping[str, Any], max_pixels: int = MAX_PIXELS) -> Values | None:
    """Return the pixels of an image of more than 8 bits; None for any other. Raises `BadFile`."""
    with within(media, max_pixels) as image:
        return _values(image, media, (0, 0))


def _values(
    image: "ImageFile", media: Mapping[str, Any], wanted: ValueRange | None
) -> Values | None:
    """The values of an image of more than 8 bits, turned as EXIF says; None where the 8 bits that
    Pillow makes of them are those that are wanted, or where there are no more."""
    deep_images.remember_largest(image)
    if deep_images.is_deep_grey(image):
        return deep_images.grey_values(turned(image))
    if deep_images.open_all_bits(image):
        return deep_images.grey_alpha_values(turned(image))
    largest = deep_images.largest_of_portable(image)
    if largest is not None:
        full: ValueRange = (0, largest)
        same = wanted == full or (wanted is None and largest < FULL[1])
        return None if same else deep_images.portable_values(image, largest)
    if not deep_images.has_deep_colour(image):
        return None
    exact = "transparency" in image.info  # a colour of 16 bits, which Pillow compares with 8
    if wanted == FULL and not exact:
        return None
    with _opened(media, "more than can be") as again:
        deep_images.open_low_bytes(again)
        found = deep_images.colour_values(turned(image), turned(again))
    if wanted is None and not exact:
        deep_images.own_range(found, *deep_images.check_finite(found.values))
        return None
    return found


def is_deep(media: Mapping[str, Any]) -> bool:
    """Return whether an image has more than 8 bits, by its header. Raises `BadFile`."""
    with _opened(media, "more than can be") as image:
        return deep_images.is_deep(image)


def _has_more_frames(image: "ImageFile") -> bool:
    """Return whether an image has a second frame or page, which is not read."""
    try:
        return image.format in MOVING and bool(getattr(image, "is_animated", False))
    except Exception:  # it is broken, and nobody asked for it
        return False


def orientation(image: "PILImage") -> int:
    """Return the way an image lies as its EXIF says it, 1 (upright) to 8; 1 where it does not."""
    found = image.getexif().get(_ORIENTATION, UPRIGHT)
    return found if found in range(1, 9) else UPRIGHT


def turned(image: "ImageFile") -> "PILImage":
    """Return an image turned as its EXIF says."""
    from PIL import ImageOps

    ImageOps.exif_transpose(image, in_place=True)
    return image


def open_any(
    item: "str | Path | PILImage | Pixels",
    *,
    background: Colour = WHITE,
    value_range: ValueRange | None = None,
) -> Pixels:
    """The pixels as `read` gives them of a path, a PIL image, or of pixels themselves."""
    from PIL import Image, ImageOps

    if isinstance(item, np.ndarray):
        return item[:, :, None] if item.ndim == 2 else item
    if isinstance(item, Image.Image):
        image = ImageOps.exif_transpose(item)
        if deep_images.is_deep_grey(image):
            values = deep_images.grey_values(image)
            return pixels.of_values(values, value_range, background)[0]
        return pixels.of_image(image, background)[0]
    media = {"bytes": None, "path": str(item)}
    return decode(media, background=background, value_range=value_range)


def size(media: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width that the header claims, before EXIF's turn. Raises `BadFile`."""
    with _opened(media, "more than can be") as image:
        return image.height, image.width


def shown_size(media: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of the pixels that `read` gives, by the header. Raises `BadFile`."""
    with _opened(media, "more than can be") as image:
        on_its_side = orientation(image) in (5, 6, 7, 8)
        height, width = image.height, image.width
        return (width, height) if on_its_side else (height, width)


@contextmanager
def within(media: Mapping[str, Any], max_pixels: int) -> "Iterator[ImageFile]":
    """Open an image as `_opened` does; raises `BadFile` for one of more pixels."""
    limit = f"more than the limit of {max_pixels:,}"
    with _opened(media, limit) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise BadFile(f"{width:,} x {height:,} pixels, {limit}")
        yield image


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
    """Read an image's header as `Image.open` does, but without its limit, which is global and
    warns."""
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
    # a plugin's struct.error is a SyntaxError by the time that it reaches us
    if "not identified" in text or isinstance(problem.__cause__, struct.error):
        return "a broken header, or no pixels"
    return f"broken ({text or type(problem).__name__})"
