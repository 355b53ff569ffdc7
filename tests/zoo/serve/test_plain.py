"""The routes that people write by hand, on a real service, by requests."""

import base64
from pathlib import Path
from typing import Any

import pytest
import requests

import zoo
from tests.serving import Served


def _post(service: Served, path: str = "/predict", **more: Any) -> requests.Response:
    return requests.post(service.url + path, timeout=60, **more)


TEXT = "a moving film"


@pytest.fixture(scope="module")
def expected(checkpoints: dict[str, Path]) -> dict[str, Any]:
    """What `zoo.predict` says of `TEXT`."""
    found: dict[str, Any] = zoo.predict(checkpoints["bert_cls"], TEXT)
    return found


@pytest.mark.parametrize("path", ["/predict", "/prediction", "/classify"])
@pytest.mark.parametrize("field", ["input", "text"])
def test_a_text_is_answered_as_predict_does(
    path: str, field: str, service: Served, expected: dict[str, Any]
) -> None:
    done = _post(service, path, json={field: TEXT, "model": "bert_cls"})
    assert done.status_code == 200, done.text
    assert done.json()["model"] == "bert_cls"
    [found] = done.json()["predictions"]
    assert found["label"] == expected["label"]
    assert found["score"] == pytest.approx(expected["score"], abs=1e-6)
    assert len(done.headers["x-model-sha256"]) == 64
    assert done.headers["x-request-id"]


def test_several_texts_are_answered_in_their_order(service: Served) -> None:
    texts = [TEXT, "dull", "a very long and hollow story without an end " * 5, "好电影"]
    done = _post(service, json={"input": texts, "model": "bert_cls", "top_k": 2})
    together = done.json()["predictions"]
    alone = [
        _post(service, json={"input": text, "model": "bert_cls", "top_k": 2}).json()
        for text in texts
    ]
    assert len(together) == len(texts)
    for one, other in zip(together, alone, strict=True):
        assert one["scores"] == pytest.approx(other["predictions"][0]["scores"], abs=1e-5)


@pytest.mark.parametrize("kind", ["body", "form", "base64", "data"])
def test_an_image_comes_in_any_way(kind: str, service: Served, images: Path) -> None:
    content = next(images.rglob("*.png")).read_bytes()
    written = base64.b64encode(content).decode()
    asked: dict[str, Any] = {
        "body": {"data": content, "headers": {"content-type": "image/png"}},
        "form": {"files": {"image": content}},
        "base64": {"json": {"image": written}},
        "data": {"json": {"input": f"data:image/png;base64,{written}"}},
    }[kind]
    done = _post(service, "/predict?model=cnn_cls", **asked)
    if "json" in asked:
        done = _post(service, json={**asked["json"], "model": "cnn_cls"})
    elif kind == "form":
        done = _post(service, files={"image": content}, data={"model": "cnn_cls", "top_k": "2"})
    assert done.status_code == 200, done.text
    assert done.json()["predictions"][0]["label"]


def test_a_sound_is_answered(service: Served, sounds: Path) -> None:
    content = next(sounds.rglob("*.wav")).read_bytes()
    done = _post(service, "/classify?model=kws_cls", data=content)
    assert done.status_code == 200, done.text
    samples = {"array": [0.0, 0.1, -0.1] * 2000, "sampling_rate": 8000}
    done = _post(service, json={"audio": samples, "model": "kws_cls"})
    assert done.status_code == 200, done.text


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"data": b'{"text": "a", "model": "bert_cls"'}, 400, "no JSON"),
        ({"data": b'{"text": NaN, "model": "bert_cls"}'}, 400, "NaN"),
        ({"data": b'{"text": "\xff", "model": "bert_cls"}'}, 400, "not UTF-8"),
        ({"data": b'{"text": "\\ud800", "model": "bert_cls"}'}, 400, "half a character"),
        ({"json": {"text": "a"}}, 422, "which model"),
        ({"json": {"text": "a", "model": "none"}}, 404, "no model 'none'"),
        ({"json": {"model": "bert_cls"}}, 422, "no input"),
        ({"json": {"text": "a", "input": "b", "model": "bert_cls"}}, 422, "text"),
        ({"json": {"txt": "a", "model": "bert_cls"}}, 422, "did you mean text"),
        ({"json": {"text": 3, "model": "bert_cls"}}, 422, "a number"),
        ({"json": {"text": "a", "top_k": 0, "model": "bert_cls"}}, 422, "top_k"),
        ({"json": {"inputs": {}, "model": "bert_cls"}}, 422, "an object"),
        ({"json": {"input": "http://example.org/a.png", "model": "cnn_cls"}}, 422, "fetched"),
        ({"json": {"input": "@@", "model": "cnn_cls"}}, 422, "base64"),
        ({"json": {"input": "aGVsbG8=", "model": "cnn_cls"}}, 422, "image"),
        ({"json": {"inputs": ["a"] * 257, "model": "bert_cls"}}, 413, "257"),
        ({"json": {"text": ["a"] * 257, "model": "bert_cls"}}, 413, "257"),
        ({"data": b"x" * 1_100_000}, 413, "larger"),
    ],
)
def test_bad_input_is_one_line(
    asked: dict[str, Any], status: int, said: str, service: Served
) -> None:
    done = _post(service, **asked)
    assert done.status_code == status, done.text
    assert said in done.json()["error"], done.text
    assert "\n" not in done.json()["error"]


def test_one_bad_input_of_many_requests_is_its_own(service: Served, images: Path) -> None:
    """Those that a worker was handed together with it are answered."""
    from concurrent.futures import ThreadPoolExecutor

    good = next(images.rglob("*.png")).read_bytes()
    bodies = [b"no image" if i % 3 == 0 else good for i in range(12)]
    with ThreadPoolExecutor(6) as pool:
        done = list(
            pool.map(lambda body: _post(service, "/predict?model=cnn_cls", data=body), bodies)
        )
    assert [one.status_code for one in done] == [422 if i % 3 == 0 else 200 for i in range(12)]


def test_the_log_has_no_inputs(service: Served) -> None:
    _post(service, json={"text": "a secret that nobody logs", "model": "bert_cls"})
    assert '"status": 200' in service.log
    assert "secret" not in service.log
