"""What becomes of texts while their worker writes, where a client goes, and where a worker dies."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UserError
from zoo.serve.args import Limits
from zoo.serve.description import Description
from zoo.serve.errors import DeadlineExceeded, QueueFull, Unavailable
from zoo.serve.frames import Message
from zoo.serve.service import Service
from zoo.serve.worker_process import WorkerDied, WorkerProcess, WorkerSettings

STATE = {"running": 1, "waiting": 2, "cached_tokens": 30, "cache_tokens": 40}


class _Writes:
    """Stands for a task whose models write."""

    pipeline = "text-generation"

    def writing_as(self, **_: Any) -> Any:
        """As `tasks.writes.Writes`."""

    write = draft = as_it_stands = special_tokens = settings = writing_as
    longest = most_characters = prompt_in = opening = writing_as


class _Worker:
    """Stands for a `WorkerProcess` that writes what the test says."""

    pid, tested, streams = 1, 0, 0

    def __init__(self) -> None:
        self.texts: Mapping[str, Any] = {}
        self.process = self
        self.told: list[Mapping[str, Any]] = []
        self.heard = asyncio.Event()
        self._inbox: asyncio.Queue[Message | None] = asyncio.Queue()

    async def send(self, content: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> None:
        """Keep what it is told."""
        self.post(content)

    def post(self, content: Mapping[str, Any]) -> None:
        """Keep what it is told."""
        self.told.append(content)
        self.heard.set()

    async def read(self) -> Message:
        """As `WorkerProcess.read`."""
        message = await self._inbox.get()
        if message is None:
            raise WorkerDied("worker 1 died")
        return message

    def say(self, *events: Mapping[str, Any]) -> None:
        """Have it say what it has written."""
        self._inbox.put_nowait(Message({"type": "written", "events": events, **STATE}))

    def die(self) -> None:
        """Have it end without a word."""
        self._inbox.put_nowait(None)

    async def end(self) -> None:
        """As `WorkerProcess.end`: who still reads what it says, is told that it died."""
        self.die()

    async def asked(self, kind: str = "write", count: int = 1) -> list[Mapping[str, Any]]:
        """Wait until it was told so many messages of a kind; return them."""
        while len(found := [one for one in self.told if one["type"] == kind]) < count:
            self.heard.clear()
            await self.heard.wait()
        return found


def piece(number: int, text: str, **more: Any) -> dict[str, Any]:
    return {"number": number, "piece": text, "token": 7, **more}


def ended(number: int, text: str) -> dict[str, Any]:
    prediction = {"text": text, "finish_reason": "stop"}
    counts = {"prompt_tokens": 3, "completion_tokens": 2}
    return piece(number, "", prediction=prediction, **counts)


Test = Callable[[Service, list[_Worker]], Awaitable[None]]


def run(monkeypatch: pytest.MonkeyPatch, test: Test, **limits: Any) -> None:
    """Run a test with a service of one model, and the workers that it has started."""
    workers: list[_Worker] = []
    unheard: list[Mapping[str, Any]] = []

    async def start(_: WorkerSettings) -> Any:
        workers.append(_Worker())
        return workers[-1]

    async def during() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: unheard.append(what))
        task: Any = _Writes()
        entry: Any = None
        one = Description("m", Path("m"), "eager", "0" * 64, entry, task)
        service = Service([one], Limits(**limits))
        await service.start()
        await service.wait_ready()
        try:
            async with asyncio.timeout(10):
                await test(service, workers)
        finally:
            await service.stop()
        await asyncio.sleep(0)  # what was left alone ends

    monkeypatch.setattr(WorkerProcess, "start", start)
    monkeypatch.setattr("zoo.serve.service.FIRST_PAUSE_S", 0.01)
    asyncio.run(during())
    gc.collect()  # tells of tasks that have failed, and nobody has asked
    assert not unheard


async def _rest(texts: AsyncGenerator[tuple[int, Mapping[str, Any]]]) -> list[Any]:
    return [one async for one in texts]


def test_pieces_come_as_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(service: Service, workers: list[_Worker]) -> None:
        texts = service.write("m", [("a", {"seed": 1}), ("b", {})])
        first = asyncio.ensure_future(anext(texts))
        told = await workers[0].asked(count=2)
        assert [(one["item"], one["parameters"]) for one in told] == [("a", {"seed": 1}), ("b", {})]
        one, other = (message["number"] for message in told)
        workers[0].say(piece(other, "x"))
        place, said = await first
        assert (place, said["piece"]) == (1, "x"), "before anything else was written"
        workers[0].say(ended(one, "1"), piece(other, "y"))
        workers[0].say(ended(other, "xy"))
        rest = await _rest(texts)
        finals = {place: said["text"] for place, said in rest if "piece" not in said}
        assert finals == {0: "1", 1: "xy"}
        page = service.metrics.written().decode()
        assert 'zoo_tokens_total{kind="completion",model="m",version="000000000000"} 4.0' in page
        assert 'zoo_first_token_seconds_count{model="m",version="000000000000"} 2.0' in page
        assert 'zoo_cached_tokens{model="m",version="000000000000"} 30.0' in page

    run(monkeypatch, test)


def test_a_client_that_goes_is_told_of_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(service: Service, workers: list[_Worker]) -> None:
        texts = service.write("m", [("a", {})])
        first = asyncio.ensure_future(anext(texts))
        [told] = await workers[0].asked()
        workers[0].say(piece(told["number"], "x"))
        await first
        await texts.aclose()
        whole = asyncio.ensure_future(service.predict("m", ["b"]))
        *_, other = await workers[0].asked(count=2)
        whole.cancel()
        dropped = await workers[0].asked("drop", count=2)
        assert [one["number"] for one in dropped] == [told["number"], other["number"]]
        workers[0].say(ended(told["number"], "x"))  # it was written already: nobody minds
        await asyncio.sleep(0.01)

    run(monkeypatch, test)


def test_a_text_that_had_begun_ends_with_its_worker_and_others_are_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(service: Service, workers: list[_Worker]) -> None:
        begun = service.write("m", [("a", {})])
        first = asyncio.ensure_future(anext(begun))
        [told] = await workers[0].asked()
        workers[0].say(piece(told["number"], "x"))
        await first
        whole = asyncio.ensure_future(service.predict("m", ["b"]))
        waiting = asyncio.ensure_future(_rest(service.write("m", [("c", {})])))
        _, other, _ = await workers[0].asked(count=3)
        workers[0].say(piece(other["number"], "thrown away"))
        workers[0].die()
        with pytest.raises(Unavailable, match="the worker died that was writing"):
            await anext(begun)
        while len(workers) < 2:
            await asyncio.sleep(0.01)
        again = await workers[1].asked(count=2)
        assert [one["item"] for one in again] == ["b", "c"]
        workers[1].say(*(ended(one["number"], one["item"]) for one in again))
        [answer] = await whole
        assert answer["text"] == "b"
        assert (await waiting)[-1] == (0, {"text": "c", "finish_reason": "stop"})

    run(monkeypatch, test)


def test_as_many_as_may_are_handed_over_and_as_many_may_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(service: Service, workers: list[_Worker]) -> None:
        asked = []
        for text in "abcd":
            asked.append(asyncio.ensure_future(service.predict("m", [text])))
            await asyncio.sleep(0.01)
        told = await workers[0].asked(count=2)
        assert len(workers[0].told) == 2
        with pytest.raises(QueueFull):
            await service.predict("m", ["e"])
        workers[0].say(ended(told[0]["number"], "1"))
        *_, third = await workers[0].asked(count=3)
        assert third["item"] == "c"
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)

    run(monkeypatch, test, max_batch=2, max_queue=2)


def test_a_text_that_takes_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(service: Service, workers: list[_Worker]) -> None:
        with pytest.raises(DeadlineExceeded):
            await _rest(service.write("m", [("a", {})]))
        await workers[0].asked("drop")

    run(monkeypatch, test, timeout_s=0.05)


def test_the_time_of_a_stream_runs_from_its_last_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a text that waits for the one beside it, too."""

    async def test(service: Service, workers: list[_Worker]) -> None:
        texts = service.write("m", [("a", {}), ("b", {})])
        asked = asyncio.ensure_future(_rest(texts))
        [told] = await workers[0].asked()
        for _ in range(8):
            await asyncio.sleep(0.1)
            workers[0].say(piece(told["number"], "x"))
        workers[0].say(ended(told["number"], "x"))
        _, other = await workers[0].asked(count=2)
        workers[0].say(ended(other["number"], "y"))
        assert [said for _, said in await asked][-1]["text"] == "y"
        texts = service.write("m", [("c", {})])
        first = asyncio.ensure_future(anext(texts))
        *_, told = await workers[0].asked(count=3)
        workers[0].say(piece(told["number"], "x"))
        await first
        with pytest.raises(DeadlineExceeded):
            await anext(texts)

    run(monkeypatch, test, timeout_s=0.4, max_batch=1)


def test_a_prompt_that_can_not_be_read_is_the_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(service: Service, workers: list[_Worker]) -> None:
        fault = {"error": "too long", "field": "prompt", "hint": None}
        asked = asyncio.ensure_future(_rest(service.write("m", [("a", {})])))
        [told] = await workers[0].asked()
        workers[0].say({"number": told["number"], "fault": fault})
        with pytest.raises(UserError, match="too long"):
            await asked
        failing = asyncio.ensure_future(service.predict("m", ["b"]))
        *_, told = await workers[0].asked(count=2)
        workers[0].say({"number": told["number"], "failure": "MemoryError"})
        with pytest.raises(Unavailable, match="MemoryError"):
            await failing

    run(monkeypatch, test)


def test_a_worker_that_is_silent_over_work_is_taken_for_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(service: Service, workers: list[_Worker]) -> None:
        await asyncio.sleep(0.3)
        assert len(workers) == 1, "one without work may be silent"
        with pytest.raises(DeadlineExceeded):
            await service.predict("m", ["a"])
        while len(workers) < 2:
            await asyncio.sleep(0.01)

    run(monkeypatch, test, timeout_s=0.05)
