"""A service to be loaded: one that runs elsewhere, or is started here and stopped again."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from bench.load.payloads import Payload
from bench.load.process_tree import ProcessTree
from tasks.errors import UserError, foreign
from zoo.measure.arms import THREADS

READY_S = 180.0
"""Seconds in which a service has to be ready."""
DRAIN_S = 40.0
"""Seconds in which it has to end after SIGTERM; then it is killed."""
ORPHANS_S = 3.0
"""Seconds in which the other processes of a service have to end behind the first."""
ASK_S = 10.0
LOOK_S = 0.1
PREDICT = "/predict"
LAUNCH = "bench.load.launch"
REFUSED = frozenset((400, 401, 403, 413, 415, 422))
"""Statuses that a first request has for good: waiting changes nothing."""
KEYLESS = frozenset((401, 403))
LAST = 2_000
"""Characters of what a service said that are read for the reason of its end."""


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
    ended: Callable[[], str | None] = lambda: None
    """tells how it has ended by itself; None while it runs, and of one that runs elsewhere"""


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def ask(
    url: str, payload: Payload | None = None, key: str | None = None, timeout_s: float = ASK_S
) -> int | None:
    """Return the status that a GET is answered with, or a POST of a payload; None where there is no
    answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port or 80, timeout=timeout_s
    )
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    try:
        if payload is None:
            connection.request("GET", parts.path or "/", headers=headers)
        else:
            headers["Content-Type"] = payload.content_type
            connection.request("POST", parts.path or "/", payload.body, headers)
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
    if ask(f"http://{parts.netloc}/") is None:
        raise UserError(f"nobody answers at {parts.hostname}, port {port or 80}")
    path = parts.path if parts.path not in ("", "/") else PREDICT
    query = f"?{parts.query}" if parts.query else ""
    return Service(f"http://{parts.netloc}{path}{query}")


@contextlib.contextmanager
def started(
    words: Sequence[str],
    port: int,
    probe: Payload,
    threads: int | None = None,
    ready_path: str | None = None,
    key: str | None = None,
    ready_s: float = READY_S,
) -> Iterator[Service]:
    """Context manager of a service that is started here, waited for until it is ready and has
    answered a request, and stopped by SIGTERM.

    Args:
        words: its command line.
        port: of the loopback interface, that it listens on.
        probe: the request that it has to answer with 200.
        threads: of OpenMP and its like; None leaves them to the environment.
        ready_path: what is asked by GET first; 200 says that it is ready.
        key: sent with the request as a bearer token.

    Raises `ServiceFailed` if it ends before, isn't ready in time, or refuses the request.
    """
    began = time.monotonic()
    base = f"http://127.0.0.1:{port}"
    path = {"PYTHONPATH": os.pathsep.join(folder for folder in sys.path if folder)}
    variables = {} if threads is None else dict.fromkeys(THREADS, str(threads))
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", LAUNCH, str(os.getpid()), *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **variables, **path},
            start_new_session=True,  # Ctrl-C is ours to handle
        )
        tree = ProcessTree(process.pid)
        try:
            ends = time.monotonic() + ready_s
            ready = lambda: ready_path is None or ask(base + ready_path) == 200  # noqa: E731
            _wait(process, ready, ends, log.fileno())
            _wait(process, lambda: _answers(base + PREDICT, probe, key), ends, log.fileno())
            yield Service(
                base + PREDICT,
                tree,
                time.monotonic() - began,
                lambda: _end_of(process, log.fileno()),
            )
        finally:
            stop(process, tree)


def _wait(
    process: "subprocess.Popen[bytes]", holds: Callable[[], bool], ends: float, log: int
) -> None:
    while not holds():
        if (end := _end_of(process, log)) is not None:
            raise ServiceFailed(end)
        if time.monotonic() > ends:
            raise ServiceFailed(f"it was not ready in time: {_last_words(log)}")
        time.sleep(LOOK_S)


def _answers(url: str, probe: Payload, key: str | None) -> bool:
    """Return whether a request is answered with 200; raises `ServiceFailed` where it never will
    be."""
    status = ask(url, probe, key)
    if status in REFUSED:
        hint = "; give the key that it wants by `key_file`" if status in KEYLESS else ""
        raise ServiceFailed(f"it refused a first request with status {status}{hint}")
    return status == 200


def _end_of(process: "subprocess.Popen[bytes]", log: int) -> str | None:
    """Return in words how a process has ended; None while it runs."""
    code = process.poll()
    return None if code is None else f"it ended with exit code {code}: {_last_words(log)}"


def stop(process: "subprocess.Popen[bytes]", tree: ProcessTree, drain_s: float = DRAIN_S) -> None:
    """End a service by SIGTERM; what is left of its processes afterwards is killed, all that it
    had at that moment included."""
    import psutil

    family = []
    for pid in tree.pids():
        with contextlib.suppress(psutil.NoSuchProcess):
            family.append(psutil.Process(pid))
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(drain_s)
    _, alive = psutil.wait_procs(family, timeout=ORPHANS_S)
    for each in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()


def _last_words(log: int) -> str:
    """Return the last line that a service has said, frames and hints to --help left out."""
    size = os.fstat(log).st_size
    text = os.pread(log, LAST, max(0, size - LAST)).decode("utf-8", "replace")
    lines = [line.strip(" \t│|") for line in text.splitlines()]
    lines = [line for line in lines if any(map(str.isalpha, line)) and "--help" not in line]
    return foreign(lines[-1]) if lines else "it said nothing"
