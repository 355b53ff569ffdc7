"""The square that a model sees: stretched, padded or cropped, as transformers' processors do it."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

import tasks  # noqa: F401  (torchvision may need our guard)
from tasks.errors import UserError
from tasks.vision import images
from tasks.vision.image_args import ImageArgs, colour, side_of
from zoo.vision.image_processor import make_processor, reading_of

WHITE, BLACK, ORANGE = (255, 255, 255), (0, 0, 0), (255, 128, 0)


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


@settings(max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    size=st.integers(8, 50),
    mode=st.sampled_from(["stretch", "pad", "crop"]),
    grey=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_opaque_images_are_what_transformers_makes_of_them(
    shape: tuple[int, int], size: int, mode: str, grey: bool, seed: int
) -> None:
    """Padding lies on black there."""
    height, width = shape
    if mode == "pad":
        scale = min(size / height, size / width)  # theirs, which rounds 11 * (15 / 11) to 14
        assume(all(0 < int(side * scale) == side * size // max(shape) for side in shape))
    image = picture(height, width, 1 if grey else 3, seed)
    processor = make_processor(size, reading=ImageArgs(background="black", resize=mode))
    shown = Image.fromarray(image[:, :, 0]).convert("RGB") if grey else Image.fromarray(image)
    theirs = processor(images=shown, return_tensors="np")["pixel_values"][0]
    ours = images.fit(image, size, mode, BLACK)
    assert (ours.dtype, ours.shape) == (np.uint8, (size, size, image.shape[2]))
    normalised = (ours.transpose(2, 0, 1) / 255 - 0.5) / 0.5
    np.testing.assert_allclose(np.broadcast_to(normalised, theirs.shape), theirs, atol=1e-6)


def test_padding_is_background_on_both_sides_and_all_of_the_image_between() -> None:
    image = picture(10, 40)
    for background in (WHITE, ORANGE):
        found = images.fit(image, 20, "pad", background)
        assert (found[:7] == background).all() and (found[12:] == background).all()
        np.testing.assert_array_equal(found[7:12], images.resize(image, 5, 20))
    tall = images.fit(image.transpose(1, 0, 2), 20, "pad", WHITE)
    assert (tall[:, :7] == 255).all() and (tall[:, 12:] == 255).all()


def test_grey_stays_grey_where_the_background_is() -> None:
    grey = picture(5, 9, 1)
    assert images.fit(grey, 16, "pad", WHITE).shape == (16, 16, 1)
    coloured = images.fit(grey, 16, "pad", ORANGE)
    assert coloured.shape == (16, 16, 3) and coloured[0, 0].tolist() == list(ORANGE)
    inner = images.fit(grey, 16, "pad", WHITE)[4:12]
    np.testing.assert_array_equal(coloured[4:12], np.broadcast_to(inner, (8, 16, 3)))


def test_a_crop_is_the_middle() -> None:
    image = picture(20, 60)
    np.testing.assert_array_equal(images.fit(image, 20, "crop", WHITE), image[:, 20:40])
    np.testing.assert_array_equal(
        images.fit(image.transpose(1, 0, 2), 20, "crop", WHITE), image.transpose(1, 0, 2)[20:40]
    )


@pytest.mark.parametrize("mode", ["stretch", "pad", "crop"])
def test_squares_are_only_resized(mode: str) -> None:
    image = picture(30, 30)
    expected = images.resize(image, 16, 16)
    np.testing.assert_array_equal(images.fit(image, 16, mode, ORANGE), expected)


@pytest.mark.parametrize("mode", ["pad", "crop"])
def test_an_endless_strip_takes_no_endless_memory(mode: str) -> None:
    strip = np.zeros((1, 2_000_000, 1), np.uint8)
    strip[:, 900_000:1_100_000] = 200
    found = images.fit(strip, 64, mode, WHITE)
    assert found.shape == (64, 64, 1)
    assert 200 in found if mode == "crop" else (found[0] == 255).all()


@pytest.mark.parametrize("text", ["white", "#ffffff", "#FFF", " White ", "rgb(255,255,255)"])
def test_colours(text: str) -> None:
    assert ImageArgs(background=text).behind == WHITE
    assert ImageArgs().behind == WHITE and ImageArgs(background="#ff8000").behind == ORANGE


@pytest.mark.parametrize("text", ["", "whit", "#ff", "#ff80001", "#ff800080", "255,255,255", "白"])
def test_what_is_no_colour(text: str) -> None:
    with pytest.raises(UserError, match="is no colour: give a name such as white") as error:
        colour(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "values", [(1, 1), (9, 7), (0, float("nan")), (0, float("inf")), (float("nan"), 1)]
)
def test_what_is_no_range(values: tuple[float, float]) -> None:
    with pytest.raises(UserError, match=r"`value_range` .* such as 0 4095"):
        ImageArgs(value_range=values)


@pytest.mark.parametrize("mode", ["stretch", "pad", "crop"])
def test_a_saved_processor_keeps_how_images_are_read(mode: str, tmp_path) -> None:
    from transformers import AutoImageProcessor

    asked = ImageArgs(background="#ff8000", resize=mode, value_range=(0, 4095))
    make_processor(24, reading=asked).save_pretrained(tmp_path)
    found = AutoImageProcessor.from_pretrained(tmp_path)
    assert side_of(found) == 24 and reading_of(found) == asked
    assert ImageArgs().resolved(found) == asked
    assert asked.resolved(found) == asked
    with pytest.raises(UserError, match=r"`background` black: .* says #ff8000"):
        ImageArgs(background="black").resolved(found)


def test_without_a_word_it_is_stretched_on_white() -> None:
    assert ImageArgs().resolved(object()) == ImageArgs(background="white", resize="stretch")
