"""The sizes of a case: every row is as long as was asked."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from tasks.errors import UserError
from zoo.measure.workload import Workload

if TYPE_CHECKING:
    from zoo.deploy.export import ExportSource
    from zoo.runtimes.signature import Signature

TEXT = 16  # tokens that a decoder is given beside its input


def resolved(original: "ExportSource", signature: "Signature", workload: Workload) -> Workload:
    """Return a workload with the sizes of the signature's axes in place of a length.

    Raises `UserError` for a length that the model does not take.
    """
    modality, task = original.modality, original.task
    axis, length, sizes = modality.axis, workload.length, {"batch": workload.batch}
    if axis not in signature.inputs[0].dims and axis in signature.limits:
        sizes[axis] = min(TEXT, signature.limits[axis][1] or TEXT)  # of what is written
    elif axis in signature.limits:
        asked = length or min(modality.usual_length, signature.limits[axis][1] or np.inf)
        sizes[axis] = modality.positions(asked, signature, task)
        return dataclasses.replace(workload, sizes=sizes)
    only = modality.fixed_length(signature, task)
    if length not in (None, only):
        raise UserError(
            f"{original.checkpoint.entry.name} takes a length of {only:g} only, not {length:g}"
        )
    return dataclasses.replace(workload, sizes=sizes)
