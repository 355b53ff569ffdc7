"""Requests that are broken at random: each is answered, none by a 500, and the log has no
traceback."""

import base64
import json
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.serving import Served, serving

pytestmark = pytest.mark.slow

PATHS = (
    *("/predict", "/classify", "/transcribe", "/", "/models/run", "/models/%20", "/nowhere"),
    *("/v2/models/run/infer", "/v2/models/run", "/v2/repository/models/run/load"),
    *("/v1/embeddings", "/v1/audio/transcriptions", "/v1/chat/completions", "/docs", "/metrics"),
)
WORDS: tuple[Any, ...] = (
    *("input", "inputs", "text", "text_pair", "model", "top_k", "parameters", "labels", "run"),
    *(
        "a moving film",
        "",
        "\u0000",
        "\U0001f600" * 9,
        "好电影",
        -1,
        0,
        1,
        10**30,
        1e308,
        True,
        None,
    ),
    *("BYTES", "FP32", "shape", "datatype", "data", "name", "outputs", "file", "http://a.b/c.png"),
)
TYPES = (
    "application/json",
    "image/png",
    "text/plain",
    "multipart/form-data; boundary=x",
    "x/y",
    "",
)


@pytest.fixture(scope="module")
def service(exported_model: Callable[[str], Path]) -> Iterator[Served]:
    folder = exported_model("bert_cls")
    flags = ("--deployment", "onnx", "--threads", 1, "--slow_client_s", 1, "--max_body_mb", 1)
    with serving(folder, *flags) as served:
        yield served


def _value(draw: random.Random, depth: int = 0) -> Any:
    """A value of JSON that looks like what is asked."""
    kind = draw.random()
    if kind < 0.25 and depth < 4:
        return [_value(draw, depth + 1) for _ in range(draw.randint(0, 3))]
    if kind < 0.6 and depth < 4:
        return {str(draw.choice(WORDS)): _value(draw, depth + 1) for _ in range(draw.randint(0, 4))}
    return draw.choice(WORDS)


def _body(draw: random.Random) -> bytes:
    kind = draw.random()
    if kind < 0.5:
        body = json.dumps(_value(draw)).encode()
    elif kind < 0.7:
        body = json.dumps({"text": "fine", "parameters": _value(draw), "model": "run"}).encode()
    elif kind < 0.8:
        part = f'--x\r\nContent-Disposition: form-data; name="{draw.choice(WORDS)}"'
        body = f"{part}; filename=a\r\n\r\nabc\r\n--x--\r\n".encode()
    elif kind < 0.9:
        body = base64.b64encode(draw.randbytes(draw.randint(0, 300)))
    else:
        body = draw.randbytes(draw.randint(0, 300))
    if body and draw.random() < 0.3:  # a byte is another one
        place = draw.randrange(len(body))
        body = body[:place] + draw.randbytes(1) + body[place + 1 :]
    return body


def _status(service: Served, draw: random.Random) -> int:
    """The status that a request is answered with; 0 where the connection was closed."""
    body = _body(draw)
    size = len(body) if draw.random() < 0.95 else draw.choice([0, len(body) + 5, 10**9])
    method = draw.choice(["POST", "POST", "POST", "GET", "PUT", "OPTIONS"])
    head = f"{method} {draw.choice(PATHS)} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    head += f"Content-Type: {draw.choice(TYPES)}\r\nContent-Length: {size}\r\n"
    if draw.random() < 0.1:
        head += f"Inference-Header-Content-Length: {draw.choice([0, 5, -1, 'a', 10**9])}\r\n"
    at = urlsplit(service.url)
    with socket.create_connection((at.hostname, at.port), timeout=30) as client:
        client.sendall(head.encode() + b"\r\n" + body)
        answer = b""
        try:
            while part := client.recv(65536):
                answer += part
        except ConnectionError:
            return 0
    return int(answer.split(None, 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def _fuzz(service: Served, requests: int, seed: int) -> None:
    draw = random.Random(seed)
    found = Counter(_status(service, draw) for _ in range(requests))
    wrong = {status for status in found if status >= 500 and status not in (503, 504)}
    assert not wrong, f"{found}\n{service.log[-5000:]}"
    assert "Traceback" not in service.log
    assert found[200] and found[422] and found[400], f"{found}: it says next to nothing"


def test_fuzzed_requests_are_answered(service: Served) -> None:
    _fuzz(service, 150, seed=1)


@pytest.mark.parametrize("seed", range(2, 7))
def test_many_fuzzed_requests_are_answered(seed: int, service: Served) -> None:
    _fuzz(service, 1000, seed)
