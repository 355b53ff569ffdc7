"""Image files: what is read, as whose pixels, and what is refused in which words."""

import io
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL import __version__ as pillow_version

import tasks  # noqa: F401  (torchvision may need our guard)
from tasks.media.source import BadFile
from tasks.vision import images

PILLOW = int(pillow_version.partition(".")[0])
RNG = np.random.default_rng(0)


def picture(height: int = 12, width: int = 17, channels: int = 3) -> np.ndarray:
    """Smooth, so that lossy formats keep it."""
    y, x = np.mgrid[:height, :width]
    planes = [np.sin(x / (2 + c)) * np.cos(y / 3) * 127 + 128 for c in range(channels)]
    return np.stack(planes, axis=2).astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decode(content: bytes, **options: Any) -> np.ndarray:
    return images.decode({"bytes": content, "path": None}, **options)


def reason(content: bytes, **options: Any) -> str:
    with pytest.raises(BadFile) as error:
        decode(content, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def png(width: int, height: int, depth: int = 8, kind: int = 0, data: bytes = b"") -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


RGB = Image.fromarray(picture())
GREY = Image.fromarray(picture(channels=1)[:, :, 0])
TRANSPARENT = Image.fromarray(np.dstack([picture(), picture(channels=1)]), "RGBA")


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(RGB, "JPEG", exif=exif)


def palette(**options: Any) -> bytes:
    return encoded(RGB.quantize(16), "PNG", **options)


# --- what is read: the pixels that transformers reads

COLOUR = {
    "jpeg": encoded(RGB, "JPEG"),
    "progressive jpeg": encoded(RGB, "JPEG", progressive=True),
    "png": encoded(RGB, "PNG"),
    "bmp": encoded(RGB, "BMP"),
    "webp": encoded(RGB, "WEBP"),
    "webp lossless": encoded(RGB, "WEBP", lossless=True),
    "tiff": encoded(RGB, "TIFF"),
    "tiff packed": encoded(RGB, "TIFF", compression="tiff_lzw"),
    "ppm": encoded(RGB, "PPM"),
    "cmyk jpeg": encoded(RGB.convert("CMYK"), "JPEG"),
    "cmyk tiff": encoded(RGB.convert("CMYK"), "TIFF"),
    # older Pillows write YCbCr without compression, and can't read that
    **({"ycbcr tiff": encoded(RGB.convert("YCbCr"), "TIFF")} if PILLOW >= 13 else {}),
    "palette": palette(),
    "gif": encoded(RGB.quantize(16), "GIF"),
    "opaque alpha": encoded(RGB.convert("RGBA"), "PNG"),
    "a transparent colour that is not there": encoded(RGB, "PNG", transparency=(1, 2, 3)),
    "16-bit colour": png(2, 1, 16, 2, b"\0" + struct.pack(">6H", 0, 300, 700, 9000, 30000, 65535)),
    **{f"exif {turn}": turned(turn) for turn in range(1, 9)},
}
SINGLE = {
    "grey jpeg": encoded(GREY, "JPEG"),
    "grey png": encoded(GREY, "PNG"),
    "grey gif": encoded(GREY, "GIF"),
    "grey with opaque alpha": encoded(GREY.convert("LA"), "PNG"),
    "a transparent grey that is not there": encoded(GREY, "PNG", transparency=0),
    "1 bit png": encoded(GREY.convert("1"), "PNG"),
    "1 bit pbm": encoded(GREY.convert("1"), "PPM"),
    "1 bit fax": encoded(GREY.convert("1"), "TIFF", compression="group4"),
    "2 bit png": png(5, 1, 2, 0, b"\0\x1b\x80"),
    "pgm": encoded(GREY, "PPM"),
}

CLEAR = {
    "webp with alpha": encoded(TRANSPARENT, "WEBP", lossless=True),
    "palette, one colour transparent": palette(transparency=3),
    "palette, many transparent": palette(transparency=bytes(range(0, 160, 10))),
    "alpha": encoded(TRANSPARENT, "PNG"),
    "grey with alpha": encoded(TRANSPARENT.convert("LA"), "PNG"),
    "16-bit grey with alpha": png(2, 1, 16, 4, b"\0" + struct.pack(">4H", 900, 65535, 65535, 7)),
    "16-bit grey, one transparent": png(2, 1, 16, 0, b"\0" + struct.pack(">2H", 7, 65535)),
}
EVERY = COLOUR | SINGLE | CLEAR


def as_transformers_reads(content: bytes) -> np.ndarray:
    from transformers.image_utils import load_image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(load_image(Image.open(io.BytesIO(content))))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", COLOUR)
def test_colour_is_what_transformers_reads(name: str) -> None:
    found = decode(COLOUR[name])
    assert (found.dtype, found.ndim, found.shape[2]) == (np.uint8, 3, 3)
    np.testing.assert_array_equal(found, as_transformers_reads(COLOUR[name]))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", SINGLE)
def test_grey_is_one_channel_of_what_transformers_reads(name: str) -> None:
    found = decode(SINGLE[name])
    assert (found.dtype, found.ndim, found.shape[2]) == (np.uint8, 3, 1)
    same = np.broadcast_to(found, (*found.shape[:2], 3))
    np.testing.assert_array_equal(same, as_transformers_reads(SINGLE[name]))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_is_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (9, 7), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert Image.open(io.BytesIO(content)).n_frames == 3
    found, facts = images.read({"bytes": content, "path": None})
    np.testing.assert_array_equal(found, np.asarray(frames[0]))
    assert facts == {"frames": 1}
    assert images.read({"bytes": encoded(frames[0], kind), "path": None})[1] == {}


def test_exif_turns_greyscale_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded(GREY, "PNG", exif=exif)).shape == (17, 12, 1)


DEEP = np.array([[0, 128, 255, 256, 32768, 65535]], np.uint16)
DEEP_AS_BYTES = [[0, 0, 1, 1, 128, 255]]


@pytest.mark.parametrize(
    "content",
    [
        encoded(Image.fromarray(DEEP), "PNG"),
        encoded(Image.fromarray(DEEP), "TIFF"),
        b"P5 6 1 65535\n" + DEEP.astype(">u2").tobytes(),
    ],
    ids=["png", "tiff", "pgm"],
)
def test_16_bits_are_scaled_and_not_clipped(content: bytes) -> None:
    assert decode(content)[:, :, 0].tolist() == DEEP_AS_BYTES


def tiff(values: np.ndarray, sample_format: int, photometric: int = 1) -> bytes:
    """One row, not compressed."""
    data = values.tobytes()
    tags = [
        (256, 4, values.size),
        (257, 4, 1),
        (258, 3, values.itemsize * 8),
        (259, 3, 1),
        (262, 3, photometric),
        (273, 4, 8),
        (277, 3, 1),
        (278, 4, 1),
        (279, 4, len(data)),
        (339, 3, sample_format),
    ]
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    head = b"II*\0" + struct.pack("<I", 8 + len(data))
    return head + data + struct.pack("<H", len(tags)) + table + b"\0\0\0\0"


@pytest.mark.parametrize(
    ("values", "sample_format", "expected"),
    [
        (np.array([-32768, 0, 32767], np.int16), 2, [0, 128, 255]),
        (np.array([-(2**31), 0, 2**31 - 1], np.int32), 2, [0, 128, 255]),
        (np.array([0, 2**31, 2**32 - 1], np.uint32), 1, [0, 128, 255]),
        (np.array([0, 0.5, 1], np.float32), 3, [0, 128, 255]),
        (np.array([0, 1.6, 255], np.float32), 3, [0, 2, 255]),
        (np.array([0, 256, 65535], np.float32), 3, [0, 1, 255]),
    ],
)
def test_other_depths(values: np.ndarray, sample_format: int, expected: list[int]) -> None:
    content = tiff(values, sample_format)
    assert decode(content)[0, :, 0].tolist() == expected


def test_white_is_zero() -> None:
    content = tiff(np.array([0, 65535], np.uint16), 1, photometric=0)
    assert decode(content)[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize("values", [[0.5, np.nan], [-1.0, 1.0], [0.0, 1e9], [np.inf, 0.0]])
def test_decimals_that_are_no_brightness(values: list[float]) -> None:
    assert "which are no brightness" in reason(tiff(np.array(values, np.float32), 3))


def test_from_a_path(tmp_path: Path) -> None:
    for name in ("a.png", "ünï çødé 图像.png", "x" * 250 + ".png"):
        path = tmp_path / name
        path.write_bytes(SINGLE["grey png"])
        media = {"bytes": None, "path": str(path)}
        np.testing.assert_array_equal(images.decode(media), decode(SINGLE["grey png"]))
        assert images.size(media) == (12, 17)
    np.testing.assert_array_equal(images.open_any(path), images.open_any(GREY))


# --- what is refused


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty: 0 bytes"),
        (b"just words, in a file that is called a.png", "not an image"),
        (b"\0" * 1000, "not an image"),
        (b'<?xml version="1.0"?><svg xmlns="...">', "SVG, which is none of JPEG, PNG, GIF, BMP,"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript, which is none of"),
        (b"%PDF-1.7", "PDF, which is none of"),
        (b"\0\0\0\x18ftypheic", "HEIC, which is none of"),
        (b"\0\0\0\x18ftypavif", "AVIF, which is none of"),
        (png(50_000, 50_000), "50,000 x 50,000 pixels, more than the limit of 50,000,000"),
        (b"P6 50000 50000 255\n", "50,000 x 50,000 pixels, more than the limit of 50,000,000"),
        (b"\xff\xd8\xff", "a broken header"),
        (COLOUR["png"][:20], "truncated"),
        (COLOUR["webp"][:20], "broken"),
    ],
)
def test_refusals(content: bytes, expected: str) -> None:
    assert reason(content).startswith(expected)


@pytest.mark.parametrize("name", ["jpeg", "png", "gif", "bmp", "webp", "tiff", "ppm", "cmyk jpeg"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_truncated(name: str, share: float) -> None:
    content = COLOUR[name]
    assert reason(content[: int(share * len(content))]).startswith(("truncated", "broken"))


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0), (0, 0)])
def test_no_pixels(width: int, height: int) -> None:
    assert reason(png(width, height)) == "a broken header, or no pixels"


def test_the_limit_is_a_matter_of_taste() -> None:
    assert reason(COLOUR["png"], max_pixels=203) == "17 x 12 pixels, more than the limit of 203"
    assert decode(COLOUR["png"], max_pixels=204).shape == (12, 17, 3)


@pytest.mark.filterwarnings("error")
def test_pillow_s_own_limit_is_not_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    assert decode(COLOUR["png"]).shape == (12, 17, 3)


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        ({"bytes": None, "path": None}, "neither content nor a path"),
        ({"bytes": None, "path": "/nowhere/a.png"}, "cannot be opened: No such file or directory"),
        ({"bytes": None, "path": "/"}, "cannot be opened: Is a directory"),
        ({"bytes": None, "path": "a" * 300}, "cannot be opened: File name too long"),
        ({"bytes": None, "path": "a\0b"}, "cannot be opened: embedded null byte"),
    ],
)
def test_paths_that_lead_nowhere(media: dict[str, Any], expected: str) -> None:
    with pytest.raises(BadFile) as error:
        images.decode(media)
    assert str(error.value) == expected


CLAIMS = {
    "png": png(50_000, 50_000),
    "jpeg": COLOUR["jpeg"].replace(struct.pack(">HH", 12, 17), struct.pack(">HH", 50_000, 50_000)),
    "bmp": COLOUR["bmp"].replace(struct.pack("<II", 17, 12), struct.pack("<II", 50_000, 50_000)),
    "gif": COLOUR["gif"].replace(struct.pack("<HH", 17, 12), struct.pack("<HH", 50_000, 50_000)),
    "webp": b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0" + b"\x4f\xc3\0" * 2 + b"ALPH\0\0\0\0",
    "tiff": tiff(np.zeros(4, np.uint8), 1).replace(
        struct.pack("<HHII", 256, 4, 1, 4), struct.pack("<HHII", 256, 4, 1, 2**31 - 1)
    ),
    "ppm": b"P6 50000 50000 255\n",
}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_costs_no_memory(name: str) -> None:
    code = (
        "import resource, sys\n"
        "from tasks.media.source import BadFile\n"
        "from tasks.vision import images\n"
        "content = sys.stdin.buffer.read()\n"
        f"images.decode({{'bytes': {SINGLE['grey png']!r}}})\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: images.decode({'bytes': content})\n"
        "except BadFile as problem: print(problem)\n"
        "assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000, 'kB'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=CLAIMS[name], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout, "not refused"


@settings(max_examples=300)
@given(
    name=st.sampled_from(sorted(EVERY)),
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
    share=st.floats(0.3, 1),
    values=st.sampled_from([None, (0.0, 4095.0)]),
)
@pytest.mark.filterwarnings("ignore")
def test_broken_files_are_images_or_bad_files(
    name: str, edits: list[tuple[float, int]], share: float, values: Any
) -> None:
    content = bytearray(EVERY[name])
    for place, value in edits:
        content[int(place * (len(content) - 1))] = value
    try:
        cut = bytes(content[: int(share * len(content))])
        found = decode(cut, max_pixels=100_000, value_range=values)
    except BadFile as problem:
        assert str(problem) and "\n" not in str(problem)
    else:
        assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] in (1, 3)


def test_no_other_reader_of_pillow_is_ever_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    Image.init()
    for name, (_, accept) in list(Image.OPEN.items()):
        if name not in images.FORMATS:
            forbidden = lambda *_: pytest.fail("tried")  # noqa: E731
            monkeypatch.setitem(Image.OPEN, name, (forbidden, accept))
    reason(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    reason(b"\x01\xda\x01\x01\0\x03\0\x09\0\x09\0\x03")  # SGI


# --- resize


@settings(max_examples=40)
@given(
    old=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    # to 1 x 1, torch 2.13 fails for both of us ("please report a bug to PyTorch")
    new=st.tuples(st.integers(1, 50), st.integers(2, 50)),
    grey=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_resize_is_what_transformers_does(
    old: tuple[int, int], new: tuple[int, int], grey: bool, seed: int
) -> None:
    from transformers import ViTImageProcessor

    image = np.random.default_rng(seed).integers(0, 256, (*old, 1 if grey else 3), np.uint8)
    processor = ViTImageProcessor(size={"height": new[0], "width": new[1]})
    shown = Image.fromarray(image[:, :, 0]).convert("RGB") if grey else Image.fromarray(image)
    theirs = processor(images=shown, return_tensors="np")["pixel_values"][0]
    ours = images.resize(image, *new)
    assert (ours.dtype, ours.shape) == (np.uint8, (*new, image.shape[2]))
    normalised = (ours.transpose(2, 0, 1) / 255 - 0.5) / 0.5
    np.testing.assert_allclose(np.broadcast_to(normalised, (3, *new)), theirs, atol=1e-6)


def test_resize_leaves_what_fits() -> None:
    image = picture()
    assert images.resize(image, 12, 17) is image


@pytest.mark.filterwarnings("error")
def test_resize_takes_memory_that_is_not_to_be_written() -> None:
    image = np.frombuffer(picture().tobytes(), np.uint8).reshape(12, 17, 3)
    np.testing.assert_array_equal(images.resize(image, 5, 6), images.resize(picture(), 5, 6))
