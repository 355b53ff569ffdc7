"""Conversations over a WebSocket, without a service: how they end, and what a session takes."""

import asyncio
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import WebSocketDisconnect

from tasks.errors import UserError
from tests.zoo.serve.protocols import described
from zoo.serve.errors import NotFound
from zoo.serve.protocols import openai, realtime, websocket
from zoo.serve.streams import LiveStream


class Socket:
    """The part of a WebSocket that conversations use."""

    def __init__(self, *messages: Any, model: str | None = None, gone: bool = False) -> None:
        self.query_params = {} if model is None else {"model": model}
        self.sent: list[dict[str, Any]] = []
        self.closed: tuple[int, str] | None = None
        self._messages, self._gone = list(messages), gone

    async def receive(self) -> dict[str, Any]:
        if not self._messages:
            return {"type": "websocket.disconnect"}
        return {"type": "websocket.receive", "text": json.dumps(self._messages.pop(0))}

    async def send_text(self, text: str) -> None:
        if self._gone:
            raise WebSocketDisconnect(1006)
        self.sent.append(json.loads(text))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.closed = code, reason


async def _refused(error: Exception) -> None:
    raise error


def _plain(status: int, said: Mapping[str, Any]) -> dict[str, Any]:
    return dict(said)


def test_a_long_reason_fits_the_frame_that_closes() -> None:
    socket: Any = Socket()
    asyncio.run(websocket.held(socket, _refused(NotFound("电影" * 200)), _plain))
    code, reason = socket.closed
    assert code == 1008 and reason and len(reason.encode()) <= 123
    assert socket.sent == [{"type": "error", "error": "电影" * 200}]


def test_a_client_that_has_gone_is_told_nothing() -> None:
    socket: Any = Socket(gone=True)
    asyncio.run(websocket.held(socket, _refused(UserError("what nobody hears")), _plain))
    assert socket.closed is None


def test_an_error_has_the_form_of_openai() -> None:
    socket: Any = Socket()
    asyncio.run(websocket.held(socket, _refused(NotFound("no model")), openai.refused))
    [told] = socket.sent
    assert told["type"] == "error" and told["error"]["message"] == "no model"


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e308", "61", "a" * 99])
def test_a_pause_has_bounds(text: str) -> None:
    with pytest.raises(UserError, match=r"^`pause_s` .* at most 60$") as caught:
        websocket._number(text, "pause_s", websocket.LONGEST_PAUSE_S)
    assert caught.value.field == "pause_s" and len(str(caught.value)) < 99


def test_the_only_model_that_hears_needs_no_name() -> None:
    assert websocket.hearing(described.service(), None) == "words"
    assert websocket.hearing(described.service(), "words") == "words"
    with pytest.raises(NotFound):
        websocket.hearing(described.service(), "none")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The streams that were opened: model, rate, pause; a rate of 7 is refused, as a sound is."""
    found: list[tuple[Any, ...]] = []

    class Stream:
        async def push(self, samples: bytes) -> Any:
            raise UserError("no sound")

        async def close(self) -> None:
            found.append(("closed",))

    async def open_stream(_: Any, model: str, rate: int, pause_s: float | None) -> Any:
        if rate == 7:
            raise UserError("no such rate")
        found.append((model, rate, pause_s))
        return Stream()

    monkeypatch.setattr(LiveStream, "open", open_stream)
    return found


def _session(socket: Any) -> list[dict[str, Any]]:
    """What a client is told until it goes."""
    service: Any = described.service()
    service.limits = SimpleNamespace(timeout_s=9)
    asyncio.run(websocket.held(socket, realtime.Session(service, socket).run(), openai.refused))
    return list(socket.sent)


def _update(**heard: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": {"audio": {"input": heard}}}


@pytest.mark.parametrize(
    ("turns", "pause_s"),
    [
        ({}, None),
        ({"turn_detection": {"type": "server_vad", "silence_duration_ms": 250}}, 0.25),
        ({"turn_detection": {"type": "server_vad"}}, None),
        ({"turn_detection": None}, websocket.LONGEST_PAUSE_S),
    ],
)
def test_a_session_has_the_pause_of_its_turns(
    turns: dict[str, Any], pause_s: float | None, opened: list[tuple[Any, ...]]
) -> None:
    said = _session(Socket(_update(transcription={"model": "words"}, **turns)))
    assert [one["type"] for one in said] == ["session.created", "session.updated"]
    assert opened == [("words", realtime.RATE, pause_s)]


@pytest.mark.parametrize(
    ("heard", "param"),
    [
        ({"transcription": {"model": "none"}}, "model"),
        ({"transcription": {"model": 3}}, "model"),
        ({"format": {"type": "audio/pcm", "rate": 1.5}}, "rate"),
        ({"format": {"type": "audio/pcmu"}}, "format"),
        ({"turn_detection": {"silence_duration_ms": 10**400}}, "silence_duration_ms"),
        ({"turn_detection": {"silence_duration_ms": -1}}, "silence_duration_ms"),
        ({"turn_detection": {"silence_duration_ms": True}}, "silence_duration_ms"),
    ],
)
def test_a_wrong_update_changes_nothing(
    heard: dict[str, Any], param: str, opened: list[tuple[Any, ...]]
) -> None:
    socket = Socket(_update(**heard), {"type": "no.such.event", "event_id": "seven"})
    _, first, second = _session(socket)
    assert first["type"] == "error" and first["error"]["param"] == param
    assert second["error"]["event_id"] == "seven" and opened == []


def test_a_refused_rate_leaves_the_one_before(opened: list[tuple[Any, ...]]) -> None:
    append = {"type": "input_audio_buffer.append", "audio": "AAAA"}
    socket = Socket(_update(format={"type": "audio/pcm", "rate": 7}), append, append)
    _, refused, *others = _session(socket)
    assert refused["error"]["message"] == "no such rate"
    assert [one["error"]["message"] for one in others] == ["no sound"] * 2
    assert opened == [("words", realtime.RATE, None), ("closed",)] * 2
