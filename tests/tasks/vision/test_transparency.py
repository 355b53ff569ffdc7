"""What shows through an image: every way that a file can be transparent, on several backgrounds."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tasks  # noqa: F401  (torchvision may need our guard)
from tasks.vision import images

HEIGHT, WIDTH = 8, 10
BACKGROUNDS = {"white": (255, 255, 255), "black": (0, 0, 0), "orange": (255, 128, 0)}


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(depth: int, colour_type: int, rows: list[bytes], width: int, clear: bytes = b"") -> bytes:
    """A PNG of rows as they lie in the file, with a tRNS chunk where `clear` is given."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [(b"IHDR", header), *([(b"tRNS", clear)] if clear else []), (b"IDAT", data)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in [*parts, (b"IEND", b"")])


def colours() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def alphas(only: tuple[int, ...] = ()) -> np.ndarray:
    """Every kind of alpha: none, all, and between."""
    found = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    found[0], found[1] = 0, 255
    return np.where(found < 128, only[0], only[1]).astype(np.uint8) if only else found


RGB, GREY = colours(), colours()[:, :, 0]
RGBA = Image.fromarray(np.dstack([RGB, alphas()]), "RGBA")
LA = Image.merge("LA", (Image.fromarray(GREY), Image.fromarray(alphas())))
INDICES = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH) % 5
PALETTE = np.array([[9, 8, 7], [200, 0, 0], [0, 200, 0], [0, 0, 200], [250, 250, 250]], np.uint8)
GREYS = np.array([[0] * 3, [60] * 3, [120] * 3, [180] * 3, [255] * 3], np.uint8)
CLEAR_AT = np.array([0, 255, 128, 255, 255], np.uint8)  # alpha of the palette's colours


def palette(colours: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    image = Image.fromarray(INDICES).convert("P")
    image.putpalette(colours.tobytes())
    return saved(image, kind, **options)


def one_clear(values: np.ndarray, clear: Any) -> np.ndarray:
    """Alpha of an image of which one value is transparent."""
    same = values == np.array(clear)
    return np.where(same.all(-1) if same.ndim == 3 else same, 0, 255).astype(np.uint8)


DEEP = np.array([[0, 300, 4000], [40000, 65535, 300]], np.uint16)
DEEP_ALPHA = np.array([[65535, 0, 32768], [65535, 65535, 65535]], np.uint16)
DEEP_AS_BYTES = np.rint(DEEP * (255 / 65535))
BITS2 = np.array([[0, 1, 2, 3]])  # 2 bits a pixel: 0, 85, 170, 255
BITS1 = np.array([[0, 1, 0, 1, 1, 0, 0, 1]])
KEYED = RGB.copy()
KEYED[2:5, 3:7] = (1, 2, 3)
NEAR = np.array([[[0x0102, 5, 65535], [0x01FF, 5, 65535]]], np.uint16)  # alike in the high byte

# name: the file, its colours [h, w, 3] or greys [h, w], and its alpha 0 to 255
FILES: dict[str, tuple[bytes, np.ndarray, np.ndarray]] = {
    "png rgba": (saved(RGBA), RGB, alphas()),
    "png la": (saved(LA), GREY, alphas()),
    "webp": (saved(RGBA, "WEBP", lossless=True, exact=True), RGB, alphas()),
    "tiff rgba": (saved(RGBA, "TIFF"), RGB, alphas()),
    "tiff la": (saved(LA, "TIFF"), GREY, alphas()),
    "palette with one clear": (
        palette(PALETTE, transparency=2), PALETTE[INDICES], np.where(INDICES == 2, 0, 255),
    ),
    "palette with alphas": (
        palette(PALETTE, transparency=bytes(CLEAR_AT)), PALETTE[INDICES], CLEAR_AT[INDICES],
    ),
    "grey palette": (
        palette(GREYS, transparency=bytes(CLEAR_AT)), GREYS[INDICES][:, :, 0], CLEAR_AT[INDICES],
    ),
    "gif": (
        palette(PALETTE, "GIF", transparency=2), PALETTE[INDICES], np.where(INDICES == 2, 0, 255),
    ),
    "rgb with one clear": (
        saved(Image.fromarray(KEYED), transparency=(1, 2, 3)), KEYED, one_clear(KEYED, (1, 2, 3)),
    ),
    "grey with one clear": (
        saved(Image.fromarray(GREY), transparency=int(GREY[3, 3])), GREY,
        one_clear(GREY, GREY[3, 3]),
    ),
    "2-bit grey with one clear": (
        png(2, 0, [b"\x1b"], 4, struct.pack(">H", 1)), BITS2 * 85, one_clear(BITS2, 1),
    ),
    "1-bit with white clear": (
        png(1, 0, [b"\x59"], 8, struct.pack(">H", 1)), BITS1 * 255, one_clear(BITS1, 1),
    ),
    "16-bit grey with alpha": (
        png(16, 4, [np.dstack([v, a]).astype(">u2").tobytes()
                    for v, a in zip(DEEP, DEEP_ALPHA, strict=True)], 3),
        DEEP_AS_BYTES, DEEP_ALPHA / 257,
    ),
    "16-bit grey with one clear": (
        png(16, 0, [row.astype(">u2").tobytes() for row in DEEP], 3, struct.pack(">H", 300)),
        DEEP_AS_BYTES, one_clear(DEEP, 300),
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("name", FILES)
def test_transparency_is_laid_on_the_background(name: str, background: str) -> None:
    content, shown, alpha = FILES[name]
    behind = np.array(BACKGROUNDS[background], np.float64)
    found, facts = images.read({"bytes": content, "path": None}, background=BACKGROUNDS[background])
    share = np.asarray(alpha, np.float64)[:, :, None] / 255
    shown = shown[:, :, None] if shown.ndim == 2 else shown
    expected = shown * share + behind * (1 - share)
    assert np.abs(found - expected).max() <= 1
    clear = share[:, :, 0] == 0
    assert clear.any(), "nothing would be seen of a mistake"
    assert (found[clear] == (behind if found.shape[2] == 3 else behind[:1])).all()
    grey = shown.shape[2] == 1 and background != "orange"
    assert found.dtype == np.uint8 and found.shape[2] == (1 if grey else 3)
    assert facts["transparent"] == pytest.approx((share < 1).mean())
    assert ("uniform" in facts) == bool((expected == expected[0, 0]).all())


def test_the_exact_colour_is_clear_and_no_other_of_16_bits() -> None:
    content = png(16, 2, [NEAR[0].astype(">u2").tobytes()], 2, struct.pack(">3H", *NEAR[0, 0]))
    media = {"bytes": content, "path": None}
    for values in (None, (0.0, 65535.0), (0.0, 70000.0)):
        found = images.decode(media, background=(7, 7, 7), value_range=values)
        assert found[0, 0].tolist() == [7, 7, 7] and found[0, 1].tolist() != [7, 7, 7]


def test_a_drawing_of_the_background_s_colour_is_said_to_be_lost() -> None:
    clear = Image.merge("RGBA", (*Image.new("RGB", (10, 8)).split(), Image.fromarray(alphas())))
    media = {"bytes": saved(clear), "path": None}
    black, facts = images.read(media, background=(0, 0, 0))
    assert (black == 0).all() and facts["uniform"] == 1
    white, facts = images.read(media)
    assert len(np.unique(white)) > 10 and "uniform" not in facts


def test_opaque_images_are_not_remarkable() -> None:
    for image in (Image.fromarray(RGB), Image.fromarray(RGB).convert("RGBA"), LA.convert("L")):
        assert images.read({"bytes": saved(image), "path": None})[1] == {}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "La", "RGBa"])
def test_pil_images_in_memory_are_laid_on_it_too(mode: str) -> None:
    image = RGBA if mode in ("RGBA", "RGBa") else LA
    if mode == "PA":
        image = Image.merge("PA", (Image.fromarray(GREY), Image.fromarray(alphas())))
        image.putpalette([value for i in range(256) for value in (i, i, i)])
    shown = RGB if mode in ("RGBA", "RGBa") else GREY[:, :, None]
    found = images.open_any(image.convert(mode) if image.mode != mode else image)
    share = alphas()[:, :, None] / 255
    assert found.shape[2] == shown.shape[2]
    # multiplied by alpha, a colour has lost what it can't give back
    worst = 255 if mode in ("La", "RGBa") else 1
    visible = share[:, :, 0] > 0.5
    difference = np.abs(found - (shown * share + 255 * (1 - share)))
    assert difference.max() <= worst and difference[visible].max() <= 3
    assert (found[~(share[:, :, 0] > 0)] == 255).all()


def frames(kind: str) -> bytes:
    """An animation whose first frame is transparent beside a red square."""
    first, second = (Image.new("RGBA", (6, 5), (0, 0, 0, 0)) for _ in range(2))
    first.paste((255, 0, 0, 255), (1, 1, 4, 4))
    second.paste((0, 0, 255, 255), (0, 0, 6, 5))
    options = {"lossless": True} if kind == "WEBP" else {}
    return saved(first, kind, save_all=True, append_images=[second], disposal=2, **options)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_a_transparent_animation(kind: str) -> None:
    expected = np.full((5, 6, 3), 255)
    expected[1:4, 1:4] = (255, 0, 0)
    content = frames(kind)
    assert Image.open(io.BytesIO(content)).n_frames == 2
    found = images.decode({"bytes": content, "path": None})
    np.testing.assert_array_equal(found, expected)


def test_exif_turns_what_is_transparent() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right
    plain = images.decode({"bytes": saved(RGBA), "path": None})
    found = images.decode({"bytes": saved(RGBA, exif=exif), "path": None})
    np.testing.assert_array_equal(found, np.rot90(plain, -1))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_inks_are_colours(kind: str) -> None:
    inks = {(255, 0, 0, 0): "cyan", (0, 255, 0, 0): "magenta", (0, 0, 0, 0): "white"}
    for ink, name in inks.items():
        content = saved(Image.new("CMYK", (16, 16), ink), kind)
        found = images.decode({"bytes": content, "path": None})
        expected = np.asarray(Image.new("RGB", (16, 16), name))
        assert np.abs(found.astype(int) - expected).max() <= 3, name
