"""What is particular to sound when a model is exported. Also a script:
`python -m zoo.speech.export`."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.base import Batch, Task

if TYPE_CHECKING:
    from torch import nn

    from zoo.runtimes.signature import Signature

VARYING = "length"
"""Samples or frames, as the features are."""
LONGEST_SECONDS = 30.0


def load_processor(folder: Path) -> Any:
    """The feature extractor of a checkpoint, with the tokenizer where it writes text."""
    from transformers import AutoFeatureExtractor

    import zoo.auto  # noqa: F401  own feature extractors
    from zoo.speech import ctc_processor

    if (folder / "tokenizer_config.json").exists():
        return ctc_processor.load_processor(folder)
    return AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)


def probe(task: Task, processor: Any) -> tuple[Batch, Batch]:
    """A small and a large batch, of other lengths."""
    rate: int = task.settled.rate  # type: ignore[attr-defined]
    rng = np.random.default_rng(0)
    sounds = [
        rng.normal(0, 0.1, int(seconds * rate)).astype(np.float32) for seconds in (0.93, 1.37, 1.71)
    ]
    return tuple(  # type: ignore[return-value]
        task.collate(task.inputs(chosen, processor)) for chosen in (sounds[:2], sounds)
    )


def limits(task: Task, model: "nn.Module") -> tuple[int, int | None]:
    """The shortest input that gives a frame, and `LONGEST_SECONDS` of it."""
    import torch

    settled = task.settled  # type: ignore[attr-defined]
    if settled.input_name == "input_values":
        least, longest = settled.rate // 40, int(LONGEST_SECONDS * settled.rate)
    else:
        least, longest = 1, int(LONGEST_SECONDS * 100)
    frames = getattr(model, "_get_feat_extract_output_lengths", None)
    while frames is not None and int(frames(torch.tensor([least]))[0]) < 1:
        least += 1
    return least, longest


def draw(
    signature: "Signature", sizes: Mapping[str, int], model: "nn.Module", seed: int
) -> dict[str, np.ndarray]:
    """Noise; every row but the first ends earlier and is padded with zeros."""
    rng = np.random.default_rng([seed, *sizes.values()])
    drawn: dict[str, np.ndarray] = {}
    least = signature.limits.get(VARYING, (1, None))[0]
    for port in signature.inputs:
        shape = tuple(sizes[size] if isinstance(size, str) else size for size in port.dims)
        if port.name != "attention_mask":
            drawn[port.name] = rng.normal(size=shape).astype(port.dtype)
    if any(port.name == "attention_mask" for port in signature.inputs):
        batch, length = sizes["batch"], sizes[VARYING]
        ends = rng.integers(min(least, length), length + 1, batch)
        ends[0] = length
        mask = np.arange(length) < ends[:, None]
        for array in drawn.values():
            array[~mask] = 0
        drawn["attention_mask"] = mask.astype(np.int64)
    return {port.name: drawn[port.name] for port in signature.inputs}


if __name__ == "__main__":
    from zoo.export_command import main

    sys.exit(main("speech"))
