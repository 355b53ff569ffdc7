"""What can be said about boxes, as they are read and as they are varied; light, for the command
line."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tasks.bounds import Bounded, Bounds, Share

BoxFormat = Literal["xywh", "xyxy"]
"""How a box is written: its upper left corner with width and height, as COCO has it, or two
corners."""


@dataclass(frozen=True)
class BoxAugmentArgs(Bounded):
    """How training images with boxes are varied besides, anew in every epoch."""

    mosaic: Share = 0.0
    """share of images that are put together with three others, a quarter of the area each"""
    zoom_out: Annotated[float, Bounds(1, 8)] = 1.0
    """largest factor by which an image is made smaller, with black around it; 1 is off"""
    least_visible: Share = 0.25
    """share of an object's box that must be left in the image, or the object is dropped"""
