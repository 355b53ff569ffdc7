"""The inputs of a case: drawn by seed, every row as long as was asked."""

from typing import TYPE_CHECKING

import numpy as np

from bench.cases.case import Case
from tasks.errors import UserError

if TYPE_CHECKING:
    from zoo.deploy.export import Original
    from zoo.runtimes.signature import Signature

TEXT = 16  # tokens that a decoder is given beside its input
SEED = 0


def draw(original: "Original", signature: "Signature", case: Case) -> dict[str, np.ndarray]:
    """The batch, by name.

    Rows are drawn one by one: what a modality draws together is padded, and a length that is asked
    for is every row's.

    Raises `UserError` for a length or batch that the model does not take.
    """
    sizes = sizes_of(original, signature, case)
    rows = [
        original.modality.random_inputs(signature, sizes | {"batch": 1}, original.model, SEED + row)
        for row in range(case.batch_size)
    ]
    drawn = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    signature.check(drawn)
    return drawn


def sizes_of(original: "Original", signature: "Signature", case: Case) -> dict[str, int]:
    """The sizes that vary, by name. Raises `UserError` for a length that there is not."""
    modality, task = original.modality, original.task
    axis, sizes = modality.axis, {"batch": case.batch_size}
    if axis not in signature.inputs[0].dims and axis in signature.limits:
        sizes[axis] = min(TEXT, signature.limits[axis][1] or TEXT)  # of what is written
    elif axis in signature.limits:
        asked = case.length or min(modality.usual_length, signature.limits[axis][1] or np.inf)
        sizes[axis] = modality.positions(asked, signature, task)
        return sizes
    only = modality.fixed_length(signature, task)
    if case.length not in (None, only):
        raise UserError(
            f"{original.checkpoint.entry.name} takes a length of {only:g} only, not {case.length:g}"
        )
    return sizes
