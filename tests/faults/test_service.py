"""A service whose parts are killed, whose clients are slow, gone, or too many: nothing that was
accepted is lost, and nothing is answered but what is promised."""

import json
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.serving import Served, serving

FLAGS = ("--deployment", "onnx", "--threads", 1)


@pytest.fixture(scope="module")
def checkpoint(exported_model: Callable[[str], Path]) -> Path:
    """A tiny checkpoint with a program that starts without torch, in a second."""
    return exported_model("bert_cls")


@pytest.fixture(scope="module")
def lasting(checkpoint: Path) -> Iterator[Served]:
    with serving(checkpoint, *FLAGS, "--max_queue", 32, "--slow_client_s", 1) as served:
        yield served


@pytest.fixture
def service(lasting: Served) -> Served:
    """One service for all tests, with a worker that is ready."""
    _wait(lasting, lambda: _get(lasting, "/v2/health/ready").status_code == 200)
    return lasting


def _get(service: Served, path: str) -> requests.Response:
    return requests.get(service.url + path, timeout=9)


def _wait(service: Served, done: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, service.log
        time.sleep(0.02)


def _ask(service: Served, text: str = "a moving film") -> int:
    return requests.post(f"{service.url}/predict", json={"text": text}, timeout=60).status_code


def _asking(service: Served, requests_: int, clients: int) -> Iterator[int]:
    with ThreadPoolExecutor(clients) as pool:
        yield from pool.map(lambda i: _ask(service, f"film {i}"), range(requests_))


def _open(service: Served) -> socket.socket:
    at = urlsplit(service.url)
    assert at.hostname is not None
    return socket.create_connection((at.hostname, at.port or 80), timeout=10)


def _restarts(service: Served) -> float:
    lines = _get(service, "/metrics").text.splitlines()
    [line] = [line for line in lines if line.startswith("zoo_worker_restarts_total{")]
    return float(line.split()[-1])


def test_a_worker_that_is_killed_is_replaced_and_nothing_is_lost(service: Served) -> None:
    [worker] = service.workers()
    before, found = _restarts(service), list[int]()
    worker.suspend()  # so that it dies with requests in its hands
    asking = threading.Thread(target=lambda: found.extend(_asking(service, 40, 8)))
    asking.start()
    time.sleep(0.5)
    worker.kill()
    asking.join(60)
    assert Counter(found) == {200: 40}, service.log
    [other] = service.workers()
    assert other.pid != worker.pid
    assert _restarts(service) == before + 1


def test_while_no_worker_is_there_it_lives_and_is_not_ready(service: Served) -> None:
    [worker] = service.workers()
    worker.kill()
    _wait(service, lambda: _get(service, "/v2/health/ready").status_code == 503)
    assert _get(service, "/v2/health/ready").json()["models"] == {"run": False}
    assert _get(service, "/v2/health/live").status_code == 200
    assert _ask(service) == 200  # it waits for the next one


@pytest.mark.slow
def test_a_worker_that_hangs_is_replaced(checkpoint: Path) -> None:
    with serving(checkpoint, *FLAGS, "--timeout_s", 1) as service:
        [worker] = service.workers()
        worker.suspend()
        assert _ask(service) == 504
        _wait(service, lambda: _ask(service) == 200)
        assert [one.pid for one in service.workers()] != [worker.pid]


def test_too_many_are_told_to_come_back(service: Served) -> None:
    [worker] = service.workers()
    worker.suspend()
    found: list[requests.Response] = []

    def ask(number: int) -> None:
        body = {"inputs": [f"film {number}"] * 8}
        found.append(requests.post(f"{service.url}/predict", json=body, timeout=60))

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    _wait(service, lambda: any(one.status_code == 429 for one in found))
    worker.resume()
    for thread in threads:
        thread.join(60)
    counted = Counter(one.status_code for one in found)
    assert counted[429] >= 1 and counted[200] >= 4 and set(counted) == {200, 429}
    [refused, *_] = [one for one in found if one.status_code == 429]
    assert int(refused.headers["retry-after"]) >= 1
    assert _ask(service) == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /predict HTTP/1.1\r\nHost: a\r\n",
        b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n{",
    ],
)
def test_a_slow_client_is_closed(sent: bytes, service: Served) -> None:
    with _open(service) as client:
        client.sendall(sent)
        began = time.monotonic()
        answer = client.recv(4096)
        while (more := client.recv(4096) if answer else b"") != b"":
            answer += more
        assert time.monotonic() - began < 5
    assert not answer or answer.startswith(b"HTTP/1.1 408 ")
    assert _ask(service) == 200


def test_headers_without_end_are_closed(service: Served) -> None:
    with _open(service) as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        ends = time.monotonic() + 30  # the system's buffers take a few megabytes by themselves
        with pytest.raises(ConnectionError):
            while time.monotonic() < ends:
                client.sendall(b"x: " + b"y" * 1000 + b"\r\n")
    assert _ask(service) == 200


def test_a_client_that_goes_takes_its_request_along(service: Served) -> None:
    [worker] = service.workers()
    worker.suspend()
    body = json.dumps({"text": "a"}).encode()
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    for _ in range(20):
        with _open(service) as client:
            client.sendall(head + body)
            time.sleep(0.02)
    _wait(service, lambda: service.log.count('"status": 499') >= 20)
    worker.resume()
    assert _ask(service) == 200


def test_a_service_that_is_killed_leaves_no_worker(checkpoint: Path) -> None:
    with serving(checkpoint, *FLAGS) as service:
        [worker] = service.workers()
        service.process.kill()
        worker.wait(20)


def test_sigterm_answers_what_came_before(service: Served) -> None:
    """The last test here: it ends the service."""
    [worker] = service.workers()
    worker.suspend()
    found: list[int] = []
    asking = threading.Thread(target=lambda: found.extend(_asking(service, 8, 8)))
    asking.start()
    time.sleep(1)
    service.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    with pytest.raises(OSError):  # it takes no more
        _open(service).close()
    worker.resume()
    asking.join(60)
    assert found == [200] * 8, service.log
    assert service.process.wait(30) == 0
    assert "Traceback" not in service.log
