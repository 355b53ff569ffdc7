"""What is particular to sound when a model is exported, quantized or measured."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.base import Batch, Task
from zoo.model import loading
from zoo.speech.mel import LogMel

if TYPE_CHECKING:
    from torch import nn

    from zoo.runtimes.signature import Signature

METHODS = ("static",)
"""All networks begin with convolutions, which dynamic int8 ruins."""

VARYING = "length"
"""Samples or frames, as the features are, or tokens that are written."""
LONGEST_SECONDS = 30.0


def load_processor(folder: Path) -> Any:
    """The feature extractor of a checkpoint, with the tokenizer where it writes text."""
    # their own feature extractors
    from zoo.speech import (
        ctc_processor,
        modeling_conformer,  # noqa: F401
        modeling_kws,  # noqa: F401
    )

    if (folder / "tokenizer_config.json").exists():
        return ctc_processor.load_processor(folder)
    return loading.load_feature_extractor(folder)


def load_reader(folder: Path) -> Any:
    """What reads sounds for a program that is no network: the feature extractor of a checkpoint,
    without transformers where it is ours."""
    path = folder / "preprocessor_config.json"
    settings = loading.load_json(folder, path.name) if path.is_file() else {}
    is_ours = settings.get("feature_extractor_type") == "LogMelFeatureExtractor"
    writes_text = (folder / "tokenizer_config.json").exists()
    if not is_ours or writes_text or settings.get("padding_side", "right") != "right":
        return load_processor(folder)
    with loading.told(folder, "feature extractor"):
        found = LogMel.of_settings(settings)
        loading.must_hear(found)
    return found


def probe(task: Task, processor: Any) -> tuple[Batch, Batch]:
    """A small and a large batch, of other lengths."""
    rate: int = task.settled.rate  # type: ignore[attr-defined]
    rng = np.random.default_rng(0)
    sounds = [
        rng.normal(0, 0.1, int(seconds * rate)).astype(np.float32) for seconds in (0.93, 1.37, 1.71)
    ]

    def batch(count: int) -> Batch:
        rows = task.inputs(sounds[:count], processor)
        if hasattr(task, "longest_text"):  # so many tokens of text
            rows = [row | {"ids": [0] * (count + 1)} for row in rows]
        return task.collate(rows)

    return batch(2), batch(3)


def limits(task: Task, model: "nn.Module") -> tuple[int, int | None]:
    """The shortest input that gives two frames, and `LONGEST_SECONDS` of it; of what writes text,
    whose sounds are of one length, the tokens that it has places for.

    Two, because torch.export takes a size of 1 for a constant: what it makes of several frames is
    no program for one.
    """
    import torch

    if hasattr(task, "longest_text"):
        return 1, task.longest_text
    settled = task.settled  # type: ignore[attr-defined]
    if settled.input_name == "input_values":
        least, longest = settled.rate // 40, int(LONGEST_SECONDS * settled.rate)
    else:
        least, longest = 1, int(LONGEST_SECONDS * 100)
    frames = getattr(model, "_get_feat_extract_output_lengths", None)
    while frames is not None and int(frames(torch.tensor([least]))[0]) < 2:
        least += 1
    return least, longest


def draw(
    signature: "Signature", sizes: Mapping[str, int], model: "nn.Module", seed: int
) -> dict[str, np.ndarray]:
    """Noise, and any tokens; every row but the first ends earlier and is padded with zeros where
    there is a mask."""
    rng = np.random.default_rng([seed, *sizes.values()])
    drawn: dict[str, np.ndarray] = {}
    least = signature.limits.get(VARYING, (1, None))[0]
    for port in signature.inputs:
        shape = tuple(sizes[size] if isinstance(size, str) else size for size in port.dims)
        if port.name == "decoder_input_ids":
            config: Any = model.config
            drawn[port.name] = rng.integers(0, config.vocab_size, shape)
        elif port.name != "attention_mask":
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
