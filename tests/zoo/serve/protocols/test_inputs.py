"""Inputs out of requests: none is taken for a path, and each error says what the model takes."""

import base64
from typing import Any

import numpy as np
import pytest

from tasks.errors import UserError
from tests.zoo.serve.protocols import described
from zoo.serve.errors import BadRequest
from zoo.serve.protocols.inputs import file_of, input_of

FILE = b"\x89PNG"
WRITTEN = base64.b64encode(FILE).decode()


def test_texts_and_pairs() -> None:
    assert input_of("好", described.texts(), "inputs") == "好"
    assert input_of({"text": "a"}, described.texts(), "inputs") == "a"
    for pair in (["a", "b"], {"text": "a", "text_pair": "b"}):
        assert input_of(pair, described.pairs(), "inputs") == ("a", "b")


def test_files() -> None:
    for model in (described.images(), described.speech()):
        for value in (WRITTEN, {"b64": WRITTEN}, {"bytes": WRITTEN}):
            assert input_of(value, model, "inputs") == FILE
        assert file_of(FILE, model, "body") == FILE
    assert file_of("好".encode(), described.texts(), "body", "text/plain") == "好"


def test_samples() -> None:
    sound: Any = input_of(
        {"array": [0, 0.5, -1], "sampling_rate": 8000}, described.speech(), "audio"
    )
    assert sound["sampling_rate"] == 8000 and sound["array"].dtype == np.float32
    np.testing.assert_array_equal(sound["array"], np.float32([0, 0.5, -1]))


@pytest.mark.parametrize(
    ("model", "value", "said"),
    [
        (described.texts(), 3, "a number, and reviews takes a text"),
        (described.texts(), None, "null, and reviews takes a text"),
        (described.texts(), ["a", "b"], "a list, and reviews takes a text"),
        (described.texts(), {"text": "a", "text_pair": "b"}, "an object"),
        (described.pairs(), "a", "takes a pair of texts"),
        (described.pairs(), ["a", "b", "c"], "takes a pair of texts"),
        (described.pairs(), ["a", 3], "not a text"),
        (described.images(), "a moving film", "no base64 of an image file"),
        (described.images(), [[0, 1], [1, 0]], "a list, and photos takes an image file"),
        (described.images(), {"path": "/etc/passwd"}, "takes an image file"),
        (described.images(), {"bytes": WRITTEN, "path": "/etc/passwd"}, "'path'"),
        (described.speech(), "https://example.org/a.wav", "nothing is fetched"),
        (described.speech(), {"path": "/etc/passwd"}, "'path'"),
        (described.speech(), {"array": [0.1]}, "array and sampling_rate"),
        (described.speech(), {"array": [], "sampling_rate": 8000}, "a list of samples"),
        (described.speech(), {"array": [[0], [1]], "sampling_rate": 8000}, "one channel"),
        (described.speech(), {"array": [[0], 1], "sampling_rate": 8000}, "one channel"),
        (described.speech(), {"array": ["a"], "sampling_rate": 8000}, "no list of numbers"),
        (described.speech(), {"array": [10**30], "sampling_rate": 8000}, "no list of numbers"),
        (described.speech(), {"array": [0.1], "sampling_rate": 0}, "whole number"),
    ],
)
def test_another_input_is_refused(model: Any, value: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        input_of(value, model, "inputs")


@pytest.mark.parametrize(
    ("model", "kind", "said"),
    [
        (described.texts(), "image/png", "image/png by its type, and reviews takes a text"),
        (described.images(), "audio/wav", "takes an image file"),
        (described.speech(), "text/plain", "takes a sound file"),
    ],
)
def test_a_file_of_another_kind_is_refused(model: Any, kind: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        file_of(FILE, model, "body", kind)


def test_a_sound_may_be_called_a_video() -> None:
    """As browsers and Python call some .ogg, .mp4 and .webm files that hold nothing but sound."""
    assert file_of(FILE, described.speech(), "body", "video/ogg") == FILE
    with pytest.raises(UserError, match="video/mp4 by its type"):
        file_of(FILE, described.images(), "body", "video/mp4")


def test_a_damaged_text_is_a_bad_request() -> None:
    with pytest.raises(BadRequest, match="not UTF-8"):
        file_of(b"\xff", described.texts(), "body")
    with pytest.raises(UserError, match="empty"):
        file_of(b"", described.images(), "body")
