"""A service to be loaded: one that runs elsewhere, or one that is started here and stopped again."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.load.process_tree import ProcessTree
from tasks.errors import UserError
from zoo.machine import formatting
from zoo.machine.environment import ROOT

READY_S = 180.0
"""Seconds in which a service has to be ready."""
DRAIN_S = 40.0
"""Seconds in which it has to end after SIGTERM; then it is killed."""
LOOK_S = 0.1
LAST = 1_000
"""Characters of what a service said that are read for the reason of its end."""
READY_PATHS = ("/v2/health/ready", "/health", "/-/healthz")
"""Where services answer 200 once they are ready: ours, LitServe's, Ray Serve's."""


class ServiceFailed(Exception):
    """A service does not start, or has ended; the message says why in one line."""


@dataclass(frozen=True)
class Service:
    """A service that answers."""

    url: str
    """of predictions"""
    tree: ProcessTree | None = None
    """its processes; None where it runs elsewhere"""
    start_s: float | None = None
    """seconds from its start until it was ready"""


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def get(url: str, timeout_s: float = 2.0) -> int | None:
    """Return the status that a GET is answered with; None where there is no answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout_s)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def elsewhere(url: str) -> Service:
    """Return the service at a URL, that of predictions; without a path, `/predict` is meant.

    Raises `UserError` for what is no http URL, and where nobody answers there.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UserError(f"{url} is no URL of a service: http://HOST:PORT/predict") from None
    if parts.scheme != "http" or not parts.hostname:
        raise UserError(f"{url}: a service is reached as http://HOST:PORT/predict; no TLS here")
    if parts.username is not None:
        raise UserError("a URL with a name and a password: give a key by `key_file`")
    if get(f"http://{parts.netloc}/") is None:
        raise UserError(f"nobody answers at {parts.hostname}, port {port or 80}")
    path = parts.path if parts.path not in ("", "/") else "/predict"
    query = f"?{parts.query}" if parts.query else ""
    return Service(f"http://{parts.netloc}{path}{query}")


@contextlib.contextmanager
def started(
    words: Sequence[str],
    port: int,
    ready_path: str,
    environment: Mapping[str, str] | None = None,
    ready_s: float = READY_S,
    path: str = "/predict",
) -> Iterator[Service]:
    """Context manager of a service that is started here, waited for until it is ready, and stopped
    by SIGTERM.

    Args:
        words: its command line.
        port: of the loopback interface, that it listens on.
        ready_path: what is asked by GET whether it is ready: 200 says so.
        environment: variables that are set for it.
        path: of predictions.

    Raises `ServiceFailed` if it ends before, or isn't ready in time.
    """
    began = time.monotonic()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        try:
            said = lambda: _last_line(log.fileno())  # noqa: E731
            _wait_until_ready(process, f"http://127.0.0.1:{port}{ready_path}", ready_s, said)
            tree = ProcessTree(process.pid)
            yield Service(f"http://127.0.0.1:{port}{path}", tree, time.monotonic() - began)
        finally:
            stop(process)


def _wait_until_ready(
    process: "subprocess.Popen[bytes]", url: str, seconds: float, said: Callable[[], str]
) -> None:
    ends = time.monotonic() + seconds
    while get(url) != 200:
        if (code := process.poll()) is not None:
            raise ServiceFailed(f"it ended with exit code {code}: {said()}")
        if time.monotonic() > ends:
            raise ServiceFailed(f"not ready after {formatting.duration(seconds)}: {said()}")
        time.sleep(LOOK_S)


def stop(process: "subprocess.Popen[bytes]", drain_s: float = DRAIN_S) -> None:
    """End a service by SIGTERM; what is left of its processes after `drain_s` seconds is killed."""
    import psutil

    tree = ProcessTree(process.pid)
    family = [psutil.Process(pid) for pid in tree.pids() if psutil.pid_exists(pid)]
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(drain_s)
    _, alive = psutil.wait_procs(family, timeout=2.0)
    for each in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()


def _last_line(log: int) -> str:
    """Return the last line that says something of what a service has said."""
    size = os.fstat(log).st_size
    text = os.pread(log, LAST, max(0, size - LAST)).decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
