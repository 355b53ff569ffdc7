"""What every request passes: its id, its key, its size, its time; and what its answer carries.

A pure ASGI middleware, since it is on the path of each request: https://asgi.readthedocs.io
"""

import asyncio
import json
import logging
import math
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import ClientDisconnect

from tasks.errors import UserError, spelled
from zoo.serve import cache, errors, keys
from zoo.serve.errors import (
    Forbidden,
    ServeError,
    SlowRequest,
    TooLarge,
    TooManyBytes,
    TooManyConnections,
    Unauthorized,
    Unavailable,
)
from zoo.serve.logs import REQUESTS
from zoo.serve.metrics import Metrics

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Form = Callable[[int, Mapping[str, Any]], dict[str, Any]]

LOG = logging.getLogger(__name__)
GIVEN_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
"""A request id that is taken from the client."""
QUICK_S = 0.05
"""Answers that come sooner are not worth a look at whether the client has gone."""
STATE = "zoo"
"""The key of a scope under which a route leaves what is said of the request: model, sha256."""
DEFAULT_PORTS = {"http": ":80", "https": ":443"}
"""Which an origin and a host leave out."""
LONGEST_ORIGIN = 100
"""Characters of an origin that the log repeats."""
FULL = "zoo.full"
"""The key of a scope that says, of a request on one connection too many, how many there may be."""


@dataclass(frozen=True)
class Access:
    """What requests are held to."""

    max_body: int
    """bytes"""
    slow_client_s: float
    """that a client has to send a body"""
    max_in_flight: float = math.inf
    """bytes of the bodies of all requests that are being answered"""
    keys: Sequence[bytes] = ()
    """of which a request brings one; none: it needs none"""
    open_paths: Sequence[str] = ()
    """that need no key to be read; those that end in a slash with all below them"""
    origins: Sequence[str] = ()
    """of pages, besides the service's own, that may open a WebSocket; "*": all"""
    forms: Mapping[str, Form] = field(default_factory=dict)
    """what a refusal looks like below a path that ends in a slash, given its status and what
    `refusal` says, where it has another form"""
    probes: Sequence[str] = ()
    """paths that are asked again and again: answered on one connection too many as well, and no
    line of the log where nothing is wrong"""

    def is_open(self, method: str, path: str) -> bool:
        """Return whether a request needs no key; what is posted always does."""
        return method in ("GET", "HEAD") and any(
            path == one or (one.endswith("/") and one != "/" and path.startswith(one))
            for one in self.open_paths
        )

    def may_open(self, origin: str | None, host: str | None) -> bool:
        """Return whether a page may open a WebSocket. Browsers let any page do so, and leave it to
        the service to look at the header Origin (RFC 6455, 10.2), which nobody else has to send.

        Args:
            host: the header Host.
        """
        if origin is None or is_same_origin(origin, host):
            return True
        return "*" in self.origins or origin in self.origins


class AccessMiddleware:
    """See the module."""

    def __init__(self, app: App, access: Access, metrics: Metrics) -> None:
        self.app, self.access, self.metrics = app, access, metrics
        self.in_flight = 0
        """bytes of the bodies of requests that are being answered"""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "websocket" and (why := self._refused(scope)):
            told = {"path": scope["path"], "status": Forbidden.status, "error": why}
            REQUESTS.info({"request": uuid.uuid4().hex, "method": "GET", **told})
            await send({"type": "websocket.close", "code": 1008})  # before it is open: 403
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        await Exchange(self, scope, receive, send).run()

    def _refused(self, scope: Scope) -> str | None:
        """Return why a WebSocket is not to be opened; None where it is."""
        origin = header(scope, b"origin")
        if not self.access.may_open(origin, header(scope, b"host")):
            shown = (origin or "")[:LONGEST_ORIGIN]
            return spelled(f"a page of {shown} may not open it: `cors` names the origins that may")
        return None if self.may(scope) else "no known key"

    def may(self, scope: Scope) -> bool:
        """Return whether a request brings the key that it needs."""
        if not self.access.keys or self.access.is_open(scope.get("method", ""), scope["path"]):
            return True
        offered = scope.get("subprotocols", ())
        given = header(scope, b"authorization") or keys.of_subprotocols(offered)
        return keys.is_known(given, self.access.keys)


class Exchange:
    """One request and its answer."""

    def __init__(
        self, middleware: AccessMiddleware, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self.app, self.access = middleware.app, middleware.access
        self.metrics, self._middleware = middleware.metrics, middleware
        self.scope, self._receive, self._send = scope, receive, send
        given = header(scope, b"x-request-id") or ""
        self.id = given if GIVEN_ID.fullmatch(given) else uuid.uuid4().hex
        self.said: dict[str, str] = {}
        scope[STATE] = self.said
        self.began = time.monotonic()
        self.status = 0
        self.read = 0
        self._whole = asyncio.Event()
        """set when the body has come"""

    async def run(self) -> None:
        """Answer it, whatever happens on the way, and tell of it."""
        self.metrics.began()
        cache.SAID.set(self.said)
        try:
            await self._answered()
        except (ServeError, UserError) as error:
            await self._refuse(error)
        except ClientDisconnect:
            self.status = self.status or CLIENT_GONE
        except asyncio.CancelledError:  # the time to drain is over
            await self._refuse(Unavailable("the service ends"))
        except Exception:
            LOG.exception("request %s", self.id)
            await self._refuse(Unavailable("an error of the service's own; its log has more"))
        finally:
            self._tell()

    async def _answered(self) -> None:
        if FULL in self.scope and self.scope["path"] not in self.access.probes:
            self.metrics.rejected("", "connections")
            raise TooManyConnections(self.scope[FULL])
        if not self._middleware.may(self.scope):
            raise Unauthorized("no known key: Authorization: Bearer KEY")
        size = header(self.scope, b"content-length")
        if size is not None:
            self._must_fit(int(size), int(size))  # the parser has read a number
        work = asyncio.ensure_future(self.app(self.scope, self.receive, self.send))
        try:
            await asyncio.wait((work,), timeout=QUICK_S)
            if not work.done():
                await self._unless_gone(work)
            await work
        finally:
            work.cancel()

    async def _unless_gone(self, work: "asyncio.Future[None]") -> None:
        """Wait for the answer; where the client goes before, drop the work."""
        gone = asyncio.ensure_future(self._gone())
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and not self.status:
                work.cancel()
                self.status = CLIENT_GONE
                await asyncio.wait((work,))
        finally:
            gone.cancel()

    async def _gone(self) -> None:
        """Wait until the client goes; until it has sent its body, whoever reads that would see it,
        and may be the only one that reads."""
        await self._whole.wait()
        await self._receive()

    async def receive(self) -> MutableMapping[str, Any]:
        """Return the next part of the body, within its time and size."""
        left = self.began + self.access.slow_client_s - time.monotonic()
        if self._whole.is_set():
            return await self._receive()
        try:
            async with asyncio.timeout(max(left, 0.0)):
                message = await self._receive()
        except TimeoutError:
            raise SlowRequest(
                f"the body did not come within {self.access.slow_client_s:g} s"
            ) from None
        count = len(message.get("body", b""))
        self._must_fit(self.read + count, count)
        self._hold(count)
        self.read += count
        if not message.get("more_body", False):
            self._whole.set()
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Send a part of the answer, its head with what all answers carry."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            more = [(b"x-request-id", self.id.encode())]
            if sha256 := self.said.get("sha256"):
                more.append((b"x-model-sha256", sha256.encode()))
            if cached := self.said.get("cache"):
                more.append((b"x-cache", cached.encode()))
            message["headers"] = [*message.get("headers", ()), *more]
        await self._send(message)

    async def _refuse(self, error: ServeError | UserError) -> None:
        if self.status:  # half of an answer is out; the server closes the connection
            return
        headers = error.headers() if isinstance(error, ServeError) else {}
        status, said = errors.status_of(error), refusal(error)
        for prefix, form in self.access.forms.items():
            if self.scope["path"].startswith(prefix):
                said = form(status, said)
        body = json.dumps(said, ensure_ascii=False).encode()
        written = {"content-type": "application/json", "content-length": str(len(body)), **headers}
        if isinstance(error, SlowRequest):
            written["connection"] = "close"
        pairs = [(name.encode(), value.encode()) for name, value in written.items()]
        start = {"type": "http.response.start", "status": status}
        await self.send({**start, "headers": pairs})
        await self._send({"type": "http.response.body", "body": body})

    def _must_fit(self, size: int, more: int) -> None:
        """Raise `TooLarge` for a body of so many bytes, and `TooManyBytes` where there is no room
        for so many more beside those of other requests."""
        if size > self.access.max_body:
            raise TooLarge(f"the body is larger than {self.access.max_body:,} bytes")
        if self._middleware.in_flight + more > self.access.max_in_flight:
            self.metrics.rejected("", "bytes")
            raise TooManyBytes(self._middleware.in_flight)

    def _hold(self, count: int) -> None:
        """Count bytes that were read and are kept; those of all requests together are bounded."""
        self._middleware.in_flight += count
        self.metrics.holds(self._middleware.in_flight)

    def _tell(self) -> None:
        self._hold(-self.read)
        seconds = time.monotonic() - self.began
        route = getattr(self.scope.get("route"), "path", "other")
        self.metrics.ended(self.said.get("model", ""), route, self.status, seconds)
        is_probe = self.scope["path"] in self.access.probes and self.status < 400
        level = logging.DEBUG if is_probe else logging.INFO
        if REQUESTS.isEnabledFor(level):
            REQUESTS.log(
                level,
                {
                    "request": self.id,
                    "method": self.scope["method"],
                    "path": self.scope["path"],
                    "status": self.status,
                    "seconds": round(seconds, 6),
                    "bytes": self.read,
                    **self.said,
                },
            )


CLIENT_GONE = 499
"""nginx's status of a request whose client did not wait for the answer."""


def refusal(error: ServeError | UserError) -> dict[str, Any]:
    """Return what is said of an error: `error`, and `field` and `hint` where there are such."""
    said: dict[str, Any] = {"error": spelled(str(error), pattern="{}")}
    if isinstance(error, UserError):
        said |= {"field": error.field} if error.field else {}
        said |= {"hint": spelled(error.hint, pattern="{}")} if error.hint else {}
    return said


def is_same_origin(origin: str, host: str | None) -> bool:
    """Return whether a page is of the host that it asks. The scheme is left aside: TLS may end
    before the service.

    Args:
        origin: SCHEME://HOST[:PORT], or "null" of a page without one (RFC 6454).
        host: HOST[:PORT], as the header Host has it.
    """
    scheme, _, place = origin.lower().partition("://")
    port = DEFAULT_PORTS.get(scheme, "")
    return bool(place) and place.removesuffix(port) == (host or "").lower().removesuffix(port)


def header(scope: Scope, name: bytes) -> str | None:
    """Return the value of a header, the first of several."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)
