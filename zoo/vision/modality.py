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
    """Image inputs: pixels float32 [batch, channels, height, width], normalised."""

    name = "vision"
    axis = "size"  # nothing has this name so far: a processor has one size
    unit = "pixels"

    def load_processor(self, folder: Path) -> Any:
        """Return the image processor of a checkpoint."""
        from zoo.vision import image_processor

        return image_processor.load_processor(folder)

    def load_reader(self, folder: Path) -> Any:
        """Return the settings of a checkpoint's image processor."""
        from zoo.vision import image_processor

        return image_processor.load_settings(folder)

    def example_inputs(self, task: Task, processor: Any) -> tuple[Batch, Batch]:
        """Return a small and a large batch of random RGB images."""
        from PIL import Image as Picture

        rng = np.random.default_rng(0)
        images = [Picture.fromarray(rng.integers(0, 255, (40, 40, 3), np.uint8)) for _ in range(3)]
        small, large = (task.collate(task.inputs(chosen)) for chosen in (images[:2], images))
        return small, large

    def random_inputs(
        self, signature: "Signature", sizes: Mapping[str, int], model: "nn.Module", seed: int
    ) -> dict[str, np.ndarray]:
        """Return noise with the mean and spread of normalised images, and random patch orders if
        the model takes them."""
        rng = np.random.default_rng([seed, *sizes.values()])
        drawn = {}
        for port in signature.inputs:
            shape = tuple(sizes[size] if isinstance(size, str) else size for size in port.dims)
            values = rng.normal(size=shape)
            orders = port.dtype == "int64"  # masked autoencoding: which patches are hidden
            drawn[port.name] = (values.argsort(-1) if orders else values).astype(port.dtype)
        return drawn

    def bounds(self, task: Task, model: "nn.Module") -> tuple[int, int | None]:
        """Return the least and the largest side of an image, in pixels."""
        return 1, None

    def row_size(self, row: Mapping[str, Any]) -> tuple[int, int]:
        """Return one row of so many pixels."""
        height, width = row["image"].shape[:2]
        return 1, height * width

    def fixed_length(self, signature: "Signature", task: Task) -> float:
        """Return the side, in pixels, of images of fixed size."""
        return int(max((port.dims for port in signature.inputs), key=len)[-1])

    def work(self, arrays: Mapping[str, np.ndarray], task: Task) -> dict[str, float]:
        """Return the number of images and their pixels, each counted once for all its channels."""
        batch, _, height, width = arrays["pixel_values"].shape
        return {"samples": batch, self.unit: batch * height * width}

    def describe_inputs(self, task: Task) -> Iterator[str]:
        """Yield the side that images are resized to, for a card."""
        size: int = task.size  # type: ignore[attr-defined]
        yield f"Every image is resized to {size} × {size} pixels; finer detail is lost."


MODALITY = Image()
