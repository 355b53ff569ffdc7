"""Live sound by clients that we did not write: websocket-client, and OpenAI's own."""

import base64
import contextlib
import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
import requests
import soundfile
import websocket
from prometheus_client.parser import text_string_to_metric_families

from tests import tiny_models
from tests.serving import Served, serving
from zoo.predict.pipeline import Predictor
from zoo.serve.streams import MOST
from zoo.speech.streaming import SpeechStream

RATE = 8000


@pytest.fixture(scope="module")
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("live")
    return tiny_models.checkpoint("stream_ctc", request.getfixturevalue, folder)


@pytest.fixture(scope="module")
def service(checkpoint: Path) -> Iterator[Served]:
    with serving(f"{checkpoint}=live", "--timeout_s", 20, "--threads", 1) as served:
        yield served


@pytest.fixture(scope="module")
def samples(utterances: Path) -> bytes:
    """Three utterances, one after the other, 16 bits."""
    files = sorted(utterances.rglob("*.wav"))[:3]
    return b"".join(soundfile.read(file, dtype="int16")[0].tobytes() for file in files)


@pytest.fixture(scope="module")
def expected(checkpoint: Path, samples: bytes) -> list[str]:
    """The final texts that the same model gives here."""
    stream = SpeechStream(Predictor(checkpoint, "cpu"), RATE)
    found = stream.push(np.frombuffer(samples, np.int16))
    return [one.text for one in (*found, *stream.finish()) if one.final]


def _connected(service: Served, query: str = f"rate={RATE}") -> websocket.WebSocket:
    url = service.url.replace("http", "ws", 1)
    return websocket.create_connection(f"{url}/websocket?{query}", timeout=60)


def _rest(socket: websocket.WebSocket) -> list[dict[str, Any]]:
    """All that is said until the socket is closed."""
    found = []
    while True:
        opcode, content = socket.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return found
        found.append(json.loads(content))


def _wait_until_heard(service: Served, count: int) -> None:
    """Waits until the service tells of so many streams; it sees a client go a moment later."""
    end = time.monotonic() + 60
    while True:
        told = text_string_to_metric_families(requests.get(f"{service.url}/metrics").text)
        [family] = [one for one in told if one.name == "zoo_live_streams"]
        [sample] = family.samples
        assert sample.labels == {"model": "live"}
        if sample.value == count:
            return
        assert time.monotonic() < end, f"{sample.value:g} streams, not {count}"
        time.sleep(0.05)


@pytest.mark.parametrize("size", [999, 4000, 10**9])
def test_a_sound_cut_anywhere_gives_the_texts_of_predict(
    size: int, service: Served, samples: bytes, expected: list[str]
) -> None:
    socket = _connected(service)
    for begin in range(0, len(samples), size):  # an odd size cuts a sample in two
        socket.send_binary(samples[begin : begin + size])
    socket.send("end")
    said = _rest(socket)
    assert [one["text"] for one in said if one["type"] == "final"] == expected
    assert any(expected), "a model that writes nothing shows nothing"
    for one in said:
        assert 0 <= one["start"] <= one["end"] <= len(samples) / 2 / RATE + 1
        assert [word["word"] for word in one["words"]] == one["text"].split()


def test_two_at_once_do_not_hear_each_other(
    service: Served, samples: bytes, expected: list[str]
) -> None:
    sockets = [_connected(service), _connected(service)]
    silence = bytes(4000)
    for begin in range(0, len(samples), 4000):
        sockets[0].send_binary(samples[begin : begin + 4000])
        sockets[1].send_binary(silence)
    for socket in sockets:
        socket.send('{"type": "end"}')
    heard = [[one["text"] for one in _rest(socket) if one["type"] == "final"] for socket in sockets]
    assert heard[0] == expected
    assert heard[1] != expected


@pytest.mark.parametrize(
    ("query", "message", "code", "said"),
    [
        ("rate=0", "", 1007, "above 0"),
        ("rate=5", b"", 1007, "rate"),
        ("model=none", "", 1008, "no model"),
        (f"rate={RATE}", "hello", 1007, "no sound"),
    ],
)
def test_what_can_not_be_is_told(
    query: str, message: Any, code: int, said: str, service: Served
) -> None:
    socket = _connected(service, query)
    if message:
        socket.send(message)
    opcode, content = socket.recv_data()
    assert opcode == websocket.ABNF.OPCODE_TEXT
    assert said in json.loads(content)["error"]
    opcode, content = socket.recv_data()
    assert opcode == websocket.ABNF.OPCODE_CLOSE
    assert int.from_bytes(content[:2], "big") == code


def test_no_more_than_may_be_are_heard(service: Served) -> None:
    sockets = [_connected(service) for _ in range(MOST)]
    for socket in sockets:
        socket.send_binary(bytes(2))
    _wait_until_heard(service, MOST)
    refused = _connected(service)
    assert "streams" in json.loads(refused.recv())["error"]
    for socket in sockets:
        socket.close()
    _wait_until_heard(service, 0)
    again = _connected(service)
    again.send("end")
    assert all(one["type"] != "error" for one in _rest(again))


def test_openai_hears_the_same(service: Served, samples: bytes, expected: list[str]) -> None:
    client = openai.OpenAI(base_url=f"{service.url}/v1", api_key="none")
    with client.realtime.connect(model="live") as connection:
        form = {"type": "audio/pcm", "rate": RATE}
        session: Any = {"type": "transcription", "audio": {"input": {"format": form}}}
        connection.session.update(session=session)
        for begin in range(0, len(samples), 8000):
            part = base64.b64encode(samples[begin : begin + 8000]).decode()
            connection.input_audio_buffer.append(audio=part)
        connection.input_audio_buffer.commit()
        connection.input_audio_buffer.commit()  # of nothing, so that the end is seen
        connection.send({"type": "no.such.event"})  # type: ignore[typeddict-item]
        texts, deltas = [], ""
        for event in connection:
            if event.type == "error":
                assert "no event" in event.error.message
                break
            if event.type == "conversation.item.input_audio_transcription.delta":
                deltas += event.delta or ""
            if event.type == "conversation.item.input_audio_transcription.completed":
                assert event.transcript.startswith(deltas)
                texts.append(event.transcript)
                deltas = ""
    assert texts == expected


def test_a_client_is_told_that_its_worker_died(
    service: Served, samples: bytes, expected: list[str]
) -> None:
    socket = _connected(service)
    socket.send_binary(samples[:4000])
    _wait_until_heard(service, 1)
    [worker] = service.workers()
    worker.kill()
    worker.wait(20)
    socket.send_binary(samples[4000:])
    opcode, content = socket.recv_data()
    while opcode == websocket.ABNF.OPCODE_TEXT and json.loads(content)["type"] == "partial":
        opcode, content = socket.recv_data()
    assert opcode == websocket.ABNF.OPCODE_TEXT
    said = json.loads(content)
    assert said["type"] == "error" and "begin the sound again" in said["error"]
    opcode, content = socket.recv_data()
    assert opcode == websocket.ABNF.OPCODE_CLOSE
    assert int.from_bytes(content[:2], "big") == 1012
    end = time.monotonic() + 60
    while requests.get(f"{service.url}/v2/health/ready").status_code != 200:
        assert time.monotonic() < end, service.log
        time.sleep(0.1)
    _wait_until_heard(service, 0)
    again = _connected(service)
    again.send_binary(samples)
    again.send("end")
    assert [one["text"] for one in _rest(again) if one["type"] == "final"] == expected


def test_at_its_end_a_service_gives_the_last_texts(service: Served, samples: bytes) -> None:
    """A microphone has no end: who hears it says when. The last test here: it ends the service."""
    socket = _connected(service)
    socket.send_binary(samples)
    _wait_until_heard(service, 1)
    service.process.send_signal(signal.SIGTERM)
    ended = threading.Event()

    def speak() -> None:
        while not ended.wait(0.05):
            with contextlib.suppress(OSError, websocket.WebSocketException):
                socket.send_binary(bytes(800))

    speaking = threading.Thread(target=speak)
    speaking.start()
    said = _rest(socket)
    ended.set()
    speaking.join()
    assert said[-1]["type"] == "error" and "begin the sound again" in said[-1]["error"]
    assert said[-2]["type"] == "final"
    assert service.process.wait(30) == 0
    assert "Traceback" not in service.log
