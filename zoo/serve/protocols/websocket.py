"""Live sound over a WebSocket: samples in, texts out while it is spoken.

    ws://HOST/websocket?model=NAME&rate=16000&pause_s=0.5

All of the query may be left out: the only model that hears needs no name. In come binary messages,
16-bit samples (little endian, one channel) cut anywhere, and the text message "end" (or
{"type": "end"}), which ends the sound. Out come text messages, JSON:
{"type": "partial" | "final", "start", "end", "text", "words"}, seconds of the sound, and
{"type": "error", "error"} before the service closes. A partial text may still change: the next one
stands in its place.
"""

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from tasks.errors import UserError
from zoo.serve.access import refusal
from zoo.serve.errors import ServeError, SlowRequest, status_of
from zoo.serve.service import Service
from zoo.serve.streams import LiveStream

PATH = "/websocket"
RATE = 16_000
SUBPROTOCOL = "zoo"
"""What a browser offers beside its key, and wants to be accepted."""
LONGEST_PAUSE_S = 60.0
"""That ends a text."""
FASTEST_RATE = 1e6
"""Samples a second."""
LONGEST_REASON = 120
"""Bytes of the reason that a socket is closed with; RFC 6455 has room for 123."""
CLOSES = {422: 1007, 404: 1008, 408: 1008, 413: 1009, 429: 1013, 503: 1012}
"""The code of RFC 6455 that a socket is closed with, by the status of HTTP."""


def router(service: Service) -> APIRouter:
    """Return the route."""
    made = APIRouter()

    @made.websocket(PATH)
    async def listen(socket: WebSocket) -> None:
        offered = socket.scope.get("subprotocols", ())
        await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        await held(socket, _heard(service, socket), lambda _, said: dict(said))

    return made


async def held(
    socket: WebSocket,
    talk: Awaitable[None],
    form: Callable[[int, Mapping[str, Any]], dict[str, Any]],
) -> None:
    """Hold a conversation to its end; what it is refused for is told, and the socket is closed.

    Args:
        form: what an error looks like, given its status of HTTP and what `refusal` says.
    """
    with contextlib.suppress(WebSocketDisconnect):  # the client may go at any time
        try:
            await talk
        except (ServeError, UserError) as error:
            status, said = status_of(error), refusal(error)
            told = {"type": "error", **form(status, said)}
            await socket.send_text(json.dumps(told, ensure_ascii=False))
            reason = said["error"].encode()[:LONGEST_REASON].decode("utf-8", "ignore")
            await socket.close(CLOSES.get(status, 1011), reason)
        else:
            await socket.close()


def hearing(service: Service, name: str | None) -> str:
    """Return the name of the model that is to hear: the named one, else the only one that can.

    Raises:
        NotFound: there is none of this name.
        UserError: none is named, and several could be meant.
    """
    able = [one.name for one in service.models.values() if one.kind == "audio"]
    return able[0] if name is None and len(able) == 1 else service.model(name).name


async def messages(socket: WebSocket, idle_s: float) -> AsyncIterator[bytes | str]:
    """Yield what a client sends until it goes.

    Raises:
        SlowRequest: it sends nothing for so many seconds.
        WebSocketDisconnect: it has gone without an end.
    """
    while True:
        try:
            async with asyncio.timeout(idle_s):
                message = await socket.receive()
        except TimeoutError:
            raise SlowRequest(f"nothing came for {idle_s:g} s") from None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        content: bytes | str | None = message.get("bytes")
        yield message["text"] if content is None else content


async def _heard(service: Service, socket: WebSocket) -> None:
    query = socket.query_params
    rate = _number(query.get("rate", str(RATE)), "rate", FASTEST_RATE)
    pause = query.get("pause_s")
    pause_s = None if pause is None else _number(pause, "pause_s", LONGEST_PAUSE_S)
    model = hearing(service, query.get("model"))
    stream = await LiveStream.open(service, model, round(rate), pause_s)
    try:
        async for message in messages(socket, service.limits.timeout_s):
            if isinstance(message, bytes):
                await _say(socket, await stream.push(message))
            elif _is_end(message):
                await _say(socket, await stream.finish())
                return
            else:
                raise UserError("a text message is no sound", hint='send samples, or "end"')
    finally:
        await stream.close()


def _is_end(message: str) -> bool:
    if message.strip() == "end":
        return True
    try:
        told = json.loads(message)
    except ValueError:
        return False
    return isinstance(told, dict) and told.get("type") == "end"


async def _say(socket: WebSocket, partials: list[dict[str, Any]]) -> None:
    for one in partials:
        await socket.send_text(json.dumps(one, ensure_ascii=False))


def _number(text: str, name: str, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= most:
        raise UserError(f"`{name}` {text[:40]!r}: a number above 0, at most {most:,.0f}", name)
    return number
