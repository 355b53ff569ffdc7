"""The application without workers: what needs a key, and the form of what is refused."""

import logging
import warnings
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.zoo.serve.protocols import described
from zoo.serve.engine.app import AppSettings, create_app
from zoo.serve.service import Limits, Service

KEY = "k" * 40


def _client(*keys: str, **more: Any) -> TestClient:
    service = Service([described.texts(), described.speech()], Limits())
    settings = AppSettings(keys=[key.encode() for key in keys], **more)
    return TestClient(create_app(service, settings))


@pytest.mark.parametrize("path", ["/", "/models/reviews", "/predict", "/v2/models/reviews/infer"])
def test_what_is_posted_needs_a_key(path: str) -> None:
    """That of the page's path, which needs none to be read, too."""
    client = _client(KEY)
    done = client.post(path, json={"inputs": "a"})
    assert done.status_code == 401 and done.headers["www-authenticate"] == "Bearer"
    assert "no known key" in done.json()["error"]
    assert client.post(path, json=[], headers={"authorization": f"Bearer {KEY}"}).status_code != 401


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/docs", 200),
        ("/docs/docs.js", 200),
        ("/v2/health/live", 200),
        ("/openapi.json", 401),
        ("/v2", 401),
        ("/v2/models/reviews", 401),
        ("/metrics", 401),
    ],
)
def test_what_can_be_read_without_a_key(path: str, status: int) -> None:
    assert _client(KEY).get(path).status_code == status


@pytest.mark.parametrize(
    ("path", "content", "status", "code", "param"),
    [
        ("/v1/models", None, 401, "invalid_api_key", None),
        ("/v1/embeddings", b"{}", 401, "invalid_api_key", None),
        ("/v1/nothing", None, 401, "invalid_api_key", None),
        ("/v1/nothing", None, 404, "model_not_found", None),
        ("/v1/audio/transcriptions", b"{}", 422, None, "file"),
        ("/v1/audio/transcriptions", b"x" * 2000, 413, None, None),
    ],
)
def test_openais_paths_refuse_in_openais_form(
    path: str, content: bytes | None, status: int, code: str | None, param: str | None
) -> None:
    client = _client(*[KEY] * (status == 401), max_body=1000)
    done = client.get(path) if content is None else client.post(path, content=content)
    assert done.status_code == status, done.text
    error = done.json()["error"]
    assert error["code"] == code and error["param"] == param and error["message"]
    assert "x-request-id" in done.headers


PAGE = "https://example.org"


def test_a_page_of_another_origin_may_ask_first_without_its_key() -> None:
    """Browsers send no key with the question whether they may send one."""
    client = _client(KEY, cors=[PAGE])
    asks = {"access-control-request-method": "POST"}
    asks |= {"access-control-request-headers": "authorization,content-type"}
    done = client.options("/predict", headers={"origin": PAGE, **asks})
    assert done.status_code == 200, done.text
    assert done.headers["access-control-allow-origin"] == PAGE
    assert "authorization" in done.headers["access-control-allow-headers"]
    other = client.options("/predict", headers={"origin": "https://example.com", **asks})
    assert other.status_code == 400 and "access-control-allow-origin" not in other.headers
    assert client.options("/predict", headers={"origin": PAGE}).status_code == 401  # asks nothing


@pytest.mark.parametrize(("key", "size", "status"), [("none", 10, 401), (KEY, 2000, 413)])
def test_a_page_of_another_origin_can_read_a_refusal(key: str, size: int, status: int) -> None:
    client = _client(KEY, cors=[PAGE], max_body=1000)
    headers = {"origin": PAGE, "authorization": f"Bearer {key}"}
    done = client.post("/predict", content=b"x" * size, headers=headers)
    assert done.status_code == status and done.json()["error"]
    assert done.headers["access-control-allow-origin"] == PAGE
    assert "x-request-id" in done.headers["access-control-expose-headers"]
    assert done.headers["x-request-id"]
    headers["origin"] = "https://example.com"
    other = client.post("/predict", content=b"x" * size, headers=headers)
    assert other.status_code == status and "access-control-allow-origin" not in other.headers


def test_a_method_that_is_not_there_is_told() -> None:
    gone = _client().delete("/v1/models/reviews")
    assert gone.status_code == 404 and gone.json()["error"]["code"] == "model_not_found"
    done = _client().get("/predict")
    assert done.status_code == 405 and done.headers["allow"] == "POST"
    assert done.json() == {"error": "GET /predict: method not allowed"}


def test_probes_are_no_lines_of_the_log_where_nothing_is_wrong(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = _client(KEY)
    caplog.set_level(logging.INFO, "zoo.serve.requests")
    assert client.get("/v2/health/live").status_code == 200
    headers = {"authorization": f"Bearer {KEY}"}
    assert client.get("/metrics", headers=headers).status_code == 200
    assert not caplog.records
    assert client.get("/metrics").status_code == 401
    assert client.get("/v2/health/ready").status_code == 503  # it has no worker
    told: list[Any] = [record.msg for record in caplog.records]
    assert [(one["path"], one["status"]) for one in told] == [
        ("/metrics", 401),
        ("/v2/health/ready", 503),
    ]


def test_the_api_is_described_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Duplicate Operation ID")
        described = _client().get("/openapi.json").json()
    assert set(described["paths"]["/v2/repository/index"]) == {"get", "post"}
