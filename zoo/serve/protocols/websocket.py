"""Live sound over a WebSocket: samples in, texts out while it is spoken.

    ws://HOST/websocket?model=NAME&rate=16000&pause_s=0.5

In come binary messages, 16-bit samples (little endian, one channel) cut anywhere, and the text
message "end" (or {"type": "end"}), which ends the sound. Out come text messages, JSON:
{"type": "partial" | "final", "start", "end", "text", "words"}, seconds of the sound, and
{"type": "error", "error"} before the service closes. A partial text may still change: the next one
stands in its place.
"""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from tasks.errors import UserError
from zoo.serve.access import refusal
from zoo.serve.errors import ServeError, SlowRequest
from zoo.serve.service import Service
from zoo.serve.streams import LiveStream

PATH = "/websocket"
RATE = 16_000
SUBPROTOCOL = "zoo"
"""What a browser offers beside its key, and wants to be accepted."""
CLOSES = {422: 1007, 404: 1008, 408: 1008, 413: 1009, 429: 1013, 503: 1012}
"""The code of RFC 6455 that a socket is closed with, by the status of HTTP."""


def router(service: Service) -> APIRouter:
    """Return the route."""
    made = APIRouter()

    @made.websocket(PATH)
    async def listen(socket: WebSocket) -> None:
        offered = socket.scope.get("subprotocols", ())
        await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        try:
            await _heard(service, socket)
        except WebSocketDisconnect:
            return
        except (ServeError, UserError) as error:
            await ended(socket, error)
        else:
            await socket.close()

    return made


async def ended(socket: WebSocket, error: ServeError | UserError) -> None:
    """Tell a client what was wrong, and close."""
    status = error.status if isinstance(error, ServeError) else 422
    said = refusal(error)
    await socket.send_text(json.dumps({"type": "error", **said}, ensure_ascii=False))
    await socket.close(CLOSES.get(status, 1011), said["error"][:100])


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
    rate = _number(query.get("rate"), "rate", RATE)
    pause = query.get("pause_s")
    pause_s = None if pause is None else _number(pause, "pause_s", 0.0)
    stream = await LiveStream.open(service, query.get("model"), round(rate), pause_s)
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


def _number(text: str | None, name: str, usual: float) -> float:
    if text is None:
        return usual
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise UserError(f"`{name}` {text!r}: a number above 0")
    return number
