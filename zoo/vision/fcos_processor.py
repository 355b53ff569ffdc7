"""The image processor of fcos_det, as transformers saves, loads and pipes it: images as the zoo
reads them, and boxes out of what the detector predicts at its points."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import BatchFeature, ViTImageProcessor

from tasks.arrays import to_numpy
from tasks.vision import boxes, images, pixels
from tasks.vision.boxes import Placement
from tasks.vision.image_args import side_of
from zoo.vision import image_processor


def of_detector(plain: Any, strides: Sequence[int]) -> "FcosImageProcessor":
    """Return the processor of a detector that reads images as another one does.

    Args:
        plain: what `zoo.vision.image_processor.make_processor` gave.
        strides: pixels between the points of each level.
    """
    made: FcosImageProcessor = image_processor.make_processor(
        side_of(plain),
        plain.image_mean,
        plain.image_std,
        image_processor.reading_of(plain),
        partial(FcosImageProcessor, strides=list(strides)),
    )
    return made


class FcosImageProcessor(ViTImageProcessor):  # type: ignore[misc]
    """An image processor from images to `pixel_values` [b, 3, size, size], and from a detector's
    outputs to boxes.

    Beside what `zoo.vision.image_processor.make_processor` gives it has `strides`, the pixels
    between the points of each level.
    """

    def preprocess(
        self, images: Any, *args: Any, return_tensors: str | None = None, **kwargs: Any
    ) -> BatchFeature:
        """Return `pixel_values` float32 of one image or several: PIL's, or arrays uint8 [height,
        width, 3]."""
        several = isinstance(images, Sequence)
        squares = [self._square(one) for one in (images if several else [images])]
        made = pixels.normalised(squares, self.image_mean, self.image_std)
        values = np.ascontiguousarray(made)
        return BatchFeature({"pixel_values": values}, tensor_type=return_tensors)

    def _square(self, image: Any) -> pixels.Pixels:
        reading = image_processor.reading_of(self)
        opened = images.open_any(image, background=reading.behind, value_range=reading.value_range)
        return images.fit(opened, side_of(self), reading.resize or "stretch", reading.behind)

    def post_process_object_detection(
        self, outputs: Any, threshold: float = 0.5, target_sizes: Any = None
    ) -> list[dict[str, Tensor]]:
        """Return the things found in each image: `scores` float32 [k], `labels` int64 [k] and
        `boxes` float32 [k, 4], the surest first.

        Args:
            outputs: of the detector, for b images.
            threshold: least score.
            target_sizes: height and width of each image, [b, 2], in whose pixels the boxes are to
                be; None: in pixels of the input.
        """
        names = ("logits", "boxes_xyxy", "centerness")
        found = boxes.of_points({name: to_numpy(outputs[name].float()) for name in names})
        rows = []
        for i, one in enumerate(found):
            corners = one.boxes
            if target_sizes is not None:
                height, width = (int(side) for side in target_sizes[i])
                place = Placement.of(height, width, side_of(self), self.resize_mode)
                corners = place.to_image(corners, height, width)
            sure = one.scores > threshold
            rows.append(
                {
                    "scores": torch.from_numpy(one.scores[sure]),
                    "labels": torch.from_numpy(one.labels[sure]),
                    "boxes": torch.from_numpy(corners[sure]),
                }
            )
        return rows
