"""What a service does about workers that die, with workers that are none."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UserError
from zoo.serve.description import Description
from zoo.serve.errors import DeadlineExceeded, NotFound, QueueFull, TooLarge, Unavailable
from zoo.serve.queue import Job
from zoo.serve.service import Limits, Service
from zoo.serve.worker_process import WorkerDied, WorkerProcess, WorkerSettings

Behaviour = Callable[[Sequence[Job]], None]


class _Process:
    """A process that lives until it is told to end."""

    returncode = -9

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def wait(self) -> int:
        await self.ended.wait()
        return self.returncode


class _Worker:
    """Stands for `WorkerProcess`; `behaviour` answers jobs, or raises."""

    pid, tested = 1, 0

    def __init__(self, behaviour: Behaviour) -> None:
        self.process, self._behaviour = _Process(), behaviour

    async def run(self, jobs: Sequence[Job], seen: Callable[[Mapping[str, Any]], None]) -> None:
        await asyncio.sleep(0)
        self._behaviour(jobs)

    async def end(self) -> None:
        self.process.ended.set()


def _service(
    behaviours: list[Behaviour | Exception], monkeypatch: pytest.MonkeyPatch, **limits: Any
) -> Service:
    """A service whose workers behave so, each once it is started; the last one stays."""

    async def start(settings: WorkerSettings) -> Any:
        behaviour = behaviours.pop(0) if len(behaviours) > 1 else behaviours[0]
        if isinstance(behaviour, Exception):
            raise behaviour
        return _Worker(behaviour)

    monkeypatch.setattr(WorkerProcess, "start", start)
    monkeypatch.setattr("zoo.serve.service.FIRST_PAUSE_S", 0.01)
    entry: Any = None
    model = Description("m", Path("m"), "eager", "0" * 64, entry, entry)
    return Service([model], Limits(**limits))


def _well(jobs: Sequence[Job]) -> None:
    for job in jobs:
        if not job.answer.done():
            job.answer.set_result({"label": job.item})


def _dead(jobs: Sequence[Job]) -> None:
    raise WorkerDied("worker 1 died")


def _silent(jobs: Sequence[Job]) -> None:
    """It answers nothing, as a worker does whose clients' deadlines have passed."""


async def _during(service: Service, asked: Any) -> Any:
    await service.start()
    try:
        return await asked
    finally:
        await service.stop()


def test_a_request_is_tried_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    service = _service([_dead, _well], monkeypatch)
    found = asyncio.run(_during(service, service.predict("m", ["a", "b"])))
    assert found == [{"label": "a"}, {"label": "b"}]


def test_a_request_that_kills_two_workers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    service = _service([_dead, _dead, _well], monkeypatch)
    with pytest.raises(Unavailable, match="died that tried it"):
        asyncio.run(_during(service, service.predict("m", ["a"])))


def test_half_a_batch_that_was_answered_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []

    def half(jobs: Sequence[Job]) -> None:
        tried.extend(job.item for job in jobs)
        _well(jobs[:1])
        raise WorkerDied("worker 1 died")

    def rest(jobs: Sequence[Job]) -> None:
        tried.extend(job.item for job in jobs)
        _well(jobs)

    service = _service([half, rest], monkeypatch)
    asyncio.run(_during(service, service.predict("m", ["a", "b"])))
    assert tried == ["a", "b", "b"]


def test_a_deadline_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    service = _service([_silent], monkeypatch, timeout_s=0.05)
    with pytest.raises(DeadlineExceeded):
        asyncio.run(_during(service, service.predict("m", ["a"])))


def test_no_more_wait_than_may(monkeypatch: pytest.MonkeyPatch) -> None:
    service = _service([_silent], monkeypatch, timeout_s=0.2, max_queue=4, max_batch=1)

    async def crowd() -> list[Any]:
        asked = [service.predict("m", ["a", "b"]) for _ in range(4)]
        return await asyncio.gather(*asked, return_exceptions=True)

    found = asyncio.run(_during(service, crowd()))
    assert sum(isinstance(one, QueueFull) for one in found) >= 1
    with pytest.raises(TooLarge):
        asyncio.run(service.predict("m", ["a"] * 5))
    with pytest.raises(NotFound, match="there is m"):
        asyncio.run(service.predict("n", ["a"]))


@pytest.mark.parametrize("fault", [UserError("no such folder"), WorkerDied("it ended")])
def test_a_first_worker_that_can_not_start_is_told(
    fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = _service([fault], monkeypatch)
    with pytest.raises(type(fault), match=str(fault)):
        asyncio.run(_during(service, service.wait_ready()))


def test_a_later_worker_that_can_not_start_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    service = _service([_dead, WorkerDied("it ended"), _well], monkeypatch)
    assert asyncio.run(_during(service, service.predict("m", ["a"]))) == [{"label": "a"}]


def test_what_waits_at_the_end_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    service = _service([WorkerDied("it ended")], monkeypatch)

    async def leave() -> Any:
        await service.start()
        asked = asyncio.create_task(service.predict("m", ["a"]))
        await asyncio.sleep(0.05)
        await service.stop()
        return await asked

    with pytest.raises(Unavailable, match="ends"):
        asyncio.run(leave())
