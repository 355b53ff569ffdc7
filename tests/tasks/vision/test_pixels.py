"""Images normalised in numpy: the bits are those of torch."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tasks.vision.pixels import normalised

channel = st.floats(0.01, 1, allow_subnormal=False)
triple = st.one_of(st.tuples(channel, channel, channel), channel.map(lambda x: (x, x, x)))


@settings(max_examples=60)
@given(
    channels=st.lists(st.sampled_from([1, 3]), min_size=1, max_size=4),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    mean=triple,
    std=triple,
)
def test_the_bits_are_those_of_torch(
    channels: list[int],
    size: tuple[int, int],
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> None:
    rng = np.random.default_rng(sum(channels))
    images = [rng.integers(0, 256, (*size, c), dtype=np.uint8) for c in channels]
    wide = [np.broadcast_to(image, (*size, 3)) for image in images]
    pixels = torch.from_numpy(np.stack(wide)).permute(0, 3, 1, 2).float().div_(255)
    expected = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    found = normalised(images, mean, std)
    assert found.dtype == np.float32 and found.shape == (len(images), 3, *size)
    assert np.array_equal(found, expected.numpy())


def test_the_order_in_memory_does_not_count() -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 5, 7), dtype=np.uint8).transpose(1, 2, 0)
    how = (0.2, 0.3, 0.4), (0.5, 0.6, 0.7)
    expected = normalised([np.ascontiguousarray(image)], *how)
    assert np.array_equal(normalised([image], *how), expected)


def test_brightness_is_that_of_pillow() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)
    grey = np.asarray(Image.fromarray(image).convert("L"))
    found = normalised([image], (0.5,) * 3, (0.5,) * 3, 1)
    assert found.shape == (1, 1, 9, 7)
    assert np.abs((found[0, 0] * 0.5 + 0.5) * 255 - grey).max() < 1
    assert np.array_equal(
        normalised([grey[:, :, None]], (0.5,) * 3, (0.5,) * 3, 1)[0, 0],
        normalised([grey[:, :, None]], (0.5,) * 3, (0.5,) * 3)[0, 2],
    )


def test_every_value_of_a_pixel() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    found = normalised([values], (0.0,) * 3, (1.0,) * 3)
    assert np.array_equal(found[0, 1].ravel(), torch.arange(256).float().div(255).numpy())
