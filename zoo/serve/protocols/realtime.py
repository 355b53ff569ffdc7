"""OpenAI's realtime API for transcription, as `openai.OpenAI().realtime.connect(model=NAME)` speaks
it.

    ws://HOST/v1/realtime?model=NAME

In: `session.update` (the model of `transcription`, the rate of `audio/pcm`, the pause of
`server_vad`; where `turn_detection` is null, texts end where the client commits),
`input_audio_buffer.append` (16-bit samples in base64), `.commit` and `.clear`. Out:
`session.created` and `.updated`, `input_audio_buffer.committed`, and of each text
`conversation.item.input_audio_transcription.delta` and `.completed`; `error` where an event can't
be. A delta is sent only where it continues what was sent: a text that a model has changed comes
with `.completed`, whole. https://platform.openai.com/docs/guides/realtime-transcription
"""

import base64
import binascii
import contextlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, WebSocket

from tasks import json_files
from tasks.errors import UserError
from zoo.serve.access import refusal
from zoo.serve.errors import NotFound, status_of
from zoo.serve.protocols import openai
from zoo.serve.protocols.bodies import name_of, text_of
from zoo.serve.protocols.websocket import LONGEST_PAUSE_S, SUBPROTOCOL, hearing, held, messages
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
            await held(socket, session.run(), openai.refused)
        finally:
            await session.close()

    return made


class Session:
    """One connection: a sound that is spoken, and the texts of it so far."""

    def __init__(self, service: Service, socket: WebSocket) -> None:
        self._service, self._socket = service, socket
        self._model = socket.query_params.get("model")
        """None until it is known which one hears"""
        self._rate = RATE
        self._pause_s: float | None = None
        self._stream: LiveStream | None = None
        self._item, self._said = _id("item"), ""

    async def run(self) -> None:
        """Answer events until the client goes."""
        if self._model is not None:
            self._service.model(self._model)  # told at once, and not with the first sound
        else:
            with contextlib.suppress(UserError):  # several hear: the session names one
                self._model = hearing(self._service, None)
        await self._send("session.created", session=self._described())
        async for message in messages(self._socket, self._service.limits.timeout_s):
            event: Mapping[str, Any] = {}
            try:
                event = _event(message)
                await self._answer(event)
            except UserError as error:
                told = openai.refused(status_of(error), refusal(error))["error"]
                await self._send("error", error={**told, "event_id": event.get("event_id")})

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
            await self._hear(_samples(event))
        elif kind == "input_audio_buffer.commit":
            await self._commit()
        elif kind == "input_audio_buffer.clear":
            await self.close()
            self._item, self._said = _id("item"), ""
            await self._send("input_audio_buffer.cleared")
        else:
            raise UserError(f"no event {kind[:60]!r} here", "type", "this service transcribes")

    async def _update(self, session: Any) -> None:
        """Take what of a session is a matter of transcription."""
        if not isinstance(session, Mapping):
            raise UserError("`session` is no object of JSON")
        heard = _inner(_inner(session, "audio"), "input")
        form, wanted = _inner(heard, "format"), _inner(heard, "transcription")
        kind = form.get("type", session.get("input_audio_format", "audio/pcm"))
        if kind not in ("audio/pcm", "pcm16"):
            raise UserError(
                f"the format {str(kind)[:60]!r} is not heard", "format", "send audio/pcm"
            )
        rate = form.get("rate", RATE)
        if type(rate) is not int:
            raise UserError(f"`rate` is {name_of(rate)}, and not a whole number", "rate")
        before = self._model, self._rate, self._pause_s
        after = self._named(wanted), rate, _pause_of(heard, session)
        await self.close()
        self._model, self._rate, self._pause_s = after
        try:
            await self._opened()
        except UserError:
            self._model, self._rate, self._pause_s = before
            raise
        await self._send("session.updated", session=self._described())

    def _named(self, transcription: Mapping[str, Any]) -> str | None:
        """Return the model that a session is to have: the one it has, where none is named."""
        name = transcription.get("model")
        if name is None:
            return self._model
        try:
            return self._service.model(text_of(name, "model")).name
        except NotFound as error:
            raise UserError(str(error), "model") from None

    async def _hear(self, samples: bytes) -> None:
        stream = await self._opened()
        try:
            partials = await stream.push(samples)
        except UserError:  # the worker has ended the stream
            await self.close()
            raise
        await self._tell(partials)

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
        heard = {"format": {"type": "audio/pcm", "rate": self._rate}}
        return {
            "type": "transcription",
            "id": _id("session"),
            "audio": {"input": {**heard, "transcription": {"model": self._model}}},
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


def _pause_of(heard: Mapping[str, Any], session: Mapping[str, Any]) -> float | None:
    """Return the pause in seconds that ends a text, out of `turn_detection`, which stood in the
    session itself before; None for the model's own."""
    place = heard if "turn_detection" in heard else session
    if "turn_detection" in place and place["turn_detection"] is None:
        return LONGEST_PAUSE_S
    silence = _inner(place, "turn_detection").get("silence_duration_ms")
    if silence is None:
        return None
    if type(silence) not in (int, float) or not 0 <= silence <= 1000 * LONGEST_PAUSE_S:
        raise UserError(
            f"`silence_duration_ms` is a number from 0 to {1000 * LONGEST_PAUSE_S:,.0f}",
            "silence_duration_ms",
        )
    return float(silence) / 1000


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
