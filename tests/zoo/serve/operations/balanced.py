"""Two instances and a balancer in front of them, as processes; and clients that count answers."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from zoo.serve.args import ServeArgs
from zoo.serve.description import Description
from zoo.serve.operations import balancers
from zoo.serve.operations.site import Site

LIMIT = 2**20 // 8
AS_ROOT = "user root;" if os.geteuid() == 0 else ""
"""The folder of a test is closed to nobody, as whom nginx works where root starts it."""
INSTANCE = Path(__file__).with_name("instance.py")


@dataclass(frozen=True)
class Answer:
    """Of a request: status 0 where the connection broke."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def ask(
    port: int,
    path: str = "/predict",
    content: Any = None,
    method: str = "POST",
    connection: http.client.HTTPConnection | None = None,
) -> Answer:
    """One request; `content` that is neither bytes nor an iterator of them is sent as JSON."""
    own = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    raw = isinstance(content, bytes | Iterator)
    body = content if raw else json.dumps(content or {}).encode()
    try:
        own.request(method, path, None if method == "GET" else body)
        got = own.getresponse()
        return Answer(got.status, got.read(), {k.lower(): v for k, v in got.getheaders()})
    except (OSError, http.client.HTTPException):
        own.close()
        return Answer(0)
    finally:
        if connection is None:
            own.close()


def free_ports(count: int) -> list[int]:
    """Ports nobody listens at."""
    with contextlib.ExitStack() as stack:
        every = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in every:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in every]


def wait_until(port: int, path: str, status: int, process: "subprocess.Popen[bytes]") -> None:
    """Waits for an answer of that status; fails where the process ends before."""
    end = time.monotonic() + 60
    while ask(port, path, method="GET").status != status:
        assert process.poll() is None and time.monotonic() < end, f"no {status} at {path}"
        time.sleep(0.02)


@contextlib.contextmanager
def balancer(kind: str, site: Site, ports: Sequence[int], folder: Path) -> Iterator[int]:
    """Starts haproxy or nginx with our configuration; gives its port."""
    program = shutil.which(kind, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip(f"no {kind} here")
    (port,) = free_ports(1)
    named = [f"127.0.0.1:{each}" for each in ports]
    path = folder / ("haproxy.cfg" if kind == "haproxy" else "nginx.conf")
    path.write_text(getattr(balancers, kind)(site, named, port))
    if kind == "haproxy":
        check, start = [program, "-c", "-f", path], [program, "-db", "-f", path]
    else:
        own = [program, "-p", folder, "-c", path]
        check, start = [*own, "-t", "-g", AS_ROOT], [*own, "-g", f"daemon off; {AS_ROOT}"]
    checked = subprocess.run(check, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    told = (checked.stdout + checked.stderr).lower()
    assert "warn" not in told.replace("error_log stderr warn", ""), told
    process = subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(port, "/v2/health/live", 200, process)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@dataclass
class Instance:
    """A process behind the balancer."""

    port: int
    process: "subprocess.Popen[bytes]"

    @property
    def seen(self) -> int:
        """How many predictions it was asked for."""
        return int(ask(self.port, "/seen", method="GET").json)

    def become(self, mode: str) -> None:
        """Changes how it answers."""
        assert ask(self.port, f"/as/{mode}").status == 200


@contextlib.contextmanager
def instances(count: int = 2) -> Iterator[list[Instance]]:
    """Starts small instances, and kills them."""
    every = []
    try:
        for port in free_ports(count):
            command = [sys.executable, INSTANCE, str(port), str(LIMIT)]
            every.append(Instance(port, subprocess.Popen(command)))
        for each in every:
            wait_until(each.port, "/v2/health/ready", 200, each.process)
        yield every
    finally:
        for each in every:
            each.process.kill()
            each.process.wait()


def program_of(package: str) -> str | None:
    """The program of a Python package: beside this Python, which need not be on PATH, or there."""
    beside = str(Path(sys.executable).parent)
    return shutil.which(package, path=os.pathsep.join((beside, os.environ.get("PATH", ""))))


def site_of(*names: str, folder: str = "runs/bert_cls", **settings: Any) -> Site:
    """Models under these names, and settings; what is written asks nothing else of a model."""
    deployment = settings.get("deployment", "eager")
    models = [
        Description(name, Path(folder), deployment, "ab" * 32, None, None)
        for name in names or ("bert_cls",)
    ]
    return Site(tuple(models), ServeArgs(models=(folder,), **settings))


def site() -> Site:
    """A service whose limits are those of the small instances."""
    return site_of(max_body_mb=LIMIT / 2**20, timeout_s=10.0, drain_s=5.0)


class Clients:
    """Threads that ask again and again over kept connections, and count answers by status."""

    def __init__(self, port: int, count: int, content: Any, path: str = "/predict") -> None:
        self.port, self.content, self.path = port, content, path
        self.statuses: Counter[int] = Counter()
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        while not self._end.is_set():
            got = ask(self.port, self.path, self.content, connection=connection)
            self.statuses[got.status] += 1
        connection.close()
