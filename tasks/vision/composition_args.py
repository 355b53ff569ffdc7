"""What can be said about images made of several; light, for the command line."""

from dataclasses import dataclass
from typing import Annotated

from tasks.bounds import Bounded, Bounds, Share


@dataclass(frozen=True)
class CompositionArgs(Bounded):
    """How training images are put together, anew in every epoch."""

    mosaic: Share = 0.0
    """share of images that are put together with three others, a quarter of the area each"""
    zoom_out: Annotated[float, Bounds(1, 8)] = 1.0
    """largest factor by which an image is made smaller, with black around it; 1 is off"""
