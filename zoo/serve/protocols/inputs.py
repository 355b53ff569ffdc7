"""Inputs of a model out of a request, whatever it was written in: JSON, a form, a file as it is.

Each error names the field of the request, and says what this model takes instead. A text is never
taken for a path or a URL.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tasks import json_files
from tasks.errors import UserError
from zoo.serve.description import Description
from zoo.serve.errors import BadRequest, TooManyInputs
from zoo.serve.items import Item, Row, Sound
from zoo.serve.protocols.bodies import (
    check_names,
    count_of,
    list_of,
    name_of,
    parse_base64,
    text_of,
)

FILES = {"image": "an image file", "audio": "a sound file"}
"""What an input is, by the kind of its model, where that is a file."""
FILE_KEYS = ("b64", "b64_json", "bytes", "base64")
"""Names under which JSON has the content of a file."""
SOUND_KEYS = ("array", "raw")
"""Names under which JSON has the samples of a sound."""


def wanted(model: Description) -> str:
    """Return what an input of a model is, for messages: "a text"."""
    if model.kind == "text":
        return "a pair of texts" if model.takes_pairs else "a text"
    if model.kind == "row":
        return "a row, an object of columns and values"
    return FILES[model.kind]


def input_of(value: Any, model: Description, field: str) -> Item:
    """Return one input out of JSON.

    A text; for a model of pairs two texts in a list, or an object of `text` and `text_pair`. An
    image or sound in base64, or as a data URL; a sound also as an object of `array`, samples from
    -1 to 1, and `sampling_rate`. A row as an object of columns and values, or that as a text.

    Args:
        field: the field of the request that holds it.

    Raises `UserError` for anything else.
    """
    if model.kind == "text":
        return _pair_of(value, model, field) if model.takes_pairs else _text(value, model, field)
    if model.kind == "row":
        return _row_of(value, model, field)
    if isinstance(value, Mapping):
        for key in FILE_KEYS:
            if key in value:
                check_names(value, (key,), f"`{field}`")
                return input_of(text_of(value[key], key), model, field)
        if model.kind == "audio":
            return _sound_of(value, field)
    if not isinstance(value, str):
        raise _other(name_of(value), model, field)
    return parse_base64(value, field, FILES[model.kind])


def file_of(content: bytes, model: Description, field: str, content_type: str = "") -> Item:
    """Return one input that came as a file, or for a model of texts or rows as plain text.

    Raises:
        BadRequest: a text that is not UTF-8.
        UserError: a file of another kind than the model takes, by its type, and an empty one.
    """
    family = content_type.partition("/")[0]
    is_sound = family == "video" and model.kind == "audio"  # what some call every .ogg and .mp4
    fits = is_sound or family == model.kind or (family == "text" and model.kind == "row")
    if family in ("image", "audio", "video", "text") and not fits:
        raise _other(f"{content_type} by its type", model, field)
    if not content:
        raise UserError(f"`{field}` is empty", field, f"{model.name} takes {wanted(model)}")
    if model.kind in FILES:
        return content
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8 text (byte {error.start:,})") from None
    return input_of(text, model, field)


def items_of(value: Any, model: Description, field: str, most: int) -> tuple[list[Item], bool]:
    """Return the inputs that stand in a field of JSON, and whether they came as a list.

    For a model of pairs two texts in a list are one input, and a list of such pairs are several.

    Args:
        most: inputs in one request.

    Raises:
        TooManyInputs: there are more.
        UserError: one is of another kind than the model takes.
    """
    is_pair = model.takes_pairs and isinstance(value, list) and _are_texts(value)
    if not isinstance(value, list) or is_pair:
        return [input_of(value, model, field)], False
    must_fit(len(value), most)
    return [input_of(one, model, field) for one in value], True


def must_fit(count: int, most: int) -> None:
    """Raise `TooManyInputs` for more inputs than a request may have, before any is looked at."""
    if count > most:
        raise TooManyInputs(count, most)


def _are_texts(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(one, str) for one in values)


def _text(value: Any, model: Description, field: str) -> str:
    if isinstance(value, Mapping) and set(value) == {"text"}:
        value = value["text"]
    if not isinstance(value, str):
        raise _other(name_of(value), model, field)
    return value


def _pair_of(value: Any, model: Description, field: str) -> tuple[str, str]:
    if isinstance(value, Mapping):
        check_names(value, ("text", "text_pair"), f"`{field}`")
        value = [value.get("text"), value.get("text_pair")]
    if not isinstance(value, list) or len(value) != 2:
        raise _other(name_of(value), model, field, "send {text, text_pair} or [text, text_pair]")
    first, second = list_of(value, field, text_of)
    return first, second


def _row_of(value: Any, model: Description, field: str) -> Row:
    if isinstance(value, str):  # as forms and tensors have it
        try:
            value = json_files.parse(value, strict=True)
        except ValueError:
            raise _other("a text that is no JSON", model, field) from None
    if not isinstance(value, Mapping):
        raise _other(name_of(value), model, field)
    return Row(row=dict(value))


def _sound_of(value: Mapping[str, Any], field: str) -> Sound:
    """Return a sound out of its samples."""
    check_names(value, (*SOUND_KEYS, "sampling_rate"), f"`{field}`")
    key = next((key for key in SOUND_KEYS if key in value), None)
    if key is None or "sampling_rate" not in value:
        wants = "array and sampling_rate, or a sound file in base64"
        raise UserError(f"`{field}` is an object without {wants}", field)
    samples = value[key]
    if not isinstance(samples, list) or not samples:
        raise UserError(f"`{key}` is {name_of(samples)}, and not a list of samples", key)
    try:
        array = np.asarray(samples)
    except ValueError:  # lists of several lengths
        array = np.zeros((0, 0), object)
    if array.ndim != 1 or array.dtype.kind not in "if":
        raise UserError(f"`{key}` is no list of numbers, the samples of one channel", key)
    rate = count_of(value["sampling_rate"], "sampling_rate")
    with np.errstate(over="ignore"):  # whoever decodes refuses what is not finite
        return Sound(array=array.astype(np.float32), sampling_rate=rate)


def _other(given: str, model: Description, field: str, hint: str | None = None) -> UserError:
    """Return the error of an input that is of another kind than the model takes."""
    does = f"takes {wanted(model)} ({', '.join(model.pipelines)})"
    return UserError(f"`{field}` is {given}, and {model.name} {does}", field, hint)
