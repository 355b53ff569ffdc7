"""An image as a grid of square patches, and which of them a masked autoencoder sees."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tasks.randomness import EpochView, SampleRandom

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

FIXED = EpochView(seed=0, epoch=0)
"""The one masking that every evaluation uses."""
MOST = 1 << 24  # patches of an image that have a number of their own
SMALLEST_VARIANCE = 1e-6  # of a patch, as in the code of He et al.


def usual_patch(size: int) -> int:
    """Side of a patch for new weights: an eighth of the image's, at most 16, at least 4."""
    return min(16, max(4, size // 8))


def shuffles(view: EpochView, samples: "Sequence[int]", patches: int) -> npt.NDArray[np.int64]:
    """Return an order of the patches for each sample, int64 [samples, patches]; the first are seen.

    A pure function of (seed, epoch, sample).
    """
    first = np.asarray(samples, np.int64)[:, None] * MOST
    noise = SampleRandom(view, (first + np.arange(patches)).ravel()).uniform("patch")
    return np.argsort(noise.reshape(len(samples), patches), axis=1, kind="stable")


def seen(patches: int, mask_ratio: float) -> int:
    """Return how many patches are seen: at least one, and at least one is hidden."""
    return min(patches - 1, max(1, round(patches * (1 - mask_ratio))))


def patchify(pixels: "Tensor", size: int) -> "Tensor":
    """Pixels [b, channels, h, w] as patches [b, patches, size * size * channels], row by row."""
    b, channels, h, w = pixels.shape
    grid = pixels.reshape(b, channels, h // size, size, w // size, size)
    return grid.permute(0, 2, 4, 3, 5, 1).reshape(b, (h // size) * (w // size), -1)


def painting_errors(painted: "Tensor", pixels: "Tensor", hidden: "Tensor", size: int) -> "Tensor":
    """The mean squared error of each hidden patch, float32 [b, hidden].

    Args:
        painted: float32 [b, patches, size * size * channels].
        pixels: float [b, channels, h, w].
        hidden: int64 [b, hidden], which patches were not seen.
    """
    places = hidden[:, :, None]
    target = normalised(patchify(pixels, size))
    errors: Tensor = (painted.take_along_dim(places, 1) - target.take_along_dim(places, 1)) ** 2
    return errors.mean(-1)


def normalised(patches: "Tensor") -> "Tensor":
    """Return each patch [..., values] with mean 0 and variance 1 (He et al. 2022, section 4.1)."""
    mean = patches.mean(-1, keepdim=True)
    variance = patches.var(-1, keepdim=True)
    scaled: Tensor = (patches - mean) / (variance + SMALLEST_VARIANCE).sqrt()
    return scaled
