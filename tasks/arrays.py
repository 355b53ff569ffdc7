"""What predictions are read from, in numpy: it is at hand where torch is not imported."""

from typing import Any

import numpy as np
import numpy.typing as npt


def to_numpy(values: Any) -> npt.NDArray[Any]:
    """Return numpy's array of a tensor or array, wherever it lies."""
    array: npt.NDArray[Any]
    array = values if isinstance(values, np.ndarray) else values.detach().cpu().numpy()
    return array


def softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the probabilities float32 [..., classes] of logits; nan where one of them is nan."""
    with np.errstate(invalid="ignore"):
        powers: npt.NDArray[np.float32] = np.exp(logits - logits.max(-1, keepdims=True))
        powers /= powers.sum(-1, keepdims=True)
    return powers


def sigmoid(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the probabilities float32 [..., classes] of logits, each class by itself."""
    with np.errstate(over="ignore"):  # of what is surely not: 1 / inf is 0, as it should be
        powers: npt.NDArray[np.float32] = np.exp(-logits)
    powers += 1
    return np.reciprocal(powers)


def means(values: npt.NDArray[np.float32], owners: npt.NDArray[np.int64], count: int) -> Any:
    """Return the mean float32 [count, ...] of the rows of `values` [n, ...] that belong to each of
    `count` owners, int64 [n]."""
    sums = np.zeros((count, *values.shape[1:]), values.dtype)
    np.add.at(sums, owners, values)
    counts = np.bincount(owners, minlength=count).astype(values.dtype)
    return sums / counts.reshape(-1, *(1 for _ in values.shape[1:]))
