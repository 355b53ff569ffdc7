"""OpenAI's realtime API for transcription, as `openai.OpenAI().realtime.connect(model=NAME)` speaks
it.

    ws://HOST/v1/realtime?model=NAME

In: `session.update` (the rate of `audio/pcm`, and the pause of `server_vad`),
`input_audio_buffer.append` (16-bit samples in base64), `.commit` and `.clear`. Out:
`session.created` and `.updated`, `input_audio_buffer.committed`, and of each text
`conversation.item.input_audio_transcription.delta` and `.completed`; `error` where an event can't
be. A delta is sent only where it continues what was sent: a text that a model has changed comes
with `.completed`, whole. https://platform.openai.com/docs/guides/realtime-transcription
"""

import base64
import binascii
import json
import uuid
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from tasks import json_files
from tasks.errors import UserError
from zoo.serve.access import refusal
from zoo.serve.errors import ServeError
from zoo.serve.protocols.websocket import SUBPROTOCOL, ended, messages
from zoo.serve.service import Service
from zoo.serve.streams import LiveStream

PATH = "/v1/realtime"
RATE = 24_000
"""Of OpenAI's `pcm16`."""
OFFERED = ("realtime", SUBPROTOCOL)
"""Subprotocols of browsers, of which one is accepted."""
TRANSCRIPT = "conversation.item.input_audio_transcription"


def router(service: Service) -> APIRouter:
    """Return the route."""
    made = APIRouter()

    @made.websocket(PATH)
    async def converse(socket: WebSocket) -> None:
        offered = socket.scope.get("subprotocols", ())
        await socket.accept(next((one for one in OFFERED if one in offered), None))
        session = Session(service, socket)
        try:
            await session.run()
        except WebSocketDisconnect:
            return
        except (ServeError, UserError) as error:
            await ended(socket, error)
        finally:
            await session.close()

    return made


class Session:
    """One connection: a sound that is spoken, and the texts of it so far."""

    def __init__(self, service: Service, socket: WebSocket) -> None:
        self._service, self._socket = service, socket
        self._model = socket.query_params.get("model")
        self._rate = RATE
        self._pause_s: float | None = None
        self._stream: LiveStream | None = None
        self._item, self._said = _id("item"), ""

    async def run(self) -> None:
        """Answer events until the client goes."""
        self._service.model(self._model)  # at once, not with the first sound
        await self._send("session.created", session=self._described())
        async for message in messages(self._socket, self._service.limits.timeout_s):
            event: Mapping[str, Any] = {}
            try:
                event = _event(message)
                await self._answer(event)
            except UserError as error:
                said = refusal(error)
                told = {"type": "invalid_request_error", "code": None, "message": said["error"]}
                told |= {"param": said.get("field"), "event_id": event.get("event_id")}
                await self._send("error", error=told)

    async def close(self) -> None:
        """Give the worker's place to others."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    async def _answer(self, event: Mapping[str, Any]) -> None:
        kind = event["type"]
        if kind in ("session.update", "transcription_session.update"):
            await self._update(event.get("session"))
        elif kind == "input_audio_buffer.append":
            await self._tell(await (await self._opened()).push(_samples(event)))
        elif kind == "input_audio_buffer.commit":
            await self._commit()
        elif kind == "input_audio_buffer.clear":
            await self.close()
            self._item, self._said = _id("item"), ""
            await self._send("input_audio_buffer.cleared")
        else:
            raise UserError(f"no event {kind!r} here", "type", "this service transcribes")

    async def _update(self, session: Any) -> None:
        """Take what of a session is a matter of transcription."""
        if not isinstance(session, Mapping):
            raise UserError("`session` is no object of JSON")
        heard = _inner(_inner(session, "audio"), "input")
        form, turns = _inner(heard, "format"), _inner(heard, "turn_detection")
        turns = turns or _inner(session, "turn_detection")  # where it stood before
        kind = form.get("type", session.get("input_audio_format", "audio/pcm"))
        if kind not in ("audio/pcm", "pcm16"):
            raise UserError(f"the format {kind!r} is not heard", "format", "send audio/pcm")
        rate, silence = form.get("rate", RATE), turns.get("silence_duration_ms")
        if type(rate) is not int or type(silence) not in (int, float, type(None)):
            raise UserError("`rate` and `silence_duration_ms` are numbers", "session")
        await self.close()
        self._rate, self._pause_s = rate, None if silence is None else silence / 1000
        await self._opened()
        await self._send("session.updated", session=self._described())

    async def _opened(self) -> LiveStream:
        if self._stream is None:
            self._stream = await LiveStream.open(
                self._service, self._model, self._rate, self._pause_s
            )
        return self._stream

    async def _commit(self) -> None:
        if self._stream is None:
            raise UserError("nothing was heard yet", "type", "append samples first")
        await self._tell(await self._stream.finish())
        await self._stream.again(self._pause_s)

    async def _tell(self, partials: list[dict[str, Any]]) -> None:
        for one in partials:
            text = str(one.get("text", one.get("label", "")))
            if text.startswith(self._said) and text != self._said:
                await self._of_item("delta", delta=text[len(self._said) :])
                self._said = text
            if one["type"] == "final":
                await self._send("input_audio_buffer.committed", item_id=self._item)
                await self._of_item("completed", transcript=text)
                self._item, self._said = _id("item"), ""

    async def _of_item(self, what: str, **content: Any) -> None:
        await self._send(f"{TRANSCRIPT}.{what}", item_id=self._item, content_index=0, **content)

    async def _send(self, kind: str, **content: Any) -> None:
        event = {"type": kind, "event_id": _id("event"), **content}
        await self._socket.send_text(json.dumps(event, ensure_ascii=False))

    def _described(self) -> dict[str, Any]:
        model = self._service.model(self._model).name
        heard = {"format": {"type": "audio/pcm", "rate": self._rate}}
        return {
            "type": "transcription",
            "id": _id("session"),
            "audio": {"input": {**heard, "transcription": {"model": model}}},
        }


def _event(message: bytes | str) -> Mapping[str, Any]:
    """Return an event. Raises `UserError` where a message is none."""
    try:
        event = json_files.parse(message, strict=True)
    except ValueError as error:
        raise UserError(f"an event is JSON, and this is none: {error}") from None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise UserError("an event has a type", "type")
    return event


def _samples(event: Mapping[str, Any]) -> bytes:
    try:
        return base64.b64decode(event["audio"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise UserError("`audio` is no base64") from None


def _inner(outer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = outer.get(name)
    return found if isinstance(found, Mapping) else {}


def _id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex}"
