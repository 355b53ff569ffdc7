"""Boxes drawn over an image, each in the colour of its class, with its label and score."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasks.vision.class_table import palette

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

    from tasks.vision.images import Pixels

VISIBLE = 256
"""Pixels that the shorter side has at least: an image with less is drawn as many times as large."""
LINE, LETTER = 1 / 200, 1 / 28
"""Width of a line and height of a letter, as shares of the shorter side."""
BRIGHT = 140
"""Luma (ITU-R BT.601) of a colour from which on letters on it are black."""


def png(image: "Pixels", reading: Mapping[str, Any], names: Sequence[str]) -> bytes:
    """Return a PNG file of an image with boxes.

    The surest lies on top. A label that has characters beyond ASCII, for which a font may have no
    glyph, is written as its place among `names`: "#3".

    Args:
        image: uint8 [height, width, 1 or 3].
        reading: `boxes` (x0, y0, x1, y1 in pixels of the image), `labels` and `scores`, a list
            each, the surest first.
        names: of all classes.
    """
    from PIL import Image, ImageDraw

    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).convert("RGB")
    times = -(-VISIBLE // min(picture.size)) if min(picture.size) < VISIBLE else 1
    if times > 1:
        sides = (times * picture.width, times * picture.height)
        picture = picture.resize(sides, Image.Resampling.NEAREST)
    canvas, places = ImageDraw.Draw(picture), {name: i for i, name in enumerate(names)}
    colours = palette(len(names) + 1)[1:]  # the first is black
    found = list(zip(*(reading[name] for name in ("boxes", "labels", "scores")), strict=True))
    for box, label, score in reversed(found):
        place = places[label]
        shown = label if label.isascii() and label.isprintable() else f"#{place}"
        corners = [times * x for x in box]
        _draw(canvas, corners, f"{shown} {score:.2f}", colours[place], picture.size)
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def _draw(
    canvas: "ImageDraw",
    box: Sequence[float],
    text: str,
    colour: tuple[int, int, int],
    size: tuple[int, int],
) -> None:
    """Draw a box, and its text on a ground of its colour: above it, or inside where it begins at
    the upper edge; moved to the left where the image ends.

    Args:
        size: width and height of the picture in pixels.
    """
    from PIL import ImageFont

    side = min(size)
    line, font = max(2, round(LINE * side)), ImageFont.load_default(max(10, round(LETTER * side)))
    x0, y0, x1, y1 = box
    canvas.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colour, width=line)
    _, _, width, height = canvas.textbbox((0, 0), text, font=font)
    left = max(0.0, min(x0, size[0] - width - 2 * line))
    top = y0 - height - line if y0 >= height + line else y0
    canvas.rectangle((left, top, left + width + 2 * line, top + height + line), fill=colour)
    red, green, blue = colour
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    letters = (0, 0, 0) if luma >= BRIGHT else (255, 255, 255)
    canvas.text((left + line, top), text, fill=letters, font=font)
