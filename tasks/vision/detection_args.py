"""What can be said about detection: how its data are read, and what `predict` gives and writes;
light, for the command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tasks.bounds import Bounded, Share
from tasks.errors import UserError
from tasks.vision import image_inputs
from tasks.vision.augment_args import AugmentArgs
from tasks.vision.box_args import BoxAugmentArgs, BoxFormat
from tasks.vision.image_args import ImageArgs

EXAMPLE_INPUT = "--image photo.jpg"
SURE = 0.5  # score of a box that is given unless another is asked for, as transformers has it


@dataclass(frozen=True)
class Args(BoxAugmentArgs, AugmentArgs, ImageArgs):
    """How images and boxes are read."""

    objects_column: str | None = None
    """column of the boxes, in data that has one; found by itself where it has a usual name"""
    box_format: BoxFormat = "xywh"
    """how boxes in that column are written: xywh, as COCO has them, or corners, xyxy; files in
    another format say it themselves"""

    padding: Literal["reflection", "zeros"] = "zeros"
    """what shifts and rotations bring in from outside the image; reflections would be things
    without boxes"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resize == "crop":
            raise UserError("`resize` crop cuts things off that are to be found: stretch or pad")
        if self.mixup or self.cutmix:
            raise UserError("`mixup` and `cutmix` blend labels of images; with boxes give `mosaic`")
        if self.augment == "randaugment":
            raise UserError("`augment` randaugment moves things away from their boxes")
        if self.padding == "reflection":
            raise UserError("`padding` reflection shows things without their boxes: zeros")


@dataclass(frozen=True)
class Inputs(image_inputs.Inputs, Bounded):
    """What is to be looked at, and which boxes are wanted."""

    threshold: Share = SURE
    """least score of a box that is given, from 0 to 1"""
    draw: Path | None = None
    """folder to write each image into, a PNG with the boxes that are given and their labels; small
    images are enlarged, and labels that are not in ASCII are their numbers in id2label of
    config.json"""
    coco: Path | None = None
    """file to write the boxes into as well, a JSON of images, annotations (with their score) and
    categories as COCO has them; its images are named from the folder it lies in"""

    def folders(self) -> dict[str, Path]:
        """Return the folder of pictures, where asked for (`tasks.inputs.DrawsPredictions`)."""
        return {} if self.draw is None else {"draw": self.draw}

    def pictures(
        self, task: Any, item: Mapping[str, Any], prediction: Any, reading: Mapping[str, Any]
    ) -> dict[str, bytes]:
        """Return the picture of a prediction as a PNG file, by the name of its folder."""
        from tasks.vision import box_drawing

        return {"draw": box_drawing.png(item["image"], reading, task.labels)}
