"""Rows of a table in a request: as objects, as texts, as the columns of a table."""

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from huggingface_hub import InferenceClient, constants

import zoo
from tasks.errors import UserError
from tests import tiny_models
from tests.cli import run_cli
from tests.serving import serving
from tests.zoo.serve.protocols import described
from zoo.serve.items import from_wire, kind_of, to_wire
from zoo.serve.protocols import hub_api, open_inference, plain
from zoo.serve.protocols.bodies import Body

ROW = {"age": 34.5, "城市": None}


def body(content: Any) -> Body:
    return Body(json.dumps(content).encode(), "application/json")


def asked(content: Any) -> list[Any]:
    models: Any = described.Models(described.rows())
    return list(plain.parse(body(content), {}, models, ()).inputs)


def test_a_row_stands_in_a_plain_request() -> None:
    for content in ({"row": ROW}, {"input": ROW}, {"text": json.dumps(ROW)}, {"inputs": [ROW]}):
        assert asked(content) == [{"row": ROW}]
    assert asked({"inputs": [ROW, ROW]}) == [{"row": ROW}] * 2


@pytest.mark.parametrize("value", ["no JSON", 3, ["a"], "[1]"])
def test_what_is_no_row(value: Any) -> None:
    with pytest.raises(UserError, match="people takes a row, an object of columns and values"):
        asked({"row": value})


def test_a_model_of_texts_takes_no_row() -> None:
    models: Any = described.Models(described.texts())
    with pytest.raises(UserError, match="`row`: reviews takes a text"):
        plain.parse(body({"row": ROW}), {}, models, ())


def test_a_row_reaches_the_worker_as_it_is() -> None:
    (item,) = asked({"row": ROW})
    blobs: list[bytes] = []
    assert from_wire(json.loads(json.dumps(to_wire(item, blobs))), blobs) == item
    assert kind_of(item) == "row" and not blobs


def test_the_hubs_table_is_columns_and_its_answer_a_list() -> None:
    model = described.rows()
    table = {"age": [3, None], "城市": ["东京", "Rome"]}
    request = hub_api.parse(body({"table": table, "parameters": {}}), model, 4)
    assert request.inputs == [{"row": {"age": 3, "城市": "东京"}},
                              {"row": {"age": None, "城市": "Rome"}}]  # fmt: skip
    found = hub_api.answered(request, described.predictions("dull", "fine"))
    assert found == ["dull", "fine"]
    number = hub_api.parse(body({"table": table}), described.rows("regression"), 4)
    predictions = [{"label": "LABEL_0", "score": 1.5}, {"label": "LABEL_0", "score": 2.0}]
    assert hub_api.answered(number, predictions) == [1.5, 2.0]
    for wrong in ({"age": [1], "城市": []}, {}, [1], {"age": 3}):
        with pytest.raises(UserError, match="`table` is no object of columns"):
            hub_api.parse(body({"table": wrong}), model, 4)


def test_the_documented_examples_are_read() -> None:
    model = described.rows()
    assert asked(plain.example_body(model)) == [{"row": {"age": 40.0, "城市": "东京"}}]
    request = open_inference.parse(
        json.dumps(open_inference.example_body(model)).encode(), None, model
    )
    assert request.inputs == asked(plain.example_body(model))


@pytest.mark.slow
@pytest.mark.parametrize("label", ["label", "mean area"])
def test_a_service_answers_as_the_checkpoint_does(
    label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Classes, and a number."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # the service is on this machine
    folder = tmp_path / "run"
    words = ("--label_column", label, "--hidden_sizes", 16, 8, "--output_dir", folder)
    done = run_cli("zoo.tabular.mlp_tab", "finetune", *words, *tiny_models.SHORT)
    assert done.code == 0, done.err
    model = zoo.load(str(folder), device="cpu")
    row = {one.name: one.example() for one in model.task.schema}
    expected = model.predict(row)
    with serving(folder, "--deployment", "eager") as service:
        answer = requests.post(f"{service.url}/predict", json={"row": row}, timeout=60)
        assert answer.json()["predictions"] == [pytest.approx(expected)]
        wrong = row | {"mean radius": "wide"}
        answer = requests.post(f"{service.url}/predict", json={"row": wrong}, timeout=60)
        assert answer.status_code == 422 and "mean radius is 'wide'" in answer.text
        client = InferenceClient(model=service.url, provider="hf-inference")
        table = {name: [value, value] for name, value in row.items()}
        if label == "label":
            assert client.tabular_classification(table) == [expected["label"]] * 2
        else:
            assert client.tabular_regression(table) == pytest.approx([expected["score"]] * 2)
