"""Services for loads to run against."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from bench.load import service
from bench.load.payloads import of_text
from bench.load.service import Service
from tests.cli import ROOT

Serves = Callable[..., Service]


@pytest.fixture
def serves(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serves]:
    """Starts a service of `tests.bench.load.tiny_service` in a process of its own, which ends with
    the test."""
    monkeypatch.syspath_prepend(str(ROOT))
    with ExitStack() as stack:

        def start(mode: str = "ok", service_s: float = 0.0, key: str | None = None) -> Service:
            port = service.free_port()
            words = [sys.executable, "-m", "tests.bench.load.tiny_service", str(port), mode]
            return stack.enter_context(
                service.started([*words, str(service_s)], port, of_text("good"), key=key)
            )

        yield start
