"""The sizes of a case: every row is as long as was asked; and the work that they are."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.errors import UserError
from zoo.measure.workload import Workload

if TYPE_CHECKING:
    from zoo.deploy.export import Original
    from zoo.runtimes.signature import Signature

USUAL = {"tokens": 128, "seconds": 1.0}  # length of a sample where none is asked
FRAMES = 100  # of spectrograms, a second
TEXT = 16  # tokens that a decoder is given beside its input


def resolved(original: "Original", signature: "Signature", workload: Workload) -> Workload:
    """Return a workload with the sizes of the signature's axes in the place of a length.

    Raises `UserError` for a length that there is not.
    """
    varying, task = original.domain.VARYING, original.task
    length, sizes = workload.length, {"batch": workload.batch}
    if varying not in signature.inputs[0].dims and varying in signature.limits:
        sizes[varying] = min(TEXT, signature.limits[varying][1] or TEXT)  # of what is written
    elif varying in signature.limits:
        asked = length or min(USUAL[task.unit], signature.limits[varying][1] or np.inf)
        sizes[varying] = round(asked * _per_unit(signature.inputs[0].dims, task))
        return dataclasses.replace(workload, sizes=sizes)
    only = _only_length(signature, task)
    if length not in (None, only):
        raise UserError(
            f"{original.checkpoint.entry.name} takes a length of {only:g} only, not {length:g}"
        )
    return dataclasses.replace(workload, sizes=sizes)


def _per_unit(shape: Sequence[Any], task: Any) -> float:
    """Positions of an input of this shape that a unit of length is."""
    if task.unit != "seconds":
        return 1
    return FRAMES if len(shape) == 3 else float(task.settled.rate)  # a spectrogram, or a wave


def _only_length(signature: "Signature", task: Any) -> float:
    """Of a model whose inputs have one size: the side of an image, or the seconds of a sound."""
    shape = max((port.dims for port in signature.inputs), key=len)
    if task.unit == "seconds":
        return int(shape[_time_axis(task)]) / FRAMES
    return int(shape[-1])


def _time_axis(task: Any) -> int:
    """Of a spectrogram."""
    return 2 if task.settled.bins_first else 1


def work_of(arrays: Mapping[str, np.ndarray], task: Any) -> dict[str, float]:
    """What a call handles: samples, and tokens, pixels or seconds; padding is no work."""
    first = next(iter(arrays.values()))
    samples = len(first)
    if task.unit == "pixels":
        side = arrays["pixel_values"].shape
        return {"samples": samples, "pixels": samples * side[-1] * side[-2]}
    mask = arrays.get("attention_mask")
    axis = _time_axis(task) if first.ndim == 3 else 1
    positions = float(mask.sum()) if mask is not None else float(samples * first.shape[axis])
    return {"samples": samples, task.unit: positions / _per_unit(first.shape, task)}
