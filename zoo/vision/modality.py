"""Images: pixels of the one size that a processor resizes them to."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.base import Batch, Task
from zoo.model.modality import Modality

if TYPE_CHECKING:
    from torch import nn

    from zoo.runtimes.signature import Signature


class Image(Modality):
    """Pixels float32 [batch, channels, height, width], normalised."""

    name = "vision"
    axis = "size"  # nothing has this name so far: a processor has one size
    unit = "pixels"

    def load_processor(self, folder: Path) -> Any:
        """The image processor."""
        from zoo.vision import image_processor

        return image_processor.load_processor(folder)

    def load_reader(self, folder: Path) -> Any:
        """What the image processor says."""
        from zoo.vision import image_processor

        return image_processor.load_settings(folder)

    def example_inputs(self, task: Task, processor: Any) -> tuple[Batch, Batch]:
        """Noise in RGB."""
        from PIL import Image as Picture

        rng = np.random.default_rng(0)
        images = [Picture.fromarray(rng.integers(0, 255, (40, 40, 3), np.uint8)) for _ in range(3)]
        small, large = (task.collate(task.inputs(chosen)) for chosen in (images[:2], images))
        return small, large

    def random_inputs(
        self, signature: "Signature", sizes: Mapping[str, int], model: "nn.Module", seed: int
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

    def bounds(self, task: Task, model: "nn.Module") -> tuple[int, int | None]:
        """Pixels of a side."""
        return 1, None

    def fixed_length(self, signature: "Signature", task: Task) -> float:
        """Pixels of a side."""
        return int(max((port.dims for port in signature.inputs), key=len)[-1])

    def work(self, arrays: Mapping[str, np.ndarray], task: Task) -> dict[str, float]:
        """Pixels of all images, each counted once for all its channels."""
        batch, _, height, width = arrays["pixel_values"].shape
        return {"samples": batch, self.unit: batch * height * width}

    def describe_inputs(self, task: Task) -> Iterator[str]:
        """The side that images are resized to."""
        size: int = task.size  # type: ignore[attr-defined]
        yield f"Every image is resized to {size} × {size} pixels; finer detail is lost."


MODALITY = Image()
