"""What a request gives as an input, checked against the model that it is for."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tasks.errors import UserError
from zoo.serve.description import Description
from zoo.serve.items import Item, Sound

URL = re.compile(r"\s*(?:https?|ftp|file|s3|gs|hf)://", re.IGNORECASE)
DATA = re.compile(r"data:[\w.+/-]*(?:;[\w.=-]+)*;base64,", re.ASCII)
"""The head of a data URI (RFC 2397) in base64."""
RATES = (1_000, 384_000)
"""Samples in a second, at least and at most."""
PARAMETERS = ("top_k",)


def item_of(model: Description, value: Any, field: str) -> Item:
    """Return a value of JSON as an input of a model.

    Args:
        field: the name under which it was given, for errors.

    Raises `UserError` for a value that is no such input.
    """
    if model.kind == "text":
        return _text(model, value, field)
    if isinstance(value, Mapping) and model.kind == "audio":
        return _samples(value, field)
    return _file(model, value, field)


def file_of(model: Description, content: bytes, field: str) -> Item:
    """Return the content of an uploaded file as an input of a model.

    Raises `UserError` where it is empty, or of a model of texts is not UTF-8.
    """
    if not content:
        raise UserError(f"the {model.kind} is empty", field)
    if model.kind != "text":
        return content
    try:
        return _text(model, content.decode("utf-8"), field)
    except UnicodeDecodeError:
        raise UserError(
            f"{model.name} reads text, and this is not UTF-8", field, "send JSON, or text"
        ) from None


def parameters_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a prediction. Raises `UserError` for values that can't be."""
    found = {}
    top_k = given.get("top_k")
    if top_k is not None:
        if isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1:
            raise UserError(f"`top_k` {top_k!r}: a whole number, at least 1")
        found["top_k"] = top_k
    return found


def _text(model: Description, value: Any, field: str) -> Item:
    pair = value
    if isinstance(value, Mapping) and {"text", "text_pair"} >= set(value) and value:
        pair = [value.get("text"), value["text_pair"]] if "text_pair" in value else value["text"]
    if model.takes_pairs:
        if isinstance(pair, Sequence) and len(pair) == 2 and all(isinstance(x, str) for x in pair):
            return str(pair[0]), str(pair[1])
        raise UserError(f"{model.name} reads pairs of texts", field, 'give ["one", "other"]')
    if isinstance(pair, str):
        return pair
    raise UserError(f"{model.name} reads a text, and this is {_said(value)}", field, "give a text")


def _samples(value: Mapping[str, Any], field: str) -> Sound:
    array, rate = value.get("array"), value.get("sampling_rate")
    if isinstance(rate, bool) or not isinstance(rate, int) or not RATES[0] <= rate <= RATES[1]:
        raise UserError(
            f"the sampling rate {rate!r} is none", field, f"from {RATES[0]:,} to {RATES[1]:,} Hz"
        )
    try:
        samples = np.asarray(array, np.float32)
    except (ValueError, TypeError, OverflowError):
        samples = np.zeros((0, 0), np.float32)
    if samples.ndim != 1 or not samples.size or not np.isfinite(samples).all():
        raise UserError("the array is no row of finite numbers, the samples of a sound", field)
    return Sound(array=samples, sampling_rate=rate)


def _file(model: Description, value: Any, field: str) -> bytes:
    what = "an image" if model.kind == "image" else "a sound"
    way = "give the file itself as the body, or in base64"
    if not isinstance(value, str):
        raise UserError(f"{model.name} reads {what}, and this is {_said(value)}", field, way)
    if URL.match(value):
        raise UserError("nothing is fetched from a URL", field, way)
    head = DATA.match(value)
    try:
        content = base64.b64decode(value[head.end() if head else 0 :], validate=True)
    except (binascii.Error, ValueError):
        raise UserError(f"{model.name} reads {what}, and this is no base64", field, way) from None
    if not content:
        raise UserError(f"the {model.kind} is empty", field, way)
    return content


def _said(value: Any) -> str:
    """Return what a value of JSON is, in words."""
    if value is None:
        return "nothing"
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text"}
    return names.get(type(value), "a list" if isinstance(value, list) else "an object")
