"""Inputs of a request, as the front hands them to a worker: in JSON, with bytes beside it.

An item is a text, a pair of texts, a chat, the content of an image or sound file, a sound as
samples, or a row of a table. Never a path or a URL: a request opens no file, and fetches nothing.
"""

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np


class Sound(TypedDict):
    """Samples of a sound."""

    array: "np.ndarray"
    """float32 [n], from -1 to 1"""
    sampling_rate: int


class Chat(TypedDict):
    """What was said so far, for a model that answers."""

    messages: list[dict[str, str]]
    """each with `role` and `content`"""


class Row(TypedDict):
    """A row of a table."""

    row: dict[str, Any]
    """values by the names of their columns; None where one is not known"""


Item = str | tuple[str, str] | bytes | Sound | Chat | Row


NAMES = {"messages": "chat", "row": "row"}
"""What items are that are mappings, by a key; those without one are sounds."""


def to_wire(item: Item, blobs: list[bytes]) -> Any:
    """Return an item as JSON; what is bytes is added to `blobs` and named by its place there."""
    if isinstance(item, str):
        return item
    if isinstance(item, tuple):
        return list(item)
    if isinstance(item, bytes):
        blobs.append(item)
        return {"blob": len(blobs) - 1}
    if "messages" in item or "row" in item:
        return item
    blobs.append(np.ascontiguousarray(item["array"], np.float32).tobytes())
    return {"blob": len(blobs) - 1, "sampling_rate": item["sampling_rate"]}


def from_wire(written: Any, blobs: Sequence[bytes]) -> Item:
    """Return the item that `to_wire` has written."""
    if isinstance(written, str):
        return written
    if isinstance(written, list):
        return str(written[0]), str(written[1])
    if "messages" in written:
        return Chat(messages=written["messages"])
    if "row" in written:
        return Row(row=written["row"])
    content: bytes = blobs[written["blob"]]
    if "sampling_rate" not in written:
        return content
    return Sound(
        array=np.frombuffer(content, np.float32), sampling_rate=int(written["sampling_rate"])
    )


def kind_of(item: Item) -> str:
    """Return what an item is: "text", "pair", "chat", "row", "file" or "samples"; only items of one
    kind are prepared together."""
    if isinstance(item, str):
        return "text"
    if isinstance(item, tuple):
        return "pair"
    if isinstance(item, bytes):
        return "file"
    return next((name for key, name in NAMES.items() if key in item), "samples")
