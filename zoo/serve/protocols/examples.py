"""Inputs that work for a model that is served, for documentation and messages."""

import ast
import base64
import functools
import io
import math
import wave
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.serve.description import Description
from zoo.serve.items import Item, Row

TEXT = "the story was moving, and the music fine"
PAIR = (TEXT, "the film was good")
LABELS = ("film", "sports", "cooking")
"""Of weights that label without training."""
SIDE = 28
"""Pixels of the example image."""
RATE, SECONDS, TONE_HZ, LOUDNESS = 16_000, 0.3, 440.0, 0.3
"""Of the example sound."""


def input_of(model: Description) -> Item:
    """Return an input that a model can read: a text as the model's card has it, a usual row, a
    picture of a digit, or a tone."""
    if model.kind == "image":
        return _digit()
    if model.kind == "audio":
        return _tone()
    if model.kind == "row":
        columns: Any = model.task.schema  # type: ignore[attr-defined]
        return Row(row={one.name: one.example() for one in columns})
    if model.takes_pairs:
        return PAIR
    if "fill-mask" in model.pipelines:
        return f"a film that is {model.mask} to watch"
    try:
        text = ast.literal_eval(model.task.example_code(is_english=True))
    except (ValueError, SyntaxError):  # the code computes it, or there is none
        text = TEXT
    return text if isinstance(text, str) and text else TEXT


def as_json(model: Description) -> Any:
    """Return that input as JSON: a file in base64."""
    item = input_of(model)
    if isinstance(item, bytes):
        return base64.b64encode(item).decode("ascii")
    if isinstance(item, Mapping):
        return item["row"]  # type: ignore[typeddict-item]
    return {"text": item[0], "text_pair": item[1]} if isinstance(item, tuple) else item


@functools.cache
def _digit() -> bytes:
    """Return a PNG of a dark seven on white."""
    from PIL import Image, ImageDraw

    image = Image.new("L", (SIDE, SIDE), 255)
    stroke = [(6, 6), (21, 6), (12, 23)]
    ImageDraw.Draw(image).line(stroke, fill=0, width=3)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@functools.cache
def _tone() -> bytes:
    """Return a wav file of 16 bits with a pure tone."""
    count = int(RATE * SECONDS)
    step = 2 * math.pi * TONE_HZ / RATE
    peak = LOUDNESS * 32_767
    samples = b"".join(
        round(peak * math.sin(step * i)).to_bytes(2, "little", signed=True) for i in range(count)
    )
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(RATE)
        written.writeframes(samples)
    return file.getvalue()


def documented(
    bodies: Mapping[str, Any], models: Sequence[Description], form: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return what OpenAPI says of the body of a request, with an example for each model.

    Args:
        bodies: JSON that works, by the name of the model.
        models: those whose files may also come as they are.
        form: the properties of a form of several parts, as JSON Schema, where one is read.
    """
    named = {name: {"summary": name, "value": body} for name, body in bodies.items()}
    shape: dict[str, Any] = {"schema": {"type": "object"}}
    content: dict[str, Any] = {"application/json": {**shape, "examples": named}} if named else {}
    if form is not None:
        schema = {"type": "object", "properties": dict(form)}
        content["multipart/form-data"] = {"schema": schema}
    for kind in ("image", "audio"):
        if any(model.kind == kind for model in models):
            content[f"{kind}/*"] = {"schema": {"type": "string", "format": "binary"}}
    return {"requestBody": {"required": True, "content": content}}
