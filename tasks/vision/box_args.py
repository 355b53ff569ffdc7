"""What can be said about boxes, as they are read and as they are varied; light, for the command
line."""

from dataclasses import dataclass
from typing import Literal

from tasks.bounds import Share
from tasks.vision.composition_args import CompositionArgs

BoxFormat = Literal["xywh", "xyxy"]
"""How a box is written: its upper left corner with width and height, as COCO has it, or two
corners."""


@dataclass(frozen=True)
class BoxAugmentArgs(CompositionArgs):
    """How training images with boxes are varied besides, anew in every epoch."""

    least_visible: Share = 0.25
    """share of an object's box that must be left in the image, or the object is dropped"""
