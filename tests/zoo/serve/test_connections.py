"""Connections, on a real socket: one too many is told so, and probes are
answered all the same."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from tests.zoo.serve.protocols import described
from zoo.serve import connections, health
from zoo.serve.args import Limits
from zoo.serve.engine.app import create_app
from zoo.serve.service import Service

MOST = 2


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a service without workers, that takes two connections."""
    app = create_app(Service([described.texts()], Limits()))
    config = uvicorn.Config(
        app,
        http=connections.protocol(5.0, MOST),
        ws="websockets-sansio",
        lifespan="off",
        log_config=None,
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = server.force_exit = True
            thread.join(10)


@contextlib.contextmanager
def _full(port: int) -> Iterator[None]:
    """As many connections as there may be, which say nothing."""
    with contextlib.ExitStack() as stack:
        for _ in range(MOST):
            stack.enter_context(_connected(port))
        time.sleep(0.05)  # it has taken them
        yield
    time.sleep(0.05)  # it has seen them go


def _connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def _ask(port: int, path: str, *headers: str) -> tuple[int, str, bytes]:
    """The status, the head and the body of the answer to GET."""
    lines = [f"GET {path} HTTP/1.1", "Host: a", "Connection: close", *headers, "", ""]
    with _connected(port) as client:
        client.sendall("\r\n".join(lines).encode())
        answer = b""
        while more := client.recv(65536):
            answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode().lower(), body


def test_one_too_many_is_refused_and_counted(port: int) -> None:
    assert _ask(port, "/v2")[0] == 200
    with _full(port):
        status, head, body = _ask(port, "/v2")
        assert status == 503 and "retry-after: 1" in head and "x-request-id" in head
        assert json.loads(body)["error"].startswith("2 connections are open")
    assert _ask(port, "/v2")[0] == 200
    counted = _ask(port, health.METRICS)[2].decode()
    assert 'zoo_rejected_total{model="",reason="connections"} 1.0' in counted


@pytest.mark.parametrize("path", health.PROBES)
def test_probes_of_a_full_service_are_answered(port: int, path: str) -> None:
    wanted = 503 if path == health.READY else 200  # it has no worker
    with _full(port):
        status, _, body = _ask(port, path)
        assert status == wanted and b"connections are open" not in body


def test_a_websocket_too_many_is_refused(port: int) -> None:
    asks = ("Upgrade: websocket", "Sec-WebSocket-Version: 13")
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    with _full(port), _connected(port) as client:
        lines = ["GET /websocket HTTP/1.1", "Host: a", "Connection: Upgrade", *asks, key, "", ""]
        client.sendall("\r\n".join(lines).encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 503 ")
        assert client.recv(4096) == b""
