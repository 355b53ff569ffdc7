"""Masks of every kind of file become the same classes; what can't be a mask is named."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.media.source import BadFile
from tasks.vision import class_maps, class_table, mask_files
from tasks.vision.class_table import IGNORED, ClassTable

CLASSES = np.array([[0, 1, 2], [3, 1, 255]], np.uint8)
PALETTE = [10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 200] + [7] * (252 * 3)
COLOURS = ((10, 20, 30), (200, 0, 0), (0, 200, 0), (0, 0, 200))
NUMBERS = ClassTable(("a", "b", "c", "d"), (0, 1, 2, 3))
COLOURED = ClassTable(NUMBERS.names, NUMBERS.values, COLOURS, ((224, 224, 192),))


def media(image: Image.Image, form: str = "PNG", **options: Any) -> dict[str, Any]:
    content = io.BytesIO()
    image.save(content, form, **options)
    return {"bytes": content.getvalue(), "path": None}


def with_palette(values: np.ndarray) -> Image.Image:
    image = Image.fromarray(values, "P")
    image.putpalette(PALETTE)
    return image


def in_colours(classes: np.ndarray) -> np.ndarray:
    table = np.zeros((256, 3), np.uint8)
    table[:4], table[IGNORED] = COLOURS, COLOURED.ignored[0]
    found: np.ndarray = table[classes]
    return found


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize(
    "image",
    [
        with_palette(CLASSES),
        Image.fromarray(CLASSES),
        Image.fromarray(CLASSES.astype(np.uint16)),
        Image.fromarray(np.stack([CLASSES] * 3, axis=2)),
    ],
    ids=["palette", "grey", "16 bits", "grey in three channels"],
)
def test_numbers_are_classes(image: Image.Image, form: str) -> None:
    found = mask_files.decode(media(image, form), NUMBERS)
    assert found.dtype == np.uint8
    assert np.array_equal(found, CLASSES)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_are_classes_where_a_table_has_them(mode: str) -> None:
    image = Image.fromarray(in_colours(CLASSES)).convert(mode)
    assert np.array_equal(mask_files.decode(media(image), COLOURED), CLASSES)


def test_a_palette_in_the_colours_of_the_table_is_read_by_them() -> None:
    """As programs write a mask in colours that make a palette of what they meet, in their order."""
    few = np.where(CLASSES == IGNORED, 0, CLASSES)
    image = Image.fromarray(in_colours(few)).quantize(16)
    assert np.array_equal(mask_files.decode(media(image), COLOURED), few)


def test_a_palette_of_other_colours_is_read_by_its_numbers() -> None:
    other = ClassTable(NUMBERS.names, NUMBERS.values, ((1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 4, 4)))
    assert np.array_equal(mask_files.decode(media(with_palette(CLASSES)), other), CLASSES)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_numbers_and_not_shades(bits: int) -> None:
    """Pillow makes 8 bits of grey of 2 or 4: a class of 1 would be 85 or 17."""
    import struct
    import zlib

    def chunk(name: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", 8 // bits, 1, bits, 0, 0, 0, 0)
    row = {1: 0b01010101, 2: 0b00011011, 4: 0b00010010}[bits]
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    png += chunk(b"IDAT", zlib.compress(bytes([0, row]))) + chunk(b"IEND", b"")
    wanted = {1: [0, 1] * 4, 2: [0, 1, 2, 3], 4: [1, 2]}[bits]
    found = mask_files.decode({"bytes": png, "path": None}, NUMBERS)
    assert found.tolist() == [wanted]


def test_values_with_gaps_and_another_number_to_ignore() -> None:
    table = class_table.of_values([0, 255, 700])
    values = np.array([[0, 255], [700, 9]], np.uint16)
    found = mask_files.decode(media(Image.fromarray(values)), table, ignore_index=9)
    assert found.tolist() == [[0, 1], [2, IGNORED]]
    with pytest.raises(BadFile, match="number 9 is no class"):
        mask_files.decode(media(Image.fromarray(values)), table, ignore_index=-1)


@pytest.mark.parametrize(
    ("content", "table", "fault"),
    [
        (
            media(Image.fromarray(CLASSES + 3)),
            NUMBERS,
            r"number 4 is no class \(of 4 pixels, .*row 1, column 2",
        ),
        (media(Image.fromarray(in_colours(CLASSES))), NUMBERS, "in colours.*give `classes`"),
        (
            media(Image.fromarray(np.full((2, 2, 3), (1, 2, 200), np.uint8))),
            COLOURED,
            "colour #0102c8 is no class",
        ),
        (media(Image.fromarray(CLASSES), "JPEG"), NUMBERS, "JPEG, whose compression"),
        (media(Image.fromarray(CLASSES), "WEBP", lossless=True), NUMBERS, "WEBP"),
        (media(Image.fromarray(CLASSES.astype(np.float32)), "TIFF"), NUMBERS, "mode F"),
        ({"bytes": b"no picture", "path": None}, NUMBERS, "not an image"),
        (
            {"bytes": media(with_palette(CLASSES))["bytes"][:40], "path": None},
            NUMBERS,
            "truncated|broken",
        ),
    ],
    ids=["number", "colours", "colour", "jpeg", "webp", "decimals", "text", "truncated"],
)
def test_what_is_no_mask_is_refused(content: dict[str, Any], table: ClassTable, fault: str) -> None:
    with pytest.raises(BadFile, match=fault):
        mask_files.decode(content, table)


def test_a_mask_at_another_size_has_the_classes_at_the_centres_of_its_pixels() -> None:
    import torch
    from torch.nn import functional as F

    rng = np.random.default_rng(0)
    mask = rng.integers(0, 5, (13, 29)).astype(np.uint8)
    for size in ((7, 8), (26, 30), (13, 29), (1, 1)):
        tensor = torch.from_numpy(mask)[None, None].float()
        wanted = F.interpolate(tensor, size, mode="nearest-exact")[0, 0].byte().numpy()
        assert np.array_equal(mask_files.resize(mask, *size), wanted)


GREYS = ClassTable(("a", "b", "c"), (0, 1, 2), ((0, 0, 0), (255, 255, 255), (128, 128, 128)))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_shades_are_colours_where_those_of_the_table_are_grey(mode: str) -> None:
    shades = np.array([[0, 255, 128]], np.uint8)
    image = Image.fromarray(shades).convert(mode)
    assert mask_files.decode(media(image), GREYS).tolist() == [[0, 1, 2]]
    numbers = Image.fromarray(np.array([[0, 1, 2, 255]], np.uint8))
    assert mask_files.decode(media(numbers), GREYS).tolist() == [[0, 1, 2, IGNORED]]


def test_white_of_one_bit_is_the_class_that_is_white() -> None:
    table = ClassTable(("thing", "ground"), (0, 1), ((255, 255, 255), (0, 0, 0)))
    image = Image.fromarray(np.array([[False, True]]))
    assert mask_files.decode(media(image), table).tolist() == [[1, 0]]


def test_ignored_numbers_do_not_count() -> None:
    table = ClassTable(("a", "b"), (1, 2), ignored_values=(0,))
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    assert mask_files.decode(media(image), table).tolist() == [[IGNORED, 0, 1]]


@pytest.mark.parametrize(
    "table",
    [
        ClassTable(("a", "b", "c"), (0, 2, 1)),
        ClassTable(("a", "b", "c"), (3, 1, 2)),
        ClassTable(("a", "b", "c"), (255, 300, 2)),
        ClassTable(("a", "b", "c"), (0, 1, 2), COLOURS[1:]),
        GREYS,
    ],
)
def test_a_mask_that_is_written_is_read_as_the_same_classes(table: ClassTable) -> None:
    classes = np.array([[0, 1, 2], [2, 2, 0]], np.uint8)
    content = class_maps.mask_png(classes, table)
    found = mask_files.decode({"bytes": content, "path": None}, table)
    assert np.array_equal(found, classes)


@pytest.mark.parametrize(("first", "is_clear"), [(0, True), (1, False)])
def test_an_overlay_leaves_out_the_background_alone(first: int, is_clear: bool) -> None:
    image, classes = np.full((1, 2, 3), 200, np.uint8), np.array([[0, 1]], np.uint8)
    drawn = class_maps.overlay(image, classes, class_table.of_values((first, 5)))
    assert bool((drawn[0, 0] == 200).all()) == is_clear
    assert drawn[0, 1].tolist() == [164, 100, 100]  # half of dark red
