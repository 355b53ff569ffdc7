"""What quantization needs of the data: batches to calibrate with, and the size that is timed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tasks.base import Batch, Features, Task
from tasks.errors import UserError
from zoo import signatures
from zoo.proof import arrays
from zoo.quantization.onnx_int8 import Feed

if TYPE_CHECKING:
    from zoo.export import Original, Samples

SAMPLES = 256
BATCH = 8


def feeds(original: "Original", data: str | None) -> list[Feed]:
    """Batches of training samples, as they are without augmentation: never of the split that the
    drop is measured on.

    Raises `UserError` where there is no training data.
    """
    features = original.samples("train", data).features
    return [arrays(batch) for batch in batches(original.task, features)]


def batches(task: Task, features: Features) -> list[Batch]:
    """Batches of samples drawn from all of them, the same each time."""
    rng = np.random.default_rng(0)
    size = min(SAMPLES, len(features))
    chosen = np.sort(rng.choice(len(features), size, replace=False)).tolist()
    rows = features.__getitems__(chosen)
    return [task.collate(rows[i : i + BATCH]) for i in range(0, size, BATCH)]


def workload(
    original: "Original", samples: "Samples", batch_size: int, length: int | None
) -> dict[str, int]:
    """The sizes that are timed: the batch, and the length that was asked for or that of the median
    sample.

    Raises `UserError` for a length where there is only one size.
    """
    features = samples.features
    median = int(np.argsort(features.lengths, kind="stable")[len(features) // 2])
    batch = arrays(original.task.collate(features.__getitems__([median])))
    signature = signatures.of(original.checkpoint, original.model, original.processor)
    sizes = {**signature.check(batch), "batch": batch_size}
    if length is not None:
        varying = original.domain.VARYING
        if varying not in sizes:
            raise UserError(f"--length: {original.checkpoint.entry.name} takes one size only")
        sizes[varying] = length
    return sizes


def draw(original: "Original", sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Inputs of these sizes. Raises `UserError` where the model does not take them."""
    signature = signatures.of(original.checkpoint, original.model, original.processor)
    drawn: dict[str, np.ndarray] = original.domain.draw(signature, sizes, original.model, 0)
    signature.check(drawn)
    return drawn
