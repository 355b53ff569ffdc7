"""Which pages may open a WebSocket: websocket-client, as a browser does, on a real socket."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
import websocket

from tasks.errors import UserError
from tests.zoo.serve.page.stand_in import serving
from tests.zoo.serve.protocols import described
from zoo.serve.args import Limits, ServeArgs
from zoo.serve.engine.app import AppSettings, create_app
from zoo.serve.protocols import realtime
from zoo.serve.protocols import websocket as live
from zoo.serve.service import Service

PAGE = "https://example.org"
PATHS = (live.PATH, realtime.PATH)


@pytest.fixture(scope="module")
def services() -> Iterator[dict[tuple[str, ...], str]]:
    """The addresses of services without workers, by the origins that they name."""
    service = Service([described.speech()], Limits())

    def url(*cors: str) -> AbstractContextManager[str]:
        return serving(create_app(service, AppSettings(cors=cors)))

    with url() as closed, url(PAGE) as named, url("*") as opened:
        yield {(): closed, (PAGE,): named, ("*",): opened}


def _opened(url: str, path: str, origin: str | None) -> int:
    """The status that the handshake ends with."""
    told = {"suppress_origin": True} if origin is None else {"origin": origin}
    address = url.replace("http", "ws", 1) + path
    try:
        socket = websocket.create_connection(address, timeout=10, **told)
    except websocket.WebSocketBadStatusException as refused:
        return int(refused.status_code)
    socket.close()
    return 101


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("cors", "origin", "status"),
    [
        ((), None, 101),
        ((), "own", 101),
        ((), PAGE, 403),
        ((), "null", 403),
        ((), "http://127.0.0.1", 403),  # another port is another origin
        ((PAGE,), PAGE, 101),
        ((PAGE,), "own", 101),
        ((PAGE,), "https://example.org.evil.net", 403),
        (("*",), "https://evil.net", 101),
    ],
)
def test_pages_of_other_origins_are_refused(
    path: str,
    cors: tuple[str, ...],
    origin: str | None,
    status: int,
    services: dict[tuple[str, ...], str],
) -> None:
    url = services[cors]
    assert _opened(url, path, url if origin == "own" else origin) == status


def test_the_log_says_why(
    services: dict[tuple[str, ...], str], caplog: pytest.LogCaptureFixture
) -> None:
    """A browser tells its page nothing."""
    caplog.set_level(logging.INFO, "zoo.serve.requests")
    assert _opened(services[()], live.PATH, PAGE) == 403
    [told] = [record.msg for record in caplog.records]
    assert (told["path"], told["status"]) == (live.PATH, 403)
    assert PAGE in told["error"] and "cors" in told["error"]


@pytest.mark.parametrize(
    "origin", ["https://example.org/", "example.org", "https://Example.org", ""]
)
def test_what_no_browser_would_send_is_refused(origin: str) -> None:
    """It would silently let nobody in."""
    with pytest.raises(UserError, match="no origin"):
        ServeArgs(("m",), cors=(PAGE, origin))
    assert ServeArgs(("m",), cors=(PAGE, "http://[::1]:3000", "*")).cors
