"""Images resized in numpy, bit by bit as by torch."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as tvf

from tasks.vision import resizing


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("values", ["noise", "black and white", "white"])
def test_all_bits_are_those_of_torch(channels: int, values: str) -> None:
    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("torch computes in decimal numbers here")
    rng = np.random.default_rng(channels)
    sizes = [(1, 1), (1, 7), (640, 9), (28, 28), (97, 333), *rng.integers(1, 200, (20, 2)).tolist()]
    for height, width in sizes:
        image = rng.integers(0, 256, (height, width, channels))
        if values != "noise":
            image = 255 * (image > 127) if values == "black and white" else image * 0 + 255
        image = image.astype(np.uint8)
        for wanted in ((1, 1), (32, 32), (height, 40), (41, width), (230, 101)):
            ours = resizing.resize(image, *wanted)
            theirs = tvf.resize(torch.from_numpy(image).permute(2, 0, 1), list(wanted))
            assert ours.dtype == np.uint8
            assert np.array_equal(ours, theirs.permute(1, 2, 0).numpy()), (image.shape, wanted)


def test_an_image_that_is_no_piece_of_memory() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype(np.uint8)
    turned = resizing.resize(image.transpose(1, 0, 2)[::-1], 16, 20)
    copied = resizing.resize(np.ascontiguousarray(image.transpose(1, 0, 2)[::-1]), 16, 20)
    assert np.array_equal(turned, copied)
