"""What can be said about how image files are read; light, for the command line."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

from tasks.bounds import Bounded, Bounds, Count
from tasks.errors import UserError

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""
WHITE: Colour = (255, 255, 255)
PixelValue = Annotated[float, Bounds(-(2.0**32), 2.0**32)]
ResizeMode = Literal["stretch", "pad", "crop"]


@dataclass(frozen=True)
class ImageArgs(Bounded):
    """How image files become the square that a model sees."""

    image_column: str | None = None
    """column of the image or its path; found by itself where it has a usual name"""
    background: str | None = None
    """colour behind transparent images and beside padded ones: white, black, '#ff8000'; by default
    what the weights were trained with, else white"""
    resize: ResizeMode | None = None
    """stretch: every image becomes a square; pad: whole, with background beside it; crop: its
    middle; by default as the weights were trained, else stretch"""
    value_range: tuple[PixelValue, PixelValue] | None = None
    """values that are black and white in images of more than 8 bits; by default 0 and what holds
    the largest of the training images: 255, 1023, 4095, ..., 1 for decimal numbers"""
    on_bad_file: Literal["skip", "stop"] = "stop"
    """what to do about an image that can't be read"""
    max_pixels: Count = 50_000_000
    """larger images count as bad files: what they claim is not decoded"""

    def __post_init__(self) -> None:
        if self.background is not None:
            colour(self.background)
        if self.resize not in (None, "stretch", "pad", "crop"):
            raise UserError(f"`resize` {self.resize}: stretch, pad or crop")
        if self.value_range is not None:
            # JSON and YAML have no tuples
            object.__setattr__(self, "value_range", _checked_range(self.value_range))
        super().__post_init__()

    @classmethod
    def of_checkpoint(cls, recorded: Mapping[str, Any]) -> Self:
        """Return the arguments that zoo.json records; what was not recorded then was what is the
        default today."""
        args = cls(**recorded)
        return replace(args, background=args.background or "white", resize=args.resize or "stretch")

    @property
    def behind(self) -> Colour:
        """Return the background colour as red, green and blue, 0 to 255."""
        return WHITE if self.background is None else colour(self.background)

    def resolved(self, processor: Any) -> Self:
        """Return the arguments with what the model's processor says wherever nothing was asked for.

        Raises `UserError` where a flag and the processor disagree.
        """
        found: dict[str, Any] = {}
        for name, attribute in SAVED_AS.items():
            asked, known = getattr(self, name), getattr(processor, attribute, None)
            if name == "value_range" and known is not None:
                known = tuple(map(float, known))
            if None not in (asked, known) and asked != known:
                raise UserError(
                    f"`{name}` {asked}: the image processor of these weights says {known}; leave "
                    "the flag away, or start from other weights"
                )
            found[name] = asked if asked is not None else known
        found["background"] = found["background"] or "white"
        found["resize"] = found["resize"] or "stretch"
        return replace(self, **found)


SAVED_AS = {
    "background": "background",
    "resize": "resize_mode",
    "value_range": "value_range",
}
"""Fields of `ImageArgs`, and what they are called in a saved image processor."""


def _checked_range(asked: Any) -> tuple[float, float]:
    try:
        low, high = (float(value) for value in asked)
        if low < high and math.isfinite(low) and math.isfinite(high):
            return low, high
        shown = f"{low:g} {high:g}"
    except (TypeError, ValueError):
        shown = str(asked)
    raise UserError(
        f"`value_range` {shown}: the value that is black, then a larger one that is white, such as "
        "0 4095"
    )


def colour(text: str) -> Colour:
    """The colour of a name or of #rrggbb.

    Raises `UserError` where it is none, or a transparent one.
    """
    from PIL import ImageColor

    try:
        found = ImageColor.getrgb(str(text).strip())
        if len(found) == 3:
            return found
    except ValueError:
        pass  # said below
    raise UserError(
        f"`background` {text} is no colour: give a name such as white, black or gray, or #rrggbb "
        "in hexadecimal digits (quoted: '#ff8000')"
    )


def side_of(processor: Any) -> int:
    """Pixels of a side of the square that an image processor makes.

    Raises `UserError` where it makes none, or one of another size for each image.
    """
    cropped = getattr(processor, "do_center_crop", False)
    size = processor.crop_size if cropped else processor.size
    height, width = (size.get(name) for name in ("height", "width"))
    if height is None or height != width:
        raise UserError(
            f"the image processor of these weights makes images of {dict(size)}, and only squares "
            "of one size are known here: give other weights"
        )
    return int(height)
