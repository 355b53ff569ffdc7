"""Images at another size, in numpy: bilinear and antialiased, to the bits that torch computes.

The arithmetic is that of `torch.nn.functional.interpolate(mode="bilinear", antialias=True)` on
uint8 (aten/src/ATen/native/cpu/UpSampleKernel.cpp, which follows Pillow): weights are integers, and
each of the two passes, first over the width, rounds to 8 bits.
"""

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

WEIGHT_BITS = 15  # that the largest weight fits in
MOST_BITS = 22  # by which weights are scaled at most
ROWS = 64  # of an image that are resized together: they fit into the cache of a processor


def resize(image: Pixels, height: int, width: int) -> Pixels:
    """Return an image at another size, uint8 [height, width, channels]."""
    if image.shape[1] != width:
        image = _to_width(image, width)
    if image.shape[0] != height:
        image = _to_height(image, height)
    return image


def _to_width(image: Pixels, width: int) -> Pixels:
    height, _, channels = image.shape
    taps, weights, bits = _weights(image.shape[1], width)
    places = (taps[:, :, None] * channels + np.arange(channels)).reshape(len(taps), -1)
    weights = np.repeat(weights, channels, axis=1)
    values = image.reshape(height, -1)
    resized = np.empty((height, width * channels), np.uint8)
    for first in range(0, height, ROWS):
        rows = values[first : first + ROWS]
        sums = np.full((len(rows), width * channels), 1 << (bits - 1), np.int32)
        for place, weight in zip(places, weights, strict=True):
            sums += rows.take(place, axis=1) * weight
        resized[first : first + ROWS] = np.minimum(sums >> bits, 255)
    return resized.reshape(height, width, channels)


def _to_height(image: Pixels, height: int) -> Pixels:
    taps, weights, bits = _weights(image.shape[0], height)
    sums = np.full((height, *image.shape[1:]), 1 << (bits - 1), np.int32)
    for place, weight in zip(taps, weights, strict=True):
        sums += image[place] * weight[:, None, None]
    resized: Pixels = np.minimum(sums >> bits, 255).astype(np.uint8)
    return resized


def _weights(size: int, wanted: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], int]:
    """Return what of a row of `size` values each of `wanted` ones is made of.

    Gives the places int64 [taps, wanted], their weights int32 [taps, wanted], and by how many bits
    these are scaled. A triangle as wide as two of the wanted values, or of the given ones where
    they are further apart.
    """
    scale = size / wanted
    reach = max(scale, 1.0)
    centers = scale * (np.arange(wanted) + 0.5)
    first = np.maximum((centers - reach + 0.5).astype(np.int64), 0)
    end = np.minimum((centers + reach + 0.5).astype(np.int64), size)
    places = first + np.arange((end - first).max())[:, None]
    shares = np.maximum(1 - np.abs((places - centers + 0.5) * (1 / reach)), 0.0)
    shares[places >= end] = 0
    shares /= shares.cumsum(0)[-1]  # summed one by one, as torch does
    bits = 0
    while bits < MOST_BITS and int(0.5 + shares.max() * (1 << (bits + 1))) < 1 << WEIGHT_BITS:
        bits += 1
    weights = (shares * (1 << bits) + 0.5).astype(np.int32)
    return np.minimum(places, size - 1), weights, bits
