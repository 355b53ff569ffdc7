"""What the plain routes read, without a service; `tests.zoo.serve.test_plain` asks a real one."""

import json
from typing import Any

import pytest
import requests
from starlette.requests import Request

from tasks.errors import UserError
from tests.zoo.serve.protocols import described
from zoo.serve.errors import BadRequest, TooManyInputs
from zoo.serve.protocols import asking, bodies, plain
from zoo.serve.protocols.bodies import Body

SERVICE = described.service()


def _parse(content: Any, path: str = "/predict", **url: str) -> plain.PlainRequest:
    body = Body(json.dumps(content).encode(), "application/json")
    return plain.parse(body, url, SERVICE, plain.ROUTES[path][0])


def _form(files: Any = None, path: str = "/predict", **fields: Any) -> plain.PlainRequest:
    parts = {**(files or {}), **{name: (None, value) for name, value in fields.items()}}
    made = requests.Request("POST", "http://x", files=parts).prepare()
    kind, _, boundary = made.headers["content-type"].partition("; boundary=")
    assert isinstance(made.body, bytes)
    body = Body(made.body, kind, {"boundary": boundary})
    return plain.parse(body, {}, SERVICE, plain.ROUTES[path][0])


@pytest.mark.parametrize(
    ("content", "inputs"),
    [
        ({"input": "a"}, ["a"]),
        ({"text": "a", "image": None}, ["a"]),
        ({"inputs": ["a", {"text": "b"}]}, ["a", "b"]),
        ({"inputs": []}, []),
        ({"input": ["a", {"text": "b"}]}, ["a", "b"]),
        ({"text": ["a", "b"]}, ["a", "b"]),
        ({"inputs": "a"}, ["a"]),
        ({"input": []}, []),
    ],
)
def test_inputs_in_json(content: Any, inputs: list[str]) -> None:
    asked = _parse({**content, "model": "reviews"})
    assert asked.inputs == inputs and asked.model.name == "reviews" and asked.parameters == {}


def test_the_url_has_what_the_body_leaves_out() -> None:
    asked = plain.parse(
        Body(b"\x89PNG", "image/png"), {"model": "photos", "top_k": "2"}, SERVICE, ()
    )
    assert asked.inputs == [b"\x89PNG"] and asked.parameters == {"top_k": 2}
    assert _parse(["a", "b"], model="reviews").inputs == ["a", "b"]
    assert _parse("a", model="reviews").inputs == ["a"]


def test_a_route_finds_the_model_that_can() -> None:
    assert _parse({"input": "aGVsbG8="}, "/transcribe").model.name == "words"
    with pytest.raises(UserError, match="name one of reviews, photos, minilm"):
        _parse({"input": "a"}, "/classify")
    with pytest.raises(UserError, match="words can") as caught:
        _parse({"input": "a", "model": "reviews"}, "/transcribe")
    assert caught.value.field == "model"


def test_pairs() -> None:
    service: Any = described.Models(described.pairs())
    content = {"text": "a", "text_pair": "b"}
    body = Body(json.dumps(content).encode(), "application/json")
    assert plain.parse(body, {}, service, ()).inputs == [("a", "b")]
    for several in (
        {"text": ["a", "c"], "text_pair": ["b", "d"]},
        {"input": [["a", "b"], {"text": "c", "text_pair": "d"}]},
    ):
        body = Body(json.dumps(several).encode(), "application/json")
        assert plain.parse(body, {}, service, ()).inputs == [("a", "b"), ("c", "d")]
    with pytest.raises(UserError, match="`text` has 2 and `text_pair` 1"):
        plain.parse(
            Body(b'{"text": ["a", "b"], "text_pair": ["c"]}', "application/json"), {}, service, ()
        )
    with pytest.raises(UserError, match="for a model of pairs"):
        _parse({**content, "model": "reviews"})


@pytest.mark.parametrize("path", ["/predict", "/classify"])
def test_a_list_has_a_limit_before_it_is_read(path: str) -> None:
    with pytest.raises(TooManyInputs, match="5 inputs in one request: at most 4") as caught:
        _parse({"input": [3] * 5, "model": "reviews"}, path)
    assert caught.value.status == 413
    images = ["aGVsbG8=", "aGVsbG8="]
    assert _parse({"image": images, "model": "photos"}, path).inputs == [b"hello"] * 2


def test_forms() -> None:
    asked = _form({"image": b"\x89PNG"}, model="photos", top_k="1")
    assert asked.inputs == [b"\x89PNG"] and asked.parameters == {"top_k": 1}
    assert _form({"audio": b"RIFF"}, "/transcribe").inputs == [b"RIFF"]
    assert _form({"file": b"a text"}, model="reviews").inputs == ["a text"]
    assert _form(text="a text", model="reviews").inputs == ["a text"]


def _posted(content: Any) -> plain.PlainRequest:
    """What `requests.post(url, data=content)` and `curl -d content` ask for."""
    made = requests.Request("POST", "http://x", data=content).prepare()
    written = made.body if isinstance(made.body, bytes) else str(made.body).encode()
    return plain.parse(Body(written, bodies.MISTYPED), {}, SERVICE, ())


def test_a_form_as_html_writes_it_is_no_text() -> None:
    asked = _posted({"text": "a fine=film & 好", "model": "reviews", "top_k": 2})
    assert asked.inputs == ["a fine=film & 好"] and asked.parameters == {"top_k": 2}
    asked = _posted({"inputs": ["a", "b"], "model": "reviews"})
    assert asked.inputs == ["a", "b"]
    only: Any = described.Models(described.texts())
    for text in (b"a fine film", b"score=9, story=7", b"text"):
        asked = plain.parse(Body(text, bodies.MISTYPED), {}, only, ())
        assert asked.inputs == [text.decode()]
    with pytest.raises(UserError, match="'txt'"):
        _posted({"text": "a", "txt": "b", "model": "reviews"})
    with pytest.raises(BadRequest, match="not UTF-8"):
        _posted("model=reviews&text=%ff")
    with pytest.raises(BadRequest, match="more than 1,000 fields"):
        _posted("model=reviews" + "&text=a" * 1000)


def test_weights_label_or_embed() -> None:
    asked = _parse({"input": "a", "labels": ["x", "y"], "model": "minilm"})
    assert asked.parameters == {"labels": ["x", "y"]}
    assert _parse({"input": "a", "model": "minilm"}).parameters == {"embed": True}
    with pytest.raises(UserError, match="`top_k` goes with `labels`"):
        _parse({"input": "a", "top_k": 2, "model": "minilm"})
    assert _form(text="a", labels="x, y", model="minilm").parameters == {"labels": ["x", "y"]}
    with pytest.raises(UserError, match="some to choose from") as caught:
        _parse({"input": "a", "model": "minilm"}, "/classify")
    assert caught.value.field == "labels"


@pytest.mark.parametrize(
    ("files", "fields", "field"),
    [
        ({"image": b"\x89PNG"}, {"model": "words"}, "image"),
        ({"picture": b"\x89PNG"}, {"model": "photos"}, "picture"),
        ({}, {"model": "photos"}, "image"),
        ({}, {"model": "photos", "text": "a"}, "text"),
        ({}, {"model": "reviews", "text": "a", "text_pair": "b"}, "text_pair"),
        ({}, {"model": "reviews", "text": "a", "top_k": "two"}, "top_k"),
        ({}, {"model": "reviews", "text": "a", "labels": "x,y"}, "labels"),
    ],
)
def test_a_wrong_form_is_refused(
    files: dict[str, bytes], fields: dict[str, str], field: str
) -> None:
    with pytest.raises(UserError) as caught:
        _form(files, **fields)
    assert caught.value.field == field, str(caught.value)


def test_labels_are_looked_at() -> None:
    for labels, said in ((["x"], "has 1"), (["x", ""], "empty"), (["x", "x "], "twice")):
        with pytest.raises(UserError, match=said):
            asking.parameters_of(described.weights(), labels=labels)
    with pytest.raises(UserError, match="one \\{\\} where"):
        asking.parameters_of(described.weights(), labels=["x", "y"], template="{} or {}")


def test_the_url_of_a_route_can_ask_for_masks() -> None:
    """As the page does, which sends a file as it is."""
    request = Request({"type": "http", "query_string": b"masks=true&top_k=5"})
    url = asking.query_of(request, plain.URL_FIELDS)
    image, pixels = Body(b"\x89PNG", "image/png"), described.Models(described.pixels())
    asked = plain.parse(image, url, pixels, ())  # type: ignore[arg-type]
    assert asked.parameters == {"masks": True, "top_k": 5}
    with pytest.raises(UserError, match="the URL has a field 'mask', which is not known here"):
        asking.query_of(Request({"type": "http", "query_string": b"mask=1"}), plain.URL_FIELDS)


def test_masks_are_for_models_of_pixels() -> None:
    image, pixels = Body(b"\x89PNG", "image/png"), described.Models(described.pixels())
    for url, wanted in ({"masks": "true"}, {"masks": True}), ({"masks": "false"}, {}), ({}, {}):
        assert plain.parse(image, url, pixels, ()).parameters == wanted  # type: ignore[arg-type]
    with pytest.raises(UserError, match="`masks` is a text: true or false"):
        plain.parse(image, {"masks": "many"}, pixels, ())  # type: ignore[arg-type]
    with pytest.raises(UserError, match="`masks` is for models of image-segmentation, and reviews"):
        _parse({"input": "a", "model": "reviews", "masks": True})
