"""Connections that are bounded: a client that is slow to send its request, or sends headers without
end, is closed, and what comes on one connection too many is refused. Uvicorn by itself waits for
both, takes any number of WebSockets, and refuses probes where it refuses requests."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from zoo.serve.access import FULL

LARGEST_HEAD = 64 * 1024
"""Bytes of a request's line and headers."""
REFUSED = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n"
    b"connection: close\r\n\r\n"
)
"""What a WebSocket too many is told."""


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 on one connection; the class attributes bound how long a head may take to come, and
    what is left of a body that was refused, and how many connections may be open."""

    slow_client_s = 10.0
    max_connections = 1024

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_bytes = 0
        self._patience: asyncio.TimerHandle | None = None
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        waits = self.cycle is None or self.cycle.response_complete
        if waits and self._patience is None:
            self._wait()
        self._head_bytes += len(data)
        super().data_received(data)
        if self._patience is not None and self._head_bytes > LARGEST_HEAD:
            self._end()

    def on_headers_complete(self) -> None:
        self._settle()
        if self._is_full():  # the application refuses: it knows the probes, which are answered
            scope: Any = self.scope
            scope[FULL] = self.max_connections
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self.cycle.response_complete and self._patience is None:
            self._head_bytes = 0  # of a refused body all is thrown away, and none is kept
            self._wait()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._settle()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        if not self._is_full():
            super().handle_websocket_upgrade()
            return
        self.transport.write(REFUSED)
        self.transport.close()

    def _is_full(self) -> bool:
        return len(self.connections) > self.max_connections

    def _wait(self) -> None:
        self._head_bytes = 0
        self._patience = self.loop.call_later(self.slow_client_s, self._end)

    def _settle(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _end(self) -> None:
        self._settle()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.abort()


def protocol(slow_client_s: float, max_connections: int) -> type[Any]:
    """Return the class of connections of which so many may be open, and whose clients have so many
    seconds for a request's head."""
    bounds = {"slow_client_s": slow_client_s, "max_connections": max_connections}
    return type("Bounded", (BoundedProtocol,), bounds)
