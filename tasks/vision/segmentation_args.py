"""What can be said about segmentation: its data, its windows, its loss, and what `predict` writes;
light, for the command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tasks.bounds import BelowOne, Bounds, NotNegative
from tasks.errors import UserError
from tasks.vision.augment_args import AugmentArgs
from tasks.vision.composition_args import CompositionArgs
from tasks.vision.image_args import ImageArgs
from tasks.vision.image_inputs import Inputs as ImageInputs

EXAMPLE_INPUT = "--image photo.jpg"


@dataclass(frozen=True)
class Args(CompositionArgs, AugmentArgs, ImageArgs):
    """How images and masks are read and learned from."""

    mask_column: str | None = None
    """column of the mask or its path; found by itself where it has a usual name"""
    classes: str | None = None
    """file that lists the classes, a line each: a name, and its colour where masks are in colours
    (csv, txt, json); by default one beside the data, else the numbers in the masks"""
    ignore_index: Annotated[int, Bounds(-1, 65535)] = 255
    """number of the pixels of a mask that do not count; -1: all of them do"""
    windows: bool = False
    """see images at their own size, through windows of `image_size` that overlap, in place of
    resizing them; training sees one window of each, at random"""
    window_overlap: BelowOne = 0.25
    """share of a window that the next one sees too, at least; their logits are averaged there"""
    dice_weight: NotNegative = 0.0
    """weight of the Dice loss of each image beside the cross entropy of its pixels"""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: in the cross entropy a pixel weighs n / (classes * the pixels of its class), as in
    scikit-learn, counted over the masks of train"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resize in ("crop", "pad"):
            raise UserError(
                f"`resize` {self.resize}: every pixel of an image is given a class, and only"
                " stretch shows a network all of them at once; `windows` keeps their size"
            )
        if self.mixup or self.cutmix:
            raise UserError(
                "`mixup` and `cutmix` blend labels, and masks have one class a pixel; `mosaic` puts"
                " images together"
            )
        if self.windows and (self.mosaic or self.zoom_out > 1):
            raise UserError(
                "`windows` shows images at their own size: no `mosaic` and no `zoom_out`"
            )
        if self.augment == "randaugment":
            raise UserError("`augment` randaugment moves images away from their masks: default")


@dataclass(frozen=True)
class Inputs(ImageInputs):
    """What is to be looked at, and where pictures of the result go."""

    mask: Path | None = None
    """folder to write a mask of each image into, a PNG of the numbers that the
    classes have in masks, with a palette of their colours"""
    overlay: Path | None = None
    """folder to write each image into, under the colours of its classes"""

    def folders(self) -> dict[str, Path]:
        """Return the folders of pictures that were asked for (`tasks.inputs.DrawsPredictions`)."""
        asked = {"mask": self.mask, "overlay": self.overlay}
        return {name: folder for name, folder in asked.items() if folder is not None}

    def pictures(
        self, task: Any, item: Mapping[str, Any], prediction: Any, reading: Mapping[str, Any]
    ) -> dict[str, bytes]:
        """Return the pictures of a prediction as PNG files, by the names of `folders`."""
        from tasks.vision import class_maps

        found = {}
        if self.mask is not None:
            found["mask"] = class_maps.mask_png(prediction.classes, task.table)
        if self.overlay is not None:
            drawn = class_maps.overlay(item["image"], prediction.classes, task.table)
            found["overlay"] = class_maps.png(drawn)
        return found
