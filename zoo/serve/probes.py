"""Inputs that a service warms up with: of a given length, for any task."""

import io
from typing import Any

import numpy as np

from tasks.base import OfText, Task
from zoo.serve.items import Item, Row, Sound

WORD = "word "
RATE = 16_000
LOUDNESS = 0.1
SIDE = 64
"""Pixels of a side of the picture; the task scales it to its own size."""


def probe(kind: str, task: Task, processor: Any, units: float) -> Item:
    """Return an input of about so many tokens or seconds; an image of any size; a usual row.

    Args:
        kind: see `Description.kind`.
        task: bound to its processor.
    """
    if kind == "text":
        text = WORD * max(1, round(units))
        if not isinstance(task, OfText):
            return text
        if task.pipeline == "fill-mask":  # a mask behind a long text would be beyond what is read
            return f"{task.input_of('', processor).strip()} {text}"
        found: Item = task.input_of(text, processor)
        return found
    noise = np.random.default_rng(0)
    if kind == "row":
        columns: Any = task.schema  # type: ignore[attr-defined]
        return Row(row={one.name: one.example() for one in columns})
    if kind == "image":
        from PIL import Image

        pixels = noise.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()
    wave = noise.normal(0, LOUDNESS, max(1, round(units * RATE))).astype(np.float32)
    return Sound(array=wave, sampling_rate=RATE)
