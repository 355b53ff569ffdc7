"""One image as Python gives it: whatever it comes as, the pixels are the same."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tasks.errors import UserError
from tasks.media.items import is_one
from tasks.vision import image_items, images

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
GREY = PIXELS[:, :, :1]
SHADES = PIXELS / np.float32(255)
PNG = io.BytesIO()
Image.fromarray(PIXELS).save(PNG, "PNG")


def read(item: Any) -> np.ndarray:
    decode = partial(images.decode, max_pixels=100)
    return image_items.pixels(item, decode, images.open_any)


def tensor(array: np.ndarray) -> torch.Tensor:
    """As torchvision has it: [channels, height, width]."""
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))


@pytest.mark.parametrize(
    "item",
    [
        PNG.getvalue(),
        bytearray(PNG.getvalue()),
        memoryview(PNG.getvalue()),
        {"bytes": PNG.getvalue(), "path": None},
        {"image": Image.fromarray(PIXELS), "label": 3},
        {"name": "a.png", "image": PIXELS},
        Image.fromarray(PIXELS),
        Image.fromarray(PIXELS).convert("RGBA"),
        PIXELS,
        PIXELS.transpose(2, 0, 1),
        PIXELS.astype(np.int64),
        PIXELS.astype(np.uint16) * 257,
        PIXELS.astype(np.float32),
        SHADES,
        SHADES.astype(np.float64).transpose(2, 0, 1),
        SHADES + 4e-4 * np.sign(SHADES - 0.5),
        np.array(Image.fromarray(PIXELS).convert("RGBA")),
        tensor(PIXELS),
        tensor(SHADES),
        tensor(SHADES).requires_grad_(),
        torch.from_numpy(PIXELS),
    ],
    ids=lambda item: type(item).__name__,
)
def test_colour(item: Any) -> None:
    found = read(item)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, PIXELS)


@pytest.mark.parametrize(
    "item",
    [
        GREY,
        GREY[:, :, 0],
        GREY.transpose(2, 0, 1),
        GREY[:, :, 0] / 255,
        GREY[:, :, 0].astype(np.uint16) * 257,
        np.dstack([GREY, np.full_like(GREY, 255)]),
        torch.from_numpy(GREY[:, :, 0].copy()),
        tensor(GREY),
        tensor(GREY / np.float32(255)).half().double(),
        Image.fromarray(GREY[:, :, 0]),
        Image.fromarray(GREY[:, :, 0]).convert("LA"),
    ],
    ids=lambda item: type(item).__name__,
)
def test_grey(item: Any) -> None:
    np.testing.assert_array_equal(read(item), GREY)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "grüße.png"
    path.write_bytes(PNG.getvalue())
    for item in (str(path), path, {"path": str(path)}, io.BytesIO(PNG.getvalue())):
        np.testing.assert_array_equal(read(item), PIXELS)
    with path.open("rb") as file:
        np.testing.assert_array_equal(read(file), PIXELS)


def test_both_ends_could_be_channels() -> None:
    small = PIXELS[:3, :5]  # [3, 5, 3]: an array's channels are last, a tensor's first
    np.testing.assert_array_equal(read(small), small)
    np.testing.assert_array_equal(read(torch.from_numpy(small)), small.transpose(1, 2, 0))


def test_booleans_are_black_and_white() -> None:
    mask = PIXELS[:, :, 0] > 100
    np.testing.assert_array_equal(read(mask)[:, :, 0], np.where(mask, 255, 0))


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (lambda: (SHADES - 0.5) / 0.5, "give the image before it is normalised"),
        (lambda: SHADES * 1.2, "which are neither 0 to 1 nor 0 to 255"),
        (lambda: SHADES * np.nan, "no finite numbers"),
        (lambda: SHADES.astype(complex), "no finite numbers"),
        (lambda: PIXELS.astype(int) - 300, "integers from -300 to"),
        (lambda: PIXELS.astype(np.uint16) * 16, "which may be of fewer bits"),
        (lambda: np.zeros(5), "float64 [5] is no [height, width, channels]"),
        (lambda: np.zeros((0, 4, 3)), "is no [height, width, channels]"),
        (lambda: np.zeros((8, 8, 5)), "has 1 to 4 channels neither first nor last"),
        (lambda: None, "None is no image"),
        (lambda: {"a": 1}, "a mapping of a is no image"),
        (lambda: 3, "it is a int"),
        (lambda: "no.png", "no.png: cannot be opened: No such file"),
        (lambda: "https://a.b/c.png", "is a URL"),
        (lambda: b"hello", "the image given as bytes: not an image"),
        (lambda: io.StringIO("hello"), "opened as text: open(path, 'rb')"),
        (lambda: np.zeros((11, 10, 3)), ""),
        (lambda: _large(), "more than the limit of 100"),
    ],
)
def test_what_is_no_image(item: Callable[[], Any], said: str) -> None:
    if not said:  # the limit is for files, whose header may claim anything
        assert read(item()).shape == (11, 10, 3)
        return
    with pytest.raises(UserError) as error:
        read(item())
    assert said in str(error.value) and "\n" not in str(error.value)


def _large() -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.zeros((11, 10), np.uint8)).save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("a.png", True),
        (b"a", True),
        (Path("a"), True),
        ({"bytes": b"a"}, True),
        (io.BytesIO(b"a"), True),
        (Image.fromarray(PIXELS), True),
        (PIXELS, True),
        (tensor(PIXELS), True),
        (None, True),
        (PIXELS[None], False),
        (tensor(PIXELS)[None], False),
        ([PIXELS], False),
        (("a.png", "b.png"), False),
        (np.array(["a.png", "b.png"]), False),
        ((name for name in "ab"), False),
        ([], False),
    ],
)
def test_one_or_several(raw: object, expected: bool) -> None:
    assert is_one(raw, 3) is expected


def test_a_data_frame_is_no_row_of_files() -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(UserError, match="give a column of it"):
        is_one(pandas.DataFrame({"path": ["a"]}), 3)
    assert is_one(pandas.Series(["a", "b"]), 3) is False
