"""haproxy and nginx, where they are installed, with our configurations before two instances."""

import contextlib
import inspect
import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

from tasks.errors import UserError
from tests.zoo.serve.operations.balanced import (
    LIMIT,
    Clients,
    Instance,
    ask,
    balancer,
    instances,
    site,
    site_of,
)
from zoo.serve.operations import balancers


@dataclass
class Stand:
    """A balancer and what is behind it."""

    kind: str
    port: int
    behind: list[Instance]


@contextlib.contextmanager
def standing(kind: str, folder: Path) -> Iterator[Stand]:
    """Starts two instances and a balancer."""
    with (
        instances() as behind,
        balancer(kind, site(), [each.port for each in behind], folder) as port,
    ):
        yield Stand(kind, port, behind)


@pytest.fixture(scope="module", params=["haproxy", "nginx"])
def stand(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    """Each balancer in turn; what stands there is left as it was."""
    with standing(request.param, tmp_path_factory.mktemp(request.param)) as one:
        yield one


@pytest.fixture(params=["haproxy", "nginx"])
def own_stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    """Each balancer in turn, for tests that break something."""
    with standing(request.param, tmp_path) as one:
        yield one


def test_the_instance_with_the_fewest_requests_gets_the_next(stand: Stand) -> None:
    before = sum(each.seen for each in stand.behind)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(ask, stand.port, content={"seconds": 1.5})
        while sum(each.seen for each in stand.behind) == before:
            time.sleep(0.01)
        short = [ask(stand.port) for _ in range(3)]
        second = pool.submit(ask, stand.port, content={"seconds": 1.5})
        ports = {first.result().json["port"], second.result().json["port"]}
    assert ports == {each.port for each in stand.behind}
    assert {each.json["port"] for each in short} == {second.result().json["port"]}


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "drained"])
def test_an_instance_ends_and_no_client_sees_it(own_stand: Stand, stop: signal.Signals) -> None:
    with Clients(own_stand.port, 4, {"seconds": 0.02}) as clients:
        time.sleep(0.4)
        own_stand.behind[0].process.send_signal(stop)
        time.sleep(0.8)
    own_stand.behind[0].process.wait(10)
    # what the dead one had is asked of the other: not even that one is lost
    assert set(clients.statuses) == {200} and clients.statuses[200] > 60


def test_limits_are_those_of_the_service(stand: Stand) -> None:
    padded = json.dumps({"input": "x" * LIMIT}).encode()
    most = padded.replace(b"x" * (len(padded) - LIMIT), b"", 1)
    assert len(most) == LIMIT and ask(stand.port, content=most).status == 200
    seen = sum(each.seen for each in stand.behind)
    above = ask(stand.port, content=most + b" ")
    assert above.status == 413 and str(LIMIT) in above.json["error"]
    assert sum(each.seen for each in stand.behind) == seen, "it was passed on"
    chunked = ask(stand.port, content=iter([most, most]))
    assert chunked.status == 413 and chunked.json["error"]


@pytest.mark.slow
def test_a_503_is_tried_elsewhere_once(own_stand: Stand) -> None:
    first, second = own_stand.behind
    first.become("503")
    assert {ask(own_stand.port).json.get("port") for _ in range(6)} == {second.port}
    assert first.seen >= 1
    second.become("503")
    time.sleep(3.1)  # nginx leaves out an instance that failed for up to three seconds
    before = first.seen + second.seen
    assert ask(own_stand.port).status == 503
    assert first.seen + second.seen - before == 2
    first.become("usual")
    second.become("usual")
    time.sleep(3.1)
    assert ask(own_stand.port).status == 200


def test_a_socket_is_passed_through(stand: Stand) -> None:
    for path in ("/websocket", "/v1/realtime"):
        with socket.create_connection(("127.0.0.1", stand.port), timeout=10) as client:
            head = f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            head += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
            client.sendall(f"{head}Connection: Upgrade\r\n\r\n".encode())
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += client.recv(1024)
            assert answer.startswith(b"HTTP/1.1 101")
            client.sendall(b"\x00sound")
            assert client.recv(1024) == b"\x00sound"


def test_what_is_of_one_instance_is_not_passed_on(stand: Stand) -> None:
    for path in ("/metrics", "/%6detrics", "/v2/repository/models/bert_cls/load"):
        answer = ask(stand.port, path)
        assert answer.status == 404 and "single instance" in answer.json["error"]
    assert ask(stand.port, "/v2/models/bert_cls", method="GET").json["path"].startswith("/v2/mod")


def test_with_nobody_there_it_says_so(own_stand: Stand) -> None:
    for each in own_stand.behind:
        each.process.kill()
        each.process.wait()
    answers = [ask(own_stand.port) for _ in range(3)]
    assert {each.status for each in answers} <= {502, 503}
    assert all(each.json["error"] for each in answers)
    assert all(each.headers.get("retry-after") for each in answers if each.status == 503)


@pytest.mark.slow
@pytest.mark.parametrize("own_stand", ["haproxy"], indirect=True)
def test_an_unready_instance_gets_no_more(own_stand: Stand) -> None:
    """By its health alone: it would answer each request that it gets."""
    first, second = own_stand.behind
    first.become("unready")
    time.sleep(2.6)
    before = first.seen
    assert {ask(own_stand.port).json["port"] for _ in range(6)} == {second.port}
    assert first.seen == before
    first.become("usual")
    time.sleep(1.5)
    assert {ask(own_stand.port).json["port"] for _ in range(6)} == {first.port, second.port}


def test_an_answer_is_waited_for_as_long_as_the_service_takes() -> None:
    one = site_of(timeout_s=600.0)
    behind = balancers.instances_of(one)
    found = re.findall(r"timeout (\w+) (\d+)s", balancers.haproxy(one, behind))
    seconds = {name: int(value) for name, value in found}
    assert seconds["server"] > 600 and seconds["client"] >= seconds["server"]
    read = re.search(r"proxy_read_timeout (\d+)s;", balancers.nginx(one, behind))
    assert read and int(read[1]) > 600


def test_nginx_closes_an_idle_connection_before_an_instance_does() -> None:
    one = site_of()
    idle = re.search(r"keepalive_timeout (\d+)s", balancers.nginx(one, balancers.instances_of(one)))
    closes = inspect.signature(uvicorn.Config).parameters["timeout_keep_alive"].default
    assert idle and int(idle[1]) < closes


def test_instances_are_named_right() -> None:
    assert balancers.instances_of(site_of()) == ("127.0.0.1:8080", "127.0.0.1:8081")
    named = ("10.0.0.7:80", "[::1]:8080", "zoo-1.local:1")
    assert balancers.instances_of(site_of(instances=named)) == named
    for wrong in (["10.0.0.7"], ["a b:1"], ["x:0"], ["x:65536"], ["x:1\nbind"], ["x:1", "x:1"]):
        with pytest.raises(UserError, match="instances"):
            balancers.instances_of(site_of(instances=tuple(wrong)))


def test_a_balancer_does_not_listen_where_an_instance_does() -> None:
    one = site_of(port=7999)
    for written, line in ((balancers.haproxy, "bind :8088"), (balancers.nginx, "listen 8088;")):
        assert line in written(one, balancers.instances_of(one))
