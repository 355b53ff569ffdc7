"""Conversions of the Open Inference Protocol, without a service, read by tritonclient's code."""

import json
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.http._utils import _get_inference_request

from tasks.errors import UserError
from tests.zoo.serve.protocols import described
from zoo.serve.errors import BadRequest
from zoo.serve.protocols import open_inference, tensors
from zoo.serve.protocols.open_inference import InferRequest


def _written(
    values: list[Any], name: str = "text", outputs: Any = None, binary: bool = True, **more: Any
) -> tuple[bytes, str | None]:
    """A request as tritonclient writes it, and its header."""
    array = np.array(values, object)
    tensor = triton.InferInput(name, list(array.shape), "BYTES")
    tensor.set_data_from_numpy(array, binary_data=binary)
    body, size = _get_inference_request([tensor], "7", outputs, 0, False, False, 0, None, more)
    return body, None if size is None else str(size)


def _parse(*values: Any, model: Any = None, **more: Any) -> InferRequest:
    return open_inference.parse(*_written(list(values), **more), model or described.texts())


@pytest.mark.parametrize("binary", [True, False])
def test_texts_as_tritonclient_sends_them(binary: bool) -> None:
    asked = _parse(b"fine", "好".encode(), binary=binary)
    assert asked.inputs == ["fine", "好"] and asked.id == "7" and asked.all_binary
    assert asked.parameters == {"top_k": 3}
    asked = _parse(["fine"], ["dull"], binary=binary, top_k=1)
    assert asked.inputs == ["fine", "dull"] and asked.parameters == {"top_k": 1}


def test_files_are_bytes_or_base64() -> None:
    asked = _parse(b"\x89PNG", b"\xff", model=described.speech(), name="audio")
    assert asked.inputs == [b"\x89PNG", b"\xff"]
    asked = _parse("aGVsbG8=", model=described.images(), name="image", binary=False)
    assert asked.inputs == [b"hello"]


def test_pairs_are_two_tensors() -> None:
    inputs = [
        {"name": name, "shape": [2], "datatype": "BYTES", "data": values}
        for name, values in (("text", ["a", "b"]), ("text_pair", ["c", "d"]))
    ]
    body = json.dumps({"inputs": inputs}).encode()
    asked = open_inference.parse(body, None, described.pairs())
    assert asked.inputs == [("a", "c"), ("b", "d")] and asked.id is None
    with pytest.raises(UserError, match="send text and text_pair"):
        open_inference.parse(_written(["a"], binary=False)[0], None, described.pairs())


def _read(asked: InferRequest, model: Any, predictions: Any) -> dict[str, Any]:
    """The tensors of an answer, as tritonclient reads it."""
    made = open_inference.answered(asked, model, open_inference.tensors_of(predictions, model))
    size = made.headers.get(tensors.HEADER)
    result = triton.InferResult.from_response_body(
        bytes(made.body), header_length=None if size is None else int(size)
    )
    said = result.get_response()
    assert said["model_name"] == model.name and said["id"] == "7"
    declared = {one["name"]: one for one in open_inference.outputs_of(model)}
    for one in said["outputs"]:
        wanted = declared[one["name"]]
        assert one["datatype"] == wanted["datatype"]
        assert len(one["shape"]) == len(wanted["shape"])
        for size, told in zip(one["shape"], wanted["shape"], strict=True):
            assert told in (-1, size)
    return {one["name"]: result.as_numpy(one["name"]) for one in said["outputs"]}


def test_an_answer_as_tritonclient_reads_it() -> None:
    model = described.texts()
    predictions = described.predictions("moving", "dull")
    found = _read(_parse("a", "b"), model, predictions)
    assert found["label"].tolist() == [b"moving", b"dull"]
    assert found["score"].tolist() == pytest.approx([0.8, 0.8])
    assert found["labels"].shape == found["scores"].shape == (2, 3)
    assert found["labels"][1].tolist() == [b"dull", b"fine", b"moving"]
    assert found["scores"].dtype == np.float32


def test_only_what_is_asked_for_in_its_form() -> None:
    outputs = [
        triton.InferRequestedOutput("score", binary_data=False),
        triton.InferRequestedOutput("labels", binary_data=True),
    ]
    asked = _parse("a", "b", outputs=outputs)
    assert asked.outputs == {"score": False, "labels": True}
    found = _read(asked, described.texts(), described.predictions("fine", "dull"))
    assert set(found) == {"score", "labels"}


@pytest.mark.parametrize(
    ("model", "prediction", "expected"),
    [
        (described.texts("regression", labels=()), {"label": "LABEL_0", "score": 2.5},
         {"values": [[2.5]]}),
        (described.texts("regression"), {"label": list(described.LABELS), "score": [1, 2, 3],
         "scores": dict(zip(described.LABELS, (1, 2, 3), strict=True))}, {"values": [[1, 2, 3]]}),
        (described.texts("multi_label_classification"),
         {"label": ["好"], "score": [0.9], "scores": {"好": 0.9, "b": 0.2, "c": 0.1}},
         {"label": ['["好"]'.encode()]}),
        (described.speech(), {"text": "yes"}, {"text": [b"yes"]}),
        (described.weights(), {"embedding": [0.6, 0.8], "tokens": 3}, {"embedding": [[0.6, 0.8]]}),
    ],
)  # fmt: skip
def test_other_predictions(model: Any, prediction: Any, expected: dict[str, Any]) -> None:
    asked = InferRequest("7", [], {}, {}, all_binary=True)
    found = _read(asked, model, [prediction])
    for name, value in expected.items():
        got = found[name].tolist()
        assert got == (value if isinstance(value[0], bytes) else [pytest.approx(value[0])])


def test_no_inputs_give_no_tensors() -> None:
    asked = _parse()
    assert asked.inputs == []
    assert open_inference.tensors_of([], described.texts()) == []


def test_weights_embed_or_label() -> None:
    model = described.weights()
    assert _parse("a", model=model).parameters == {"embed": True}
    asked = _parse("a", model=model, labels="x, y")
    assert asked.parameters == {"labels": ["x", "y"], "top_k": 2}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"datatype": "FP32"}, "datatype"),
        ({"shape": [2]}, "shape"),
        ({"shape": [1, 2]}, "shape"),
        ({"shape": [-1]}, "shape"),
        ({"shape": "1"}, "shape"),
        ({"data": [3]}, "a number, and not a text"),
        ({"data": "a"}, "not a list"),
        ({"name": "image"}, "can't take image; send text"),
        ({"name": 3}, "not a text"),
        ({"parameters": {"shared_memory_region": "a"}}, "shared_memory_region"),
        ({"parameters": {"binary_data_size": 9}}, "9 bytes, of 0"),
    ],
)
def test_a_wrong_tensor_is_refused(change: dict[str, Any], said: str) -> None:
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"], **change}
    body = json.dumps({"inputs": [tensor]}).encode()
    with pytest.raises((UserError, BadRequest), match=said):
        open_inference.parse(body, None, described.texts())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inputs": None}, "inputs"),
        ({"inputs": [3]}, "not a tensor"),
        ({"output": []}, "'output'"),
        ({"outputs": [{"name": "logits"}]}, "no output 'logits'"),
        ({"outputs": [{"name": "score", "parameters": {"classification": 3}}]}, "classification"),
        ({"parameters": {"priority": 3}}, "priority"),
        ({"parameters": {"top_k": 0}}, "top_k"),
        ({"parameters": {"labels": ["a", "b"]}}, "leave it out"),
        ({"id": 3}, "id"),
    ],
)
def test_a_wrong_request_is_refused(change: dict[str, Any], said: str) -> None:
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}
    body = json.dumps({"inputs": [tensor], **change}).encode()
    with pytest.raises(UserError, match=said):
        open_inference.parse(body, None, described.texts())


def test_what_was_cut_short_is_a_bad_request() -> None:
    body, size = _written([b"fine", b"dull"])
    open_inference.parse(body, size, described.texts())
    for length in range(len(body)):
        with pytest.raises(BadRequest):
            open_inference.parse(body[:length], size, described.texts())
    with pytest.raises(BadRequest, match="belong to no tensor"):
        open_inference.parse(body + b"x", size, described.texts())
    for header in ("-1", "x", "", "²"):
        with pytest.raises(BadRequest, match="no number"):
            open_inference.parse(body, header, described.texts())


def test_metadata_has_what_is_taken_and_given() -> None:
    said = open_inference.metadata(described.pairs())
    assert [one["name"] for one in said["inputs"]] == ["text", "text_pair"]
    assert said["outputs"][-1] == {"name": "scores", "datatype": "FP32", "shape": [-1, 3]}
    assert said["versions"] == ["1"] and said["platform"] == "zoo_eager"


def test_a_number_that_is_none_is_null() -> None:
    """JSON has no NaN, and a client that reads it strictly would see no answer at all."""
    asked = InferRequest(None, ["fine"], {}, {})
    scores = [tensors.numbers("score", [float("nan"), 0.5])]
    body = open_inference.answered(asked, described.texts(), scores).body
    assert b"NaN" not in bytes(body)
    assert json.loads(bytes(body))["outputs"][0]["data"] == [None, 0.5]


def test_the_classes_of_pixels_are_as_many_as_an_image_has() -> None:
    model = described.pixels()
    found = [{"labels": ["fine", "dull"], "shares": [0.75, 0.25]}, {"labels": [], "shares": []}]
    labels, shares = open_inference.tensors_of(found, model)
    assert list(labels.values) == ['["fine", "dull"]', "[]"]
    assert list(shares.values) == ["[0.75, 0.25]", "[]"]
    told = [one["name"] for one in open_inference.outputs_of(model)]
    assert told == ["labels", "shares"] == [labels.name, shares.name]


def test_boxes_are_as_many_as_an_image_has() -> None:
    model = described.things()
    found = [
        {"labels": ["fine", "dull"], "scores": [0.9, 0.5], "boxes": [[1, 2, 3.5, 4], [0, 0, 9, 9]]},
        {"labels": [], "scores": [], "boxes": []},
    ]
    asked = InferRequest("7", [], {}, {}, all_binary=True)
    read = _read(asked, model, found)
    assert list(read) == ["labels", "scores", "boxes"]
    for i, prediction in enumerate(found):
        assert {name: json.loads(values[i]) for name, values in read.items()} == prediction
