"""What is particular to images when a model is exported, quantized or measured."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.base import Batch, Task

if TYPE_CHECKING:
    from torch import nn

    from zoo.runtimes.signature import Signature

METHODS = ("static",)
"""Dynamic int8 ruins convolutions, those that make the patches of a ViT too."""

VARYING = "size"
"""Images come in the one size of the processor, so nothing has this name so far."""


def load_processor(folder: Path) -> Any:
    """The processor of a checkpoint."""
    from zoo.vision import image_processor

    return image_processor.load_processor(folder)


def load_reader(folder: Path) -> Any:
    """What reads images for a program that is no network: what the processor of a checkpoint
    says."""
    from zoo.vision import image_processor

    return image_processor.load_settings(folder)


def probe(task: Task, processor: Any) -> tuple[Batch, Batch]:
    """A small and a large batch."""
    from PIL import Image

    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 255, (40, 40, 3), np.uint8)) for _ in range(3)]
    return tuple(  # type: ignore[return-value]
        task.collate(task.inputs(chosen, processor)) for chosen in (images[:2], images)
    )


def limits(task: Task, model: "nn.Module") -> tuple[int, int | None]:
    """Pixels of a side."""
    return 1, None


def draw(
    signature: "Signature", sizes: Mapping[str, int], model: "nn.Module", seed: int
) -> dict[str, np.ndarray]:
    """Noise with the mean and spread of normalised images; orders of patches, where wanted."""
    rng = np.random.default_rng([seed, *sizes.values()])
    drawn = {}
    for port in signature.inputs:
        shape = tuple(sizes[size] if isinstance(size, str) else size for size in port.dims)
        values = rng.normal(size=shape)
        orders = port.dtype == "int64"  # masked autoencoding: which patches are hidden
        drawn[port.name] = (values.argsort(-1) if orders else values).astype(port.dtype)
    return drawn
