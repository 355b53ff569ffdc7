"""Texts at once beside texts one after the other, from a service that writes as it is told."""

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.load.args import StreamsArgs
from bench.load.service import Service
from bench.load.streams import BEGINNINGS, run
from tasks.errors import UserError

TOKENS = 3
TOKEN_S = 0.01


class _Writes(http.server.BaseHTTPRequestHandler):
    """Writes as many texts beside each other as are asked for; another text where several are."""

    server: "_Server"

    def do_GET(self) -> None:
        """Say that it is there."""
        self.send_response(200)
        self.end_headers()

    def do_POST(self) -> None:
        """Write a text of three tokens."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        has_key = self.server.key in (None, (self.headers["authorization"] or "")[len("Bearer ") :])
        status = self.server.status if has_key else 401
        self.send_response(status)
        self.end_headers()
        if status != 200:
            self.wfile.write(b"no model here writes")
            return
        with self.server.writing:
            self.server.at_once += 1
        for i in range(TOKENS):
            time.sleep(TOKEN_S)
            other = "!" if self.server.is_wrong and self.server.at_once > 1 else "."
            self._event({"choices": [{"text": f"{asked['prompt'][0]}{i}{other}"}], "usage": None})
        with self.server.writing:
            self.server.at_once -= 1
        self._event({"choices": [], "usage": {"completion_tokens": TOKENS}})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, content: Any) -> None:
        self.wfile.write(b"data: " + json.dumps(content).encode() + b"\n\n")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Server(http.server.ThreadingHTTPServer):
    status, is_wrong, at_once = 200, False, 0
    key: str | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Writes)
        self.writing = threading.Lock()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_texts_at_once_take_less_time(server: _Server, capsys: Any) -> None:
    rounds = run(StreamsArgs(server.url, streams=6, rounds=2))
    assert len(rounds) == 2
    for alone, together in rounds:
        assert [one.text[0] for one in alone.texts] == [BEGINNINGS[i % 4][0] for i in range(6)]
        assert alone.seconds > 6 * TOKENS * TOKEN_S > together.seconds
        assert all(one.tokens == TOKENS and one.first_s >= TOKEN_S for one in together.texts)
    said = capsys.readouterr().out
    assert "6 texts, 18 tokens, 2 rounds" in said and "the same text always 6 of 6" in said


def test_another_text_beside_others_is_told(server: _Server, capsys: Any) -> None:
    server.is_wrong = True
    run(StreamsArgs(server.url, streams=3, rounds=1))
    assert "the same text always 3 of 3" not in capsys.readouterr().out


def test_a_service_that_writes_nothing_is_told(server: _Server) -> None:
    server.status = 404
    with pytest.raises(UserError, match="answers 404: no model here writes"):
        run(StreamsArgs(server.url, streams=2))
    with pytest.raises(UserError, match="no such folder"):
        run(StreamsArgs("/nowhere"))


def test_a_key_is_sent(server: _Server, tmp_path: Path) -> None:
    server.key = "a-key-that-is-long-enough"
    with pytest.raises(UserError, match="answers 401"):
        run(StreamsArgs(server.url, streams=1, rounds=1))
    file = tmp_path / "key.txt"
    file.write_text(f"{server.key}\n")
    assert run(StreamsArgs(server.url, streams=1, rounds=1, key_file=file))


def test_a_service_that_is_started_has_its_key_and_its_share_of_the_threads(
    server: _Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words that start it, and not a service: that takes seconds."""
    given: list[Any] = []

    @contextlib.contextmanager
    def started(words: Sequence[str], *settings: Any) -> Iterator[Service]:
        given.extend((words, *settings))
        yield Service(f"{server.url}/predict")

    monkeypatch.setattr("bench.load.service.started", started)
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    monkeypatch.setenv("ZOO_SERVE_KEYS", "a-key-of-the-environment")
    server.key = "a-key-of-the-environment"
    assert run(StreamsArgs(str(tmp_path), streams=1, rounds=1), ["--workers", "2"])
    words, _, _, threads, _, key = given
    assert words[words.index("--threads") + 1] == "3" and threads == 3
    assert key == server.key and f"{tmp_path}=model" in words


def test_flags_that_it_can_not_do_with(tmp_path: Path) -> None:
    for options in (["--port", "80"], ["--ssl-certfile=a.pem"]):
        with pytest.raises(UserError, match="behind --: the load"):
            run(StreamsArgs(str(tmp_path)), options)
    with pytest.raises(UserError, match="flags behind --"):
        run(StreamsArgs("http://127.0.0.1:9"), ["--workers", "2"])
