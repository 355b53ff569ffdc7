"""What every request passes, without a server: messages in, messages out."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from zoo.serve.access import CLIENT_GONE, QUICK_S, Access, AccessMiddleware, is_same_origin
from zoo.serve.metrics import Metrics


@pytest.mark.parametrize("upload_s", [0.0, 2 * QUICK_S], ids=["quick", "slow"])
def test_work_is_dropped_where_the_client_goes(
    upload_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long its body took to come."""
    dropped: list[bool] = []
    statuses: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            dropped.append(True)
            raise

    async def ask() -> None:
        messages = iter([(0.0, b"a", True), (upload_s, b"b", False)])

        async def receive() -> MutableMapping[str, Any]:
            try:
                wait_s, body, more = next(messages)
            except StopIteration:
                await asyncio.sleep(0.2)
                return {"type": "http.disconnect"}
            await asyncio.sleep(wait_s)
            return {"type": "http.request", "body": body, "more_body": more}

        async def send(_: MutableMapping[str, Any]) -> None:
            raise AssertionError("nobody is there")

        metrics = Metrics()
        monkeypatch.setattr(metrics, "ended", lambda *said: statuses.append(said[2]))
        scope = {"type": "http", "method": "POST", "path": "/predict", "headers": []}
        await AccessMiddleware(app, Access(100, 9.0), metrics)(scope, receive, send)

    asyncio.run(asyncio.wait_for(ask(), 3))
    assert dropped == [True] and statuses == [CLIENT_GONE]


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1:8080", True),
        ("https://Models.Example.org", "models.example.org", True),
        ("https://a", "a:443", True),
        ("http://a:80", "a", True),
        ("http://[::1]:8080", "[::1]:8080", True),
        ("http://a", "a:443", False),
        ("http://127.0.0.1:3000", "127.0.0.1:8080", False),
        ("http://127.0.0.1", "127.0.0.1:8080", False),
        ("http://example.org", "127.0.0.1:8080", False),
        ("http://127.0.0.1:8080.example.org", "127.0.0.1:8080", False),
        ("null", "null", False),
        ("", "", False),
        ("http://", None, False),
    ],
)
def test_whose_page_it_is(origin: str, host: str | None, same: bool) -> None:
    assert is_same_origin(origin, host) is same
