"""Images of more than 8 bits: their values, the range found in training, and what is refused."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

import tasks  # noqa: F401  (torchvision may need our guard)
from tasks.errors import UserError
from tasks.media import decoding
from tasks.media.source import BadFile
from tasks.vision import deep_images, images, value_ranges
from tasks.vision.image_args import ImageArgs
from tests.tasks.vision.test_images import tiff
from tests.tasks.vision.test_transparency import png

MEDIA = {"media": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}}


def saved(values: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind, **options)
    return buffer.getvalue()


def split(*contents: bytes) -> datasets.Dataset:
    rows = [{"bytes": content, "path": None} for content in contents]
    return datasets.Dataset.from_dict({"media": rows}, features=datasets.Features(MEDIA))


def found(*contents: bytes) -> tuple[float, float] | None:
    return value_ranges.with_range(ImageArgs(), split(*contents)).value_range


def row(*values: float) -> np.ndarray:
    return np.array([values])


def colour16(*values: int, alpha: bool = False) -> bytes:
    """A 16-bit PNG in colour, the values of its pixels one behind the other."""
    data = struct.pack(f">{len(values)}H", *values)
    channels = 4 if alpha else 3
    return png(16, 6 if alpha else 2, [data], len(values) // channels)


def colour_tiff(grey: np.ndarray, order: str, packed: bool) -> bytes:
    """A TIFF of 16-bit colours, which Pillow can't write; `order` is < or >."""
    height, width = grey.shape
    data = np.dstack([grey] * 3).astype(f"{order}u2").tobytes()
    data = zlib.compress(data) if packed else data
    bits = 8 + len(data)
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, bits), (259, 3, 1, 8 if packed else 1),
        (262, 3, 1, 2), (273, 4, 1, 8), (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, len(data)),
    ]  # fmt: skip
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", bits + 6)
    table = b""
    for tag, kind, count, value in tags:
        short = kind == 3 and count == 1
        table += struct.pack(f"{order}HHI", tag, kind, count)
        table += struct.pack(f"{order}HH", value, 0) if short else struct.pack(f"{order}I", value)
    entries = struct.pack(f"{order}H", len(tags)) + table + bytes(4)
    return head + data + struct.pack(f"{order}3H", 16, 16, 16) + entries


X_RAY = np.random.default_rng(0).integers(0, 4001, (6, 9)).astype(np.uint16)
X_RAY[0, :2] = 0, 4000
AS_BYTES = np.rint(X_RAY * (255 / 4095))
TWELVE_BITS = {
    "png": saved(X_RAY),
    "tiff": saved(X_RAY, "TIFF"),
    "packed tiff": saved(X_RAY, "TIFF", compression="tiff_lzw"),
    "32-bit tiff": saved(X_RAY.astype(np.int32), "TIFF"),
    "decimals": saved(X_RAY.astype(np.float32), "TIFF"),
    "pgm of 16 bits": b"P5 9 6 65535\n" + X_RAY.astype(">u2").tobytes(),
    "pgm of 12 bits": b"P5 9 6 4095\n" + X_RAY.astype(">u2").tobytes(),
    "grey with alpha": png(
        16, 4, [np.dstack([line, np.full(9, 65535)]).astype(">u2").tobytes() for line in X_RAY], 9
    ),
    "colour": png(16, 2, [np.dstack([line] * 3).astype(">u2").tobytes() for line in X_RAY], 9),
    "colour with alpha": png(
        16, 6, [np.dstack([line] * 3 + [np.full(9, 65535)]).astype(">u2").tobytes()
                for line in X_RAY], 9,
    ),
    "little-endian colour tiff": colour_tiff(X_RAY, "<", packed=False),
    "big-endian colour tiff": colour_tiff(X_RAY, ">", packed=False),
    "packed colour tiff": colour_tiff(X_RAY, "<", packed=True),
    "packed big-endian colour tiff": colour_tiff(X_RAY, ">", packed=True),
    "ppm of 16 bits": b"P6 9 6 65535\n" + np.dstack([X_RAY] * 3).astype(">u2").tobytes(),
    "ppm of 12 bits": b"P6 9 6 4095\n" + np.dstack([X_RAY] * 3).astype(">u2").tobytes(),
}  # fmt: skip


@pytest.mark.parametrize("name", TWELVE_BITS)
def test_12_bits_are_found_and_fill_all_of_black_to_white(name: str) -> None:
    content = TWELVE_BITS[name]
    assert found(content, saved(X_RAY.astype(np.uint8))) == (0, 4095)
    pixels, facts = images.read({"bytes": content, "path": None}, value_range=(0, 4095))
    assert (pixels == AS_BYTES[:, :, None]).all() and pixels.max() > 240
    if name != "ppm of 12 bits":  # which are the range that its file declares, read by Pillow
        assert (facts["low"], facts["high"], facts.get("cut")) == (0, 4000, None)


@pytest.mark.parametrize("name", sorted(TWELVE_BITS.keys() - {"pgm of 12 bits", "ppm of 12 bits"}))
def test_without_a_range_they_are_refused_and_not_made_black(name: str) -> None:
    with pytest.raises(BadFile, match=r"values are 0 to 4,000, .*`value_range`"):
        images.decode({"bytes": TWELVE_BITS[name], "path": None})


@pytest.mark.parametrize("name", ["pgm of 12 bits", "ppm of 12 bits"])
def test_what_a_file_declares_needs_no_training(name: str) -> None:
    pixels = images.decode({"bytes": TWELVE_BITS[name], "path": None})
    np.testing.assert_array_equal(pixels[:, :, 0], AS_BYTES)


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ([saved(row(0, 200).astype(np.uint16))], (0, 255)),
        ([saved(row(0, 256).astype(np.uint16))], (0, 511)),
        ([saved(row(0, 30000).astype(np.uint16))], (0, 32767)),
        ([saved(row(0, 4000).astype(np.uint16)), saved(row(9, 60000).astype(np.uint16))],
         (0, 65535)),
        ([saved(row(0, 4000).astype(np.int32), "TIFF")], (0, 4095)),
        ([tiff(row(0, 70000)[0].astype(np.uint32), 1)], (0, 131071)),
        ([saved(row(0, 0.3).astype(np.float32), "TIFF")], (0, 1)),
        ([saved(row(0, 0.3).astype(np.float32), "TIFF"),
          saved(row(0, 140).astype(np.float32), "TIFF")], (0, 255)),
        ([b"P5 2 1 4095\n" + row(0, 9).astype(">u2").tobytes()], (0, 4095)),
        ([tiff(np.array([0, 4000], np.uint16), 1, photometric=0)], (0, 4095)),
        ([saved(row(0, 200).astype(np.uint8)), b"no image", b""], None),
        ([colour16(0, 0, 0, 65535, 1, 2)], (0, 65535)),
    ],
)  # fmt: skip
def test_the_range_of_the_training_images(
    contents: list[bytes], expected: tuple[float, float] | None
) -> None:
    assert found(*contents) == expected


def test_what_is_asked_is_taken() -> None:
    args = ImageArgs(value_range=(7, 9))
    assert value_ranges.with_range(args, split(TWELVE_BITS["png"])) is args


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ([tiff(np.array([-1024, 3071], np.int16), 2)], "-1024 to 3071 (no usual range; see row 1)"),
        ([saved(row(-1, 1).astype(np.float32), "TIFF")], "-1 to 1 (no usual range"),
        ([saved(row(0, 1e6).astype(np.float32), "TIFF")], "0 to 1e+06 (no usual range"),
        (
            [TWELVE_BITS["png"], saved(row(0, 1).astype(np.float32), "TIFF")],
            "0 to 4000 (some whole and some decimal numbers; see row 1)",
        ),
    ],
)
def test_what_can_t_be_known_is_asked_for(contents: list[bytes], said: str) -> None:
    with pytest.raises(UserError) as error:
        found(*contents)
    assert said in str(error.value) and "`value_range`" in str(error.value)


@pytest.mark.parametrize(
    ("content", "values", "expected"),
    [
        (tiff(np.array([-1024, 0, 3071], np.int16), 2), (-1024, 3071), [0, 64, 255]),
        (tiff(np.array([-2000, 0, 4000], np.int16), 2), (-1000, 1000), [0, 128, 255]),
        (tiff(np.array([0, 2048, 4095], np.uint16), 1, 0), (0, 4095), [255, 127, 0]),
        (saved(row(-1, 0, 1).astype(np.float32), "TIFF"), (-1, 1), [0, 128, 255]),
        (saved(row(7000, 8000, 9000).astype(np.uint16)), (7000, 9000), [0, 128, 255]),
    ],
)
def test_a_range_that_was_asked_for(
    content: bytes, values: tuple[float, float], expected: list[int]
) -> None:
    pixels = images.decode({"bytes": content, "path": None}, value_range=values)
    assert pixels[0, :, 0].tolist() == expected


def test_what_lies_outside_is_cut_and_counted() -> None:
    media = {"bytes": saved(row(0, 4095, 5000, 60000).astype(np.uint16)), "path": None}
    pixels, facts = images.read(media, value_range=(0, 4095))
    assert pixels[0, :, 0].tolist() == [0, 255, 255, 255]
    assert facts == {"low": 0, "high": 60000, "cut": 0.5}


def test_8_bits_know_no_range() -> None:
    for mode in ("L", "RGB", "P", "CMYK", "1"):
        buffer = io.BytesIO()
        Image.new(mode, (4, 4), 1).save(buffer, "TIFF")
        media = {"bytes": buffer.getvalue(), "path": None}
        plain, ranged = images.decode(media), images.decode(media, value_range=(0, 4095))
        np.testing.assert_array_equal(plain, ranged)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([0, 900], np.int16), "its type has -32,768 to 32,767"),  # black, or grey?
        (np.array([-1024, 3071], np.int16), "values are -1,024 to 3,071"),
        (np.array([0, 1.6], np.float32), "values are 0 to 2"),
    ],
)
def test_other_types_that_are_hardly_used(values: np.ndarray, said: str) -> None:
    kind = {"i": 2, "f": 3}[values.dtype.kind]
    with pytest.raises(BadFile, match=said):
        images.decode({"bytes": tiff(values, kind), "path": None})


def test_exif_turns_16_bit_colours() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    tagged = bytearray(colour16(1, 2, 3, 400, 500, 600))
    chunk = b"eXIf" + exif.tobytes()[6:]
    size = struct.pack(">I", len(chunk) - 4)
    at = tagged.index(b"IDAT") - 4
    tagged[at:at] = size + chunk + struct.pack(">I", zlib.crc32(chunk))
    media = {"bytes": bytes(tagged), "path": None}
    pixels = images.decode(media, value_range=(0, 600))
    assert pixels.shape == (2, 1, 3)
    assert pixels[1, 0].tolist() == [170, 212, 255]


def test_full_scale() -> None:
    expected = {0: 255, 255: 255, 255.5: 511, 4095: 4095, 4096: 8191, 65535: 65535}
    assert {value: deep_images.full_scale(value) for value in expected} == expected
    assert deep_images.full_scale(1.0, decimals=True) == 1
    assert deep_images.full_scale(1.5, decimals=True) == 255


def test_a_claim_of_pixels_is_not_decoded_to_find_a_range() -> None:
    content = bytearray(TWELVE_BITS["pgm of 16 bits"].replace(b"P5 9 6 ", b"P5 90000 90000 "))
    assert found(bytes(content)) is None


def test_what_is_known_of_large_splits_is_known_for_one_way_of_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing that was kept of one background, size, mode or range is taken for another's."""
    from tasks.vision.image_classification import Args, ImageClassification

    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    monkeypatch.setitem(decoding.decode_split.__kwdefaults__, "memory_limit", 0)
    clear = io.BytesIO()
    Image.new("LA", (16, 16), (0, 0)).save(clear, "PNG")
    rows = split(clear.getvalue(), TWELVE_BITS["png"])
    digests = set()
    for size, background, mode, high in (
        (16, "white", "stretch", 4095), (16, "black", "stretch", 4095), (16, "black", "pad", 4095),
        (16, "black", "crop", 4095), (16, "black", "crop", 1000), (24, "black", "crop", 1000),
    ):  # fmt: skip
        args = Args(background=background, resize=mode, value_range=(0, high))  # type: ignore[arg-type]
        task = ImageClassification(args, ("a", "b"), "single_label_classification", (), size)
        found = [task.features(rows, "key").decoded for _ in range(2)]  # type: ignore[attr-defined]
        assert all(one.block is None for one in found)
        assert found[0].facts == found[1].facts and found[0].facts[0]["transparent"] == 1
        assert ("cut" in found[1].facts[1]) == (high == 1000)
        np.testing.assert_array_equal(found[0].digests, found[1].digests)
        digests.add(tuple(found[1].digests.tolist()))
        told = capsys.readouterr().err
        assert ("lie outside 0 to 1,000, and are cut" in told) == (high == 1000)
    assert len(digests) == 6
    assert len(list(tmp_path.rglob("*.npz"))) == 6
