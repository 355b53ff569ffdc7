"""A small HTTP/1.1 client over asyncio's transports: keep-alive, no task a request.

It shares the cores with the service that is measured, so it does what a load generator needs and
no more: requests are bytes that were made before, and of an answer the status is read, and the body
where it is asked for.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

Done = Callable[[int, bytes], None]
"""Called once for each request with the status of the answer, 0 for none, and its body (empty where
bodies are not kept)."""
END_OF_HEAD = b"\r\n\r\n"
LONGEST_HEAD = 65_536


def request_bytes(url: str, body: bytes, content_type: str, key: str | None = None) -> bytes:
    """Return a POST request to a URL as it goes over the wire.

    Args:
        key: sent as a bearer token.
    """
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"POST {target} HTTP/1.1",
        f"Host: {parts.netloc}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
    ]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    return "\r\n".join(lines).encode() + END_OF_HEAD + body


class Connection(asyncio.Protocol):
    """A connection that carries one request at a time."""

    def __init__(self, pool: "Pool") -> None:
        self.pool = pool
        self.transport: asyncio.Transport | None = None
        self.done: Done | None = None
        self.data = b""
        """the request that is under way"""
        self.is_used = False
        """whether it has carried an answer: the service may close such a one at any time"""
        self._forget()

    def _forget(self) -> None:
        self.buffer = bytearray()
        self.status = 0
        self.left: int | None = None
        """bytes of the body that are still to come; None: until the end of the connection"""
        self.head_read = self.chunked = self.closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self.transport = cast(asyncio.Transport, transport)

    def send(self, data: bytes, done: Done) -> None:
        """Send a request; `done` is called when it is answered or the connection is lost."""
        assert self.transport is not None and self.done is None
        self._forget()
        self.data, self.done = data, done
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if self.done is None:  # what nobody asked for
            self.close()
            return
        self.buffer += data
        if not self.head_read and not self._read_head():
            return
        if self.chunked:
            body = _of_chunks(self.buffer)
            if body is not None:
                self._finish(body)
        elif self.left is not None and len(self.buffer) >= self.left:
            self._finish(bytes(self.buffer[: self.left]) if self.pool.keeps_bodies else b"")

    def _read_head(self) -> bool:
        end = self.buffer.find(END_OF_HEAD)
        if end < 0:
            if len(self.buffer) > LONGEST_HEAD:
                self.close()
            return False
        first, *lines = bytes(self.buffer[:end]).lower().split(b"\r\n")
        del self.buffer[: end + len(END_OF_HEAD)]
        words = first.split(None, 2)
        if len(words) < 2 or not words[0].startswith(b"http/1.") or not words[1].isdigit():
            self.close()
            return False
        self.status = int(words[1])
        self.left = 0 if self.status in (204, 304) else None
        for line in lines:
            name, _, value = line.partition(b":")
            value = value.strip()
            if name == b"content-length" and value.isdigit():
                self.left = int(value)
            elif name == b"transfer-encoding":
                self.chunked = value.endswith(b"chunked")
            elif name == b"connection":
                self.closing = value == b"close"
        if 100 <= self.status < 200:  # "continue": the answer is still to come
            return bool(self.buffer) and self._read_head()
        self.head_read = True
        return True

    def _finish(self, body: bytes) -> None:
        done, self.done = self.done, None
        assert done is not None
        status, self.is_used = self.status, True
        if self.closing:
            self.close()
        else:
            self.pool.free(self)
        done(status, body if self.pool.keeps_bodies else b"")

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self.transport = None
        self.pool.lost(self)
        done, self.done = self.done, None
        if done is None:
            return
        if self.head_read and self.left is None and not self.chunked and exc is None:
            done(self.status, bytes(self.buffer) if self.pool.keeps_bodies else b"")
        elif self.is_used and not self.head_read and not self.buffer and not self.pool.is_closed:
            self.pool.send(self.data, done, anew=True)  # closed as idle while we wrote to it
        else:
            done(0, b"")

    def close(self) -> None:
        """Close the connection; a request under way has no answer."""
        if self.transport is not None:
            self.transport.abort() if self.done is not None else self.transport.close()


def _of_chunks(buffer: bytearray) -> bytes | None:
    """Return the body of a chunked answer; None where the end is still to come."""
    body, place = bytearray(), 0
    while True:
        end = buffer.find(b"\r\n", place)
        if end < 0:
            return None
        try:
            size = int(bytes(buffer[place:end]).partition(b";")[0], 16)
        except ValueError:
            return None
        begin = end + 2
        if size == 0:
            return bytes(body) if buffer.find(b"\r\n", begin) >= 0 else None
        if len(buffer) < begin + size + 2:
            return None
        body += buffer[begin : begin + size]
        place = begin + size + 2


class Pool:
    """Connections to one host: a request takes an idle one or opens another, up to `most`; above
    that it waits, and its latency goes on."""

    def __init__(self, url: str, most: int = 512, keeps_bodies: bool = False) -> None:
        """Nothing is opened yet.

        Args:
            url: http://HOST:PORT/...; https is not spoken.
            most: connections that are open at once.
            keeps_bodies: whether `Done` is given the bodies of answers.
        """
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self.most, self.keeps_bodies = most, keeps_bodies
        self.opened = 0
        """connections opened in all"""
        self.is_closed = False
        self._idle: list[Connection] = []
        self._waiting: deque[tuple[bytes, Done]] = deque()
        self._open: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()

    def send(self, data: bytes, done: Done, anew: bool = False) -> None:
        """Send a request as soon as there is a connection for it.

        Args:
            anew: on a connection that nothing was sent on before.
        """
        if self.is_closed:
            done(0, b"")
        elif self._idle and not anew:
            self._idle.pop().send(data, done)
        elif len(self._open) + len(self._opening) < self.most:
            task = asyncio.get_running_loop().create_task(self._connect(data, done))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        else:
            self._waiting.append((data, done))

    async def _connect(self, data: bytes, done: Done) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(self), self.host, self.port
            )
        except OSError:
            done(0, b"")
            return
        self.opened += 1
        self._open.add(connection)
        connection.send(data, done)

    def free(self, connection: Connection) -> None:
        """Take back a connection whose request was answered: the next one that waits gets it."""
        if self._waiting:
            connection.send(*self._waiting.popleft())
        else:
            self._idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """Forget a connection that has ended; a request that waits may open another."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._waiting and not self.is_closed:
            self.send(*self._waiting.popleft())

    async def close(self) -> None:
        """Close all connections; requests under way and those that wait have no answer."""
        self.is_closed = True
        for task in list(self._opening):
            task.cancel()
        for connection in list(self._open):
            connection.close()
        while self._waiting:
            _, done = self._waiting.popleft()
            done(0, b"")
        await asyncio.sleep(0)
