"""The sizes of a case: every row is as long as was asked."""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.errors import UserError
from zoo.measure.workload import Generate, Workload

if TYPE_CHECKING:
    from zoo.deploy.export import ExportSource
    from zoo.runtimes.signature import Signature

TEXT = 16  # tokens that a decoder is given beside its input


def resolved(original: "ExportSource", signature: "Signature", workload: Workload) -> Workload:
    """Return a workload with the sizes of the signature's axes in place of a length.

    Raises `UserError` for a length that the model does not take, or that leaves no room for what is
    to be written behind it.
    """
    modality, task = original.modality, original.task
    axis, length, sizes = modality.axis, workload.length, {"batch": workload.batch}
    if axis not in signature.inputs[0].dims and axis in signature.limits:
        sizes[axis] = min(TEXT, signature.limits[axis][1] or TEXT)  # of what is written
    elif axis in signature.limits:
        most = min(signature.limits[axis][1] or np.inf, _room(original, workload))
        asked = length or min(modality.usual_length, most)
        sizes[axis] = modality.positions(asked, signature, task)
        return dataclasses.replace(workload, sizes=sizes)
    only = modality.fixed_length(signature, task)
    if length not in (None, only):
        raise UserError(
            f"{original.checkpoint.entry.name} takes a length of {only:g} only, not {length:g}"
        )
    return dataclasses.replace(workload, sizes=sizes)


def _room(original: "ExportSource", workload: Workload) -> float:
    """Return the tokens that a prompt may have at most; infinity where nothing is written behind
    it. Raises `UserError` where the workload's length is more, or there is no room at all."""
    writer: Any = getattr(original.model, "write", None)
    if not isinstance(workload, Generate) or writer is None:
        return np.inf
    room: int = writer.context - workload.new_tokens
    if max(1, workload.length or 1) > room:
        raise UserError(
            f"{workload.length or 1:g} tokens of a prompt and {workload.new_tokens} new ones are "
            f"more than the {writer.context:,} that {original.checkpoint.entry.name} sees at once"
        )
    return room
