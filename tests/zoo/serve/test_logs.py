"""The log: lines as they come, and an end also where nobody takes them."""

import contextlib
import json
import logging
import os
import queue
import time

import pytest

from zoo.serve import logs


def _record(message: object) -> logging.LogRecord:
    return logging.LogRecord("zoo", logging.INFO, __file__, 1, message, None, None)


def test_what_was_told_is_written_at_the_end() -> None:
    reading, writing = os.pipe()
    waiting: queue.Queue[logging.LogRecord | None] = queue.Queue()
    for message in ("first", {"path": "\udcff"}, {"odd": object()}, "last"):
        waiting.put(_record(message))
    writer = logs.Writer(waiting, writing)
    writer.start()
    writer.end()
    os.close(writing)
    with os.fdopen(reading) as file:
        lines = [json.loads(line) for line in file]
    assert [one.get("message", one.get("path")) for one in lines] == ["first", "\udcff", "last"]


def test_a_full_pipe_keeps_nothing_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "END_S", 0.1)
    reading, writing = os.pipe()
    waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(2)
    writer = logs.Writer(waiting, writing)
    writer.start()
    handler, began = logs.Dropping(waiting), time.monotonic()
    for _ in range(5):  # each more than a pipe holds
        handler.enqueue(_record("x" * 1_000_000))
    writer.end()
    assert time.monotonic() - began < 2 and writer.is_alive()
    os.set_blocking(reading, False)
    while writer.is_alive():  # the rest, so that the thread goes
        with contextlib.suppress(BlockingIOError):
            os.read(reading, 2**20)
        with contextlib.suppress(queue.Full):
            waiting.put_nowait(None)
        writer.join(0.01)
    os.close(reading)
    os.close(writing)
