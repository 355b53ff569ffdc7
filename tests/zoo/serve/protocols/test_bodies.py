"""Bodies of requests: what is read, and what is refused before anything is computed."""

import base64
from typing import Any

import pytest
import requests

from tasks.errors import UserError
from zoo.serve.errors import BadRequest
from zoo.serve.protocols import bodies
from zoo.serve.protocols.bodies import Body


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": "b', "no JSON"),
        (b'{"a": 1} x', "no JSON"),
        (b'{"a": "\\ud800"}', "half a character"),
        (b"[" * 100_000, "nested"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "deeper"),
        (b'{"a": ' + b"9" * 5000 + b"}", "digits"),
        ("﻿{}".encode(), "BOM"),
    ],
)
def test_what_is_no_json_is_a_bad_request(content: bytes, said: str) -> None:
    with pytest.raises(BadRequest, match=said) as caught:
        bodies.parse_json(content)
    assert caught.value.status == 400


@pytest.mark.parametrize("content", [b"[]", b'"a"', b"null", b"3"])
def test_an_object_is_wanted(content: bytes) -> None:
    with pytest.raises(BadRequest, match="not a JSON object"):
        bodies.parse_object(content)


def test_json_is_read() -> None:
    assert bodies.parse_object('{"a": "好", "b": [1, 2.5]}'.encode()) == {"a": "好", "b": [1, 2.5]}


@pytest.mark.parametrize(
    ("kind", "content", "is_json"),
    [
        ("application/json", b"\x89PNG", True),
        ("application/json", b"", True),
        ("application/vnd.api+json", b"{}", True),
        ("", b' {"a": 1}', True),
        ("", '\ufeff{"a": 1}'.encode(), True),  # which is told, and not taken for a text
        (bodies.MISTYPED, b'{"a": 1}', True),
        (bodies.MISTYPED, b"\x89PNG", False),
        ("", b"\x89PNG", False),
        ("image/png", b"{", False),
        ("text/plain", b"{", False),
    ],
)
def test_json_is_known_by_its_type_or_else_its_first_character(
    kind: str, content: bytes, is_json: bool
) -> None:
    assert Body(content, kind).is_json == is_json


def _form(**parts: Any) -> Body:
    """A form as requests writes it."""
    made = requests.Request("POST", "http://x", **parts).prepare()
    kind, _, boundary = made.headers["content-type"].partition("; boundary=")
    assert isinstance(made.body, bytes)
    return Body(made.body, kind, {"boundary": boundary})


def test_a_form_is_read() -> None:
    large = bytes(range(256)) * 8192  # more than a parser keeps in memory by default
    files = [("image", ("a.png", large)), ("image", ("b.png", b"2")), ("好", ("c", b"3"))]
    body = _form(files=files, data={"model": "电影", "labels": ["a", "b"]})
    form = bodies.parse_form(body)
    assert form.files == {"image": [large, b"2"], "好": [b"3"]}
    assert form.fields == {"model": ["电影"], "labels": ["a", "b"]}


def test_a_damaged_form_is_a_bad_request() -> None:
    body = _form(files={"image": b"content"}, data={"a": "\x00"})
    for length in range(0, len(body.content) - 4, 7):
        with pytest.raises(BadRequest, match="form"):
            bodies.parse_form(Body(body.content[:length], body.content_type, body.parameters))
    with pytest.raises(BadRequest, match="boundary"):
        bodies.parse_form(Body(body.content, body.content_type))
    latin = Body(body.content.replace(b"\x00", b"\xe9"), body.content_type, body.parameters)
    with pytest.raises(BadRequest, match="'a' is not UTF-8"):
        bodies.parse_form(latin)


def test_a_form_has_so_many_parts() -> None:
    names = [str(i) for i in range(bodies.MOST_PARTS)]
    assert len(bodies.parse_form(_form(files=dict.fromkeys(names, b""))).files) == len(names)
    with pytest.raises(BadRequest, match="more than 1,000 parts"):
        bodies.parse_form(_form(files=dict.fromkeys(names, b""), data={"one": "more"}))


def test_base64_is_read_in_each_form() -> None:
    written = base64.b64encode(b"\x89PNG" * 30).decode()
    lines = "\n".join(written[i : i + 76] for i in range(0, len(written), 76))
    for text in (written, lines, f"data:image/png;base64,{written}"):
        assert bodies.parse_base64(text, "inputs", "an image file") == b"\x89PNG" * 30


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://example.org/cat.png", "nothing is fetched"),
        ("file:///etc/passwd", "nothing is fetched"),
        ("S3://bucket/key", "nothing is fetched"),
        ("/etc/passwd!", "no base64"),
        ("aGVsbG8", "no base64"),  # its padding is missing
        ("a moving film", "no base64"),
        ("好", "no base64"),
        ("", "empty"),
        ("data:image/png,abc", "without base64"),
    ],
)
def test_what_is_no_base64_is_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        bodies.parse_base64(text, "inputs", "an image file")
    assert caught.value.field == "inputs"


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "two", "", None, [3], "1" * 30, "²"])
def test_a_count_is_a_whole_number_of_at_least_one(value: Any) -> None:
    with pytest.raises(UserError, match="whole number") as caught:
        bodies.count_of(value, "top_k")
    assert caught.value.field == "top_k"


@pytest.mark.parametrize("value", [3, 3.0, "3"])
def test_a_count_is_read(value: Any) -> None:
    assert bodies.count_of(value, "top_k") == 3


def test_an_unknown_field_is_told_the_known_one() -> None:
    with pytest.raises(UserError, match="did you mean top_k") as caught:
        bodies.check_names({"topk": 1}, ("top_k", "labels"), "the request")
    assert caught.value.field == "topk"
