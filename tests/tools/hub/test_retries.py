"""Trying again: what passes, with pauses that grow and are random, and no more than is useful."""

import time
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest

from tools.hub import retries


class Answered(Exception):
    """As huggingface_hub's: an error with the answer it is about."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(str(status))
        renamed = {name.replace("_", "-"): value for name, value in headers.items()}
        self.response = SimpleNamespace(status_code=status, headers=renamed)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr("time.sleep", found.append)
    return found


def failing(*errors: Exception) -> Any:
    """A call that fails so often, then gives "done"."""
    rest = list(errors)

    def call() -> str:
        if rest:
            raise rest.pop(0)
        return "done"

    return call


def test_pauses_grow_and_differ(pauses: list[float]) -> None:
    assert retries.again(failing(*[Answered(503)] * 4)) == "done"
    assert len(pauses) == 4
    for i, pause in enumerate(pauses):
        assert 0.5 * 2**i <= pause <= 1.5 * 2**i
    first = list(pauses)
    retries.again(failing(*[Answered(503)] * 4))
    assert pauses[4:] != first


def test_it_ends(pauses: list[float]) -> None:
    with pytest.raises(Answered):
        retries.again(failing(*[Answered(500)] * retries.ATTEMPTS))
    assert len(pauses) == retries.ATTEMPTS - 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 413])
def test_what_stays_is_not_asked_again(status: int, pauses: list[float]) -> None:
    with pytest.raises(Answered):
        retries.again(failing(Answered(status)))
    assert pauses == []


def test_the_hub_says_how_long(pauses: list[float]) -> None:
    retries.again(failing(Answered(429, Retry_After="17")))
    assert pauses == [17.0]
    import datetime

    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=30)
    retries.again(failing(Answered(429, Retry_After=format_datetime(soon))))
    assert 28 <= pauses[1] <= 31
    with pytest.raises(Answered):
        retries.again(failing(Answered(429, Retry_After="100000")))
    retries.again(failing(Answered(503, Retry_After="sometime")))
    assert pauses[2] < 2


def test_a_broken_connection_is_known_by_its_kind(pauses: list[float]) -> None:
    class TransportError(Exception):
        """httpx's and httpx2's."""

    class ReadError(TransportError):
        """One of its kinds."""

    wrapped = RuntimeError("Error while uploading")
    wrapped.__cause__ = ReadError()
    assert retries.again(failing(ReadError(), wrapped)) == "done"
    with pytest.raises(RuntimeError):
        retries.again(failing(RuntimeError("a bug")))


def test_what_was_done_is_not_done_twice() -> None:
    asked = []

    def arrived() -> str | None:
        asked.append(time.time())
        return "found" if len(asked) == 2 else None

    assert retries.again(failing(*[Answered(500)] * 4), arrived) == "found"
    assert len(asked) == 2
