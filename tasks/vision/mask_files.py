"""Masks as files: the class of every pixel, as a number, a place in a palette, or a colour.

A mask is a picture without loss (PNG, TIFF, BMP) of 1 to 16 bits. Of one
in shades of grey or with a palette the numbers count, as Pascal VOC has them; of one in red, green
and blue the colours, which a table of classes tells apart. Where all colours of a table are shades
of grey, those of a grey mask are colours too.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.media.source import BadFile, MediaKind
from tasks.vision import images
from tasks.vision.class_table import IGNORED, ClassTable

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

ClassMap = npt.NDArray[np.uint8]
"""The class of each pixel, [height, width]; `IGNORED` where it does not count."""

MASK = MediaKind(
    name="mask",
    suffixes=frozenset({".bmp", ".gif", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff"}),
    columns=(
        *("mask", "masks", "segmentation", "segmentation_mask", "semantic_mask", "seg_map"),
        *("mask_path", "mask_file", "mask_file_name"),
        *("annotation", "annotations", "label_map", "label", "labels", "ground_truth", "gt"),
    ),
)
LOSSY = ("JPEG", "WEBP")
GREY_STEPS = {"L;2": 85, "L;4": 17}  # by which Pillow makes 8 bits of fewer
BAND = 2**20  # pixels that are counted at once
MANY = 4096  # colours that are counted at most: a photograph has more


class MaskPixels(NamedTuple):
    """A mask before its values are classes."""

    values: npt.NDArray[Any] | None
    """Integers [height, width], where it has numbers."""
    colours: npt.NDArray[np.int32] | None
    """Red, green and blue as one number, 0xrrggbb, [height, width], where it has colours."""
    greys: npt.NDArray[Any] | None = None
    """Shades of a mask of a single channel of 8 bits or less, from 0 (black) to 255 (white),
    integers [height, width]."""


def read(media: Mapping[str, Any], max_pixels: int = images.MAX_PIXELS) -> MaskPixels:
    """Return the pixels of a mask: numbers of one in grey or of a single channel, colours of one in
    red, green and blue, both of one with a palette.

    Colours that are all grey are numbers.

    Raises `BadFile` for what can't be a mask: no image, a broken one, one of lossy compression.
    """
    with images.within(media, max_pixels) as image:
        if image.format in LOSSY:
            raise BadFile(
                f"{image.format}, whose compression changes pixels, and with them classes: give PNG"
            )
        step = _grey_step(image)
        turned = images.turned(image)
        mode = turned.mode
        if mode == "P":
            table = np.array(turned.getpalette("RGB") or [], np.int32).reshape(-1, 3)
            indices = np.array(turned)
            known = np.zeros((256, 3), np.int32)
            known[: len(table)] = table[:256]
            return MaskPixels(indices, _packed(known)[indices])
        if mode in ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L"):
            values = np.array(turned if mode != "LA" else turned.getchannel("L"))
            greys = None if mode.startswith("I") else _shades(values)
            return MaskPixels(_whole(values) // step, None, greys)
        if mode not in ("RGB", "RGBA"):
            raise BadFile(f"pixels of mode {mode}, which are no classes: give PNG with numbers")
        pixels = np.array(turned)[:, :, :3].astype(np.int32)
        is_grey = bool((pixels == pixels[:, :, :1]).all())
        return MaskPixels(pixels[:, :, 0] if is_grey else None, _packed(pixels))


def _grey_step(image: "PILImage") -> int:
    tiles = getattr(image, "tile", None)
    return GREY_STEPS.get(str(tiles[0].args), 1) if tiles and image.mode == "L" else 1


def _whole(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    if values.size and int(values.min()) < 0:
        raise BadFile(f"numbers below 0, such as {int(values.min())}")
    return values


def _shades(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return values.astype(np.uint8) * np.uint8(255 if values.dtype == np.bool_ else 1)


def _packed(colours: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    packed: npt.NDArray[np.int32] = (
        colours[..., 0] * 65536 + colours[..., 1] * 256 + colours[..., 2]
    ).astype(np.int32)
    return packed


def values_of(media: Mapping[str, Any], max_pixels: int = images.MAX_PIXELS) -> list[int]:
    """Return the numbers that a mask has, sorted.

    Raises `BadFile` as `read` does, and for one in colours, which only a table can name.
    """
    pixels = read(media, max_pixels)
    if pixels.values is None:
        raise BadFile("it is in colours, and nothing says which classes they are: give `classes`")
    return [int(value) for value in np.unique(pixels.values)]


def decode(
    media: Mapping[str, Any],
    table: ClassTable,
    ignore_index: int = IGNORED,
    max_pixels: int = images.MAX_PIXELS,
) -> ClassMap:
    """Return the class of each pixel of a mask, uint8 [height, width].

    Colours count where the table has them and all of the mask's are among them; else numbers. The
    shades of a grey mask are colours where all of the table's are grey.

    Args:
        ignore_index: the number of pixels that do not count, -1 for none.

    Raises `BadFile` as `read` does, and where a number or colour is no class.
    """
    pixels = read(media, max_pixels)
    if table.colours and pixels.colours is not None:
        mapped = _mapped(pixels.colours, _colour_classes(table))
        if not (mapped < 0).any() or pixels.values is None:
            return _checked(mapped, pixels.colours, "the colour #{:06x}")
    if pixels.greys is not None and (shades := _grey_classes(table)):
        mapped = _mapped(pixels.greys, shades)
        if not (mapped < 0).any():
            return mapped.astype(np.uint8)
    if pixels.values is None:
        raise BadFile("it is in colours, and nothing says which classes they are: give `classes`")
    known = dict.fromkeys(table.ignored_values, IGNORED)
    known |= {value: i for i, value in enumerate(table.values)}
    if ignore_index >= 0 and ignore_index not in known:
        known[ignore_index] = IGNORED
    return _checked(_mapped(pixels.values, known), pixels.values, "the number {}")


def _colour_classes(table: ClassTable) -> dict[int, int]:
    def number(colour: tuple[int, int, int]) -> int:
        return colour[0] * 65536 + colour[1] * 256 + colour[2]

    known = {number(colour): IGNORED for colour in table.ignored}
    return known | {number(colour): i for i, colour in enumerate(table.colours)}


def _grey_classes(table: ClassTable) -> dict[int, int]:
    """Return the class of each shade of a table whose colours are all grey; none of another one,
    whose grey masks have numbers."""
    if not table.colours or any(len(set(colour)) > 1 for colour in table.colours):
        return {}
    ignored = {red: IGNORED for red, green, blue in table.ignored if red == green == blue}
    return ignored | {red: i for i, (red, _, _) in enumerate(table.colours)}


def _mapped(values: npt.NDArray[Any], known: Mapping[int, int]) -> npt.NDArray[np.int16]:
    """Return what is known of each value, int16 of the same shape; -1 where nothing is."""
    if values.size == 0 or int(values.max()) <= 65535:
        lookup = np.full(65536, -1, np.int16)
        for value, place in known.items():
            if value <= 65535:
                lookup[value] = place
        found: npt.NDArray[np.int16] = lookup[values]
        return found
    there, places = np.unique(values, return_inverse=True)
    if len(there) > MANY:
        raise BadFile(f"{len(there):,} different colours or numbers: a picture, and no mask")
    classes = np.array([known.get(int(one), -1) for one in there], np.int16)
    return classes[places.reshape(values.shape)]


def _checked(mapped: npt.NDArray[np.int16], values: npt.NDArray[Any], what: str) -> ClassMap:
    wrong = mapped < 0
    if wrong.any():
        row, column = (int(place[0]) for place in wrong.nonzero())
        shown = what.format(int(values[row, column]))
        raise BadFile(
            f"{shown} is no class (of {int(wrong.sum()):,} pixels, the first in row {row + 1},"
            f" column {column + 1})"
        )
    return mapped.astype(np.uint8)


def pixels_of_classes(mask: ClassMap) -> npt.NDArray[np.int64]:
    """Return how many pixels have each class, int64 [256]; the last are those that do not count."""
    counts, flat = np.zeros(256, np.int64), mask.ravel()
    for first in range(0, flat.size, BAND):  # bincount makes int64 of what it counts
        counts += np.bincount(flat[first : first + BAND], minlength=256)
    return counts


def resize(mask: ClassMap, height: int, width: int) -> ClassMap:
    """Return a mask at another size: each pixel of the class at its centre (torch's
    "nearest-exact"), uint8 [height, width]."""
    if mask.shape == (height, width):
        return mask
    rows, columns = (
        np.minimum(((np.arange(wanted) + 0.5) * (size / wanted)).astype(np.int64), size - 1)
        for size, wanted in zip(mask.shape, (height, width), strict=True)
    )
    return np.ascontiguousarray(mask[rows[:, None], columns])
