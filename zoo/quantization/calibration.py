"""What quantization needs of the data: batches to calibrate with, and the size that is timed."""

from typing import TYPE_CHECKING

import numpy as np

from tasks.base import Generates, OfText
from tasks.errors import UserError
from tasks.writes import Writes
from zoo.deploy import timed
from zoo.deploy.proof import arrays
from zoo.evaluation.calibration_batches import batches
from zoo.measure.workload import NEW_TOKENS, Forward, Generate, Workload
from zoo.quantization.onnx_int8 import Feed
from zoo.runtimes import probe

if TYPE_CHECKING:
    from zoo.deploy.export import EvalSplit, ExportSource


def feeds(original: "ExportSource", data: str | None) -> list[Feed]:
    """Return batches of training samples without augmentation for calibration, never of the split
    on which the metric drop is measured.

    Raises `UserError` where there is no training data.
    """
    features = original.samples("train", data).features
    return [arrays(batch) for batch in batches(original.task, features)]


def workload(
    original: "ExportSource", samples: "EvalSplit", batch_size: int, length: int | None
) -> Workload:
    """Return the workload to time: a batch of the requested length, or of the median sample's
    length; of a model that goes on with texts, so many tokens behind prompts of that length, and of
    one that writes texts from texts, so many from sources of that length.

    Raises `UserError` for a length where there is only one size, and for one that leaves no room
    for what is to be written.
    """
    features = samples.features
    median = int(np.argsort(features.lengths, kind="stable")[len(features) // 2])
    batch = arrays(original.task.collate(features.__getitems__([median])))
    signature = probe.infer_signature(original.checkpoint, original.model, original.processor)
    sizes = {**signature.check(batch), "batch": batch_size}
    if length is not None:
        varying = original.modality.axis
        if varying not in sizes:
            raise UserError(f"`length`: {original.checkpoint.entry.name} takes one size only")
        sizes[varying] = length
    if isinstance(original.task, Generates) and isinstance(original.task, OfText):
        sources = {name: sizes[name] for name in ("batch", original.modality.axis)}
        return Generate(sources, min(NEW_TOKENS, original.task.longest_text))
    if not isinstance(original.task, Writes):
        return Forward(sizes)
    longest = signature.limits[original.modality.axis][1]
    assert longest is not None, "a text has an end"
    new_tokens = min(NEW_TOKENS, longest // 2)
    room = longest - new_tokens
    if length is not None and length > room:
        raise UserError(
            f"`length` {length}: behind a prompt {new_tokens} tokens are written, and this model "
            f"sees {longest:,} at once: at most {room:,}"
        )
    prompt = {original.modality.axis: min(sizes[original.modality.axis], room)}
    return Generate({**sizes, **prompt}, new_tokens)


def draw(original: "ExportSource", workload: Workload) -> dict[str, np.ndarray]:
    """Return random inputs of a workload, by name. Raises `UserError` if the model does not take
    them."""
    signature = probe.infer_signature(original.checkpoint, original.model, original.processor)
    return timed.random_inputs(original, signature, workload)
