"""Bounds on what a server may send, and on how long it may take for it.

huggingface_hub keeps whole answers in memory, unpacks them without a limit, and waits anew for
every byte. So its client is given a transport that counts.
"""

import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tasks.errors import UserError

ANSWER_BYTES = 64_000_000
"""The largest answer that is no file, in bytes, unpacked. The answer about a repo with 100,000
files has 30 MB."""
READ_S = 45.0
"""Seconds between two pieces of an answer."""
SILENCE_S = 80.0
"""Seconds of waiting in vain, however often it was tried, after which it is given up."""
LONGEST_PAUSE_S = 120.0
"""The longest pause that the Hub may ask for, in seconds; where it asks for more, the user
decides."""
ASKED = "X-Asked-For-Pause"
"""The header in which the length of that pause stands."""
PATIENCE_S = 60.0
"""Seconds of waiting within one answer, from which on it must come faster than SLOWEST."""
SLOWEST = 1000.0
"""The slowest answer that is waited for, in bytes a second."""
PIECE = 65_536

_most: ContextVar[int | None] = ContextVar("most", default=None)


class TooSilent(Exception):
    """Nothing has answered for long; nothing in huggingface_hub takes this for worth a retry."""


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """Lets answers have so many bytes while the context lasts."""
    before = _most.set(size)
    try:
        yield
    finally:
        _most.reset(before)


def bound(client: Any) -> Any:
    """Puts the bounds on a client of httpx or httpx2, whichever huggingface_hub goes by.

    What is too much raises `UserError`; what is too slow is httpx's ReadTimeout.
    """
    client.headers["Accept-Encoding"] = "gzip"
    client._transport = _transport(client._transport)
    client._mounts = {
        pattern: None if one is None else _transport(one) for pattern, one in client._mounts.items()
    }
    return client


def _transport(inner: Any) -> Any:
    http = sys.modules[type(inner).__module__.partition(".")[0]]
    if hasattr(inner, "_pool"):
        inner._pool._network_backend = _Backend(inner._pool._network_backend, http.ReadTimeout)

    class Stream(http.SyncByteStream):  # type: ignore[misc, name-defined]
        """The body of an answer, unpacked."""

        def __init__(self, body: Any, is_packed: bool, most: int) -> None:
            self.body, self.is_packed, self.most = body, is_packed, most

        def __iter__(self) -> Iterator[bytes]:
            size = 0
            pieces = iter(_unpacked(self.body, http) if self.is_packed else self.body)
            while True:
                with _silence.watched(http.TimeoutException):
                    piece = next(pieces, None)
                if piece is None:
                    return
                size += len(piece)
                if size > self.most:
                    raise UserError(
                        f"the Hub's answer has more than the {self.most:,} bytes that it may have: "
                        "refused"
                    )
                yield piece

        def close(self) -> None:
            self.body.close()

    class Transport(http.BaseTransport):  # type: ignore[misc, name-defined]
        """An HTTP transport whose requests and answers are counted against the bounds of this
        module."""

        def handle_request(self, request: Any) -> Any:
            _limit_waiting(request)
            with _silence.watched(http.TimeoutException):
                answer = inner.handle_request(request)
            _silence.seconds = 0.0
            _shorten_pauses(answer)
            packing = answer.headers.get("Content-Encoding", "identity")
            if request.method == "HEAD":
                return answer
            if packing not in ("identity", "gzip"):
                raise UserError(f"the Hub answers in {packing}, which nobody asked it for: refused")
            most = _most.get()
            most = ANSWER_BYTES if most is None else most
            answer.stream = Stream(answer.stream, packing == "gzip", most)
            if packing == "gzip":
                for name in ("Content-Encoding", "Content-Length"):
                    answer.headers.pop(name, None)
            return answer

        def close(self) -> None:
            inner.close()

    return Transport()


def _unpacked(body: Any, http: Any) -> Iterator[bytes]:
    """The bytes of a gzip stream, in pieces of PIECE at most."""
    unpacker = zlib.decompressobj(31)
    try:
        for packed in body:
            rest = packed
            while rest:
                yield unpacker.decompress(rest, PIECE)
                rest = unpacker.unconsumed_tail
    except zlib.error as error:
        raise http.RemoteProtocolError(f"damaged gzip ({error})") from None
    if not unpacker.eof:
        raise http.RemoteProtocolError("gzip without an end")


def _limit_waiting(request: Any) -> None:
    """Lets no call wait longer for a byte than READ_S, whatever huggingface_hub asked for."""
    timeouts = request.extensions.get("timeout") or {}
    given = timeouts.get("read")
    longest = READ_S if given is None else min(given, READ_S)
    request.extensions["timeout"] = {**timeouts, "read": longest}


def _shorten_pauses(answer: Any) -> None:
    """Hides from huggingface_hub that it should wait very long: it would, without a word."""
    if answer.status_code == 429:
        answer.headers.pop("RateLimit", None)
    asked = answer.headers.get("Retry-After", "")
    if asked and (not asked.strip().isdigit() or float(asked) > LONGEST_PAUSE_S):
        answer.headers.pop("Retry-After", None)
        answer.headers[ASKED] = asked


class _Silence:
    """Seconds of waiting in vain since the last answer."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def watched(self, kind: type[Exception]) -> Iterator[None]:
        """Counts what is waited in vain. Raises `TooSilent` where it is SILENCE_S in all."""
        begin = time.monotonic()
        try:
            yield
        except kind as error:
            self.seconds += time.monotonic() - begin
            if self.seconds > SILENCE_S:
                raise TooSilent(f"no answer in {self.seconds:.0f} s") from error
            raise


_silence = _Silence()


class _Backend:
    """Opens connections that are timed."""

    def __init__(self, inner: Any, too_slow: type[Exception]) -> None:
        self.inner, self.too_slow = inner, too_slow

    def connect_tcp(self, *words: Any, **named: Any) -> "_Connection":
        return _Connection(self.inner.connect_tcp(*words, **named), self.too_slow)

    def connect_unix_socket(self, *words: Any, **named: Any) -> "_Connection":
        return _Connection(self.inner.connect_unix_socket(*words, **named), self.too_slow)

    def sleep(self, seconds: float) -> None:
        self.inner.sleep(seconds)


class _Connection:
    """Counts bytes, and seconds that were waited for them, since something was last sent."""

    def __init__(self, inner: Any, too_slow: type[Exception]) -> None:
        self.inner, self.too_slow = inner, too_slow
        self.waited, self.received = 0.0, 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        begin = time.monotonic()
        data: bytes = self.inner.read(max_bytes, timeout)
        self.waited += time.monotonic() - begin
        self.received += len(data)
        if self.waited > PATIENCE_S and self.received < SLOWEST * self.waited:
            raise self.too_slow(f"{self.received:,} bytes in {self.waited:.0f} s")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.waited, self.received = 0.0, 0
        self.inner.write(buffer, timeout)

    def start_tls(self, *words: Any, **named: Any) -> "_Connection":
        return _Connection(self.inner.start_tls(*words, **named), self.too_slow)

    def close(self) -> None:
        self.inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self.inner.get_extra_info(info)
