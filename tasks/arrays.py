"""Arithmetic of predictions on numpy's arrays, which are at hand where torch is not imported."""

from typing import Any

import numpy as np
import numpy.typing as npt


def module_of(values: Any) -> Any:
    """Return the module, numpy or torch, of an array or tensor; many functions have one name in
    both."""
    if isinstance(values, np.ndarray):
        return np
    import torch

    return torch


def to_numpy(values: Any) -> npt.NDArray[Any]:
    """Return a tensor or array as a numpy array in the host's memory."""
    array: npt.NDArray[Any]
    array = values if isinstance(values, np.ndarray) else values.detach().cpu().numpy()
    return array


def to_float32(values: Any) -> Any:
    """Return a tensor or array in float32; it is not copied if it already is float32."""
    is_array = isinstance(values, np.ndarray)
    return values.astype(np.float32, copy=False) if is_array else values.float()


def softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the softmax of logits over the last axis, float32 [..., classes]; rows with a nan
    become nan."""
    with np.errstate(invalid="ignore"):
        powers: npt.NDArray[np.float32] = np.exp(logits - logits.max(-1, keepdims=True))
        powers /= powers.sum(-1, keepdims=True)
    return powers


def sigmoid(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the sigmoid of each logit, float32 [..., classes]."""
    with np.errstate(over="ignore"):  # of what is surely not: 1 / inf is 0, as it should be
        powers: npt.NDArray[np.float32] = np.exp(-logits)
    powers += 1
    return np.reciprocal(powers)


def means(
    values: npt.NDArray[np.float32], owners: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.float32]:
    """Return the mean rows, float32 [count, n]: row i is the mean of the rows of `values` [rows, n]
    whose entry in `owners`, int64 [rows], is i."""
    sums = np.zeros((count, values.shape[-1]), np.float32)
    np.add.at(sums, owners, values)
    sums /= np.bincount(owners, minlength=count)[:, None].astype(np.float32)
    return sums
