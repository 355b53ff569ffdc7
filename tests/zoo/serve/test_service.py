"""What a service does about workers that die, with workers that are none."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UserError
from zoo.serve.args import Limits
from zoo.serve.description import Description
from zoo.serve.errors import DeadlineExceeded, NotFound, QueueFull, TooLarge, Unavailable
from zoo.serve.feeding import unless_dead
from zoo.serve.queue import Job, JobQueue
from zoo.serve.service import Service
from zoo.serve.worker_process import WorkerDied, WorkerProcess, WorkerSettings, WorkerUnfit

Behaviour = Callable[[Sequence[Job]], Any]


class _Process:
    """A process that lives until it is told to end."""

    returncode = -9

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def wait(self) -> int:
        await self.ended.wait()
        return self.returncode


class _Worker:
    """Stands for `WorkerProcess`; `behaviour` answers jobs, raises, or gives what to wait for."""

    pid, tested, streams, texts = 1, 0, 0, None

    def __init__(self, behaviour: Behaviour) -> None:
        self.process, self._behaviour = _Process(), behaviour

    async def run(self, jobs: Sequence[Job], seen: Callable[[Mapping[str, Any]], None]) -> None:
        await asyncio.sleep(0)
        if (waiting := self._behaviour(jobs)) is not None:
            await waiting

    async def end(self) -> None:
        self.process.ended.set()


def model(name: str = "m", sha256: str = "0" * 64) -> Description:
    """A model of which nothing is loaded."""
    entry: Any = None
    return Description(name, Path(name), "eager", sha256, entry, entry)


def service_of(
    behaviours: Mapping[str, list[Behaviour | Exception]],
    monkeypatch: pytest.MonkeyPatch,
    workers: int = 1,
    **limits: Any,
) -> Service:
    """A service of models by name, whose workers behave so, each once it is started; the last one
    of each stays."""

    async def start(settings: WorkerSettings) -> Any:
        mine = behaviours[settings.folder.name]
        behaviour = mine.pop(0) if len(mine) > 1 else mine[0]
        if isinstance(behaviour, Exception):
            raise behaviour
        return _Worker(behaviour)

    monkeypatch.setattr(WorkerProcess, "start", start)
    monkeypatch.setattr("zoo.serve.service.FIRST_PAUSE_S", 0.01)
    return Service([model(name) for name in behaviours], Limits(**limits), workers)


def _service(
    behaviours: list[Behaviour | Exception], monkeypatch: pytest.MonkeyPatch, **limits: Any
) -> Service:
    """A service of one model, "m"."""
    return service_of({"m": behaviours}, monkeypatch, **limits)


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


def _hangs(jobs: Sequence[Job]) -> Any:
    return asyncio.sleep(60)


def test_an_input_that_kills_is_not_the_end_of_those_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def picky(jobs: Sequence[Job]) -> None:
        if any(job.item == "poison" for job in jobs):
            raise WorkerDied("worker 1 died")
        _well(jobs)

    service = _service([picky], monkeypatch, timeout_s=5)

    async def ask() -> list[Any]:
        asked = [service.predict("m", [item]) for item in ("a", "poison", "b")]
        return await asyncio.gather(*asked, return_exceptions=True)

    one, poison, other = asyncio.run(_during(service, ask()))
    assert (one, other) == ([{"label": "a"}], [{"label": "b"}])
    assert isinstance(poison, Unavailable)


def test_a_fault_of_ours_leaves_no_model_without_a_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def odd(jobs: Sequence[Job]) -> None:
        raise KeyError("place")

    service = _service([odd, _well], monkeypatch, timeout_s=2)
    assert asyncio.run(_during(service, service.predict("m", ["a"]))) == [{"label": "a"}]
    assert "KeyError" in caplog.text


def test_a_request_that_is_tried_again_at_the_end_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = _service([_dead, _hangs], monkeypatch, timeout_s=2)

    async def leave() -> Any:
        await service.start()
        asked = asyncio.create_task(service.predict("m", ["a"]))
        await asyncio.sleep(0.1)
        await service.stop()
        return await asked

    with pytest.raises(Unavailable, match="ends"):
        asyncio.run(leave())


def test_what_is_taken_as_a_worker_ends_is_put_back() -> None:
    async def run() -> None:
        loop, queue, worker = asyncio.get_running_loop(), JobQueue(8), _Worker(_well)
        death = asyncio.create_task(worker.process.wait())
        taking: Any = unless_dead(worker, death, queue, queue.take(8))  # type: ignore[arg-type]
        task = asyncio.create_task(taking)
        await asyncio.sleep(0.01)
        queue.admit([Job("a", {}, loop.time() + 60, loop.create_future())])
        while len(queue):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(queue) == 1
        death.cancel()

    asyncio.run(run())


def test_workers_share_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that Retry-After is not told as if there was one alone."""
    told: list[int] = []
    monkeypatch.setattr(JobQueue, "answered", lambda _, jobs, seconds: told.append(jobs))
    service = service_of({"m": [_well]}, monkeypatch, workers=2)

    async def ask() -> None:
        await asyncio.sleep(0.05)
        await service.predict("m", ["a"])

    asyncio.run(_during(service, ask()))
    assert told == [2]


@pytest.mark.parametrize("first", [_hangs, WorkerUnfit("it computes otherwise")])
def test_a_model_that_can_not_be_loaded_is_told_whatever_others_do(
    first: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = service_of({"m": [first], "n": [UserError("no such folder")]}, monkeypatch)
    if first is _hangs:  # it loads for ever
        start: Any = WorkerProcess.start

        async def slow(settings: WorkerSettings) -> Any:
            return await (asyncio.sleep(60) if settings.folder.name == "m" else start(settings))

        monkeypatch.setattr(WorkerProcess, "start", slow)

    async def wait() -> None:
        async with asyncio.timeout(1):
            await service.wait_ready()

    with pytest.raises(UserError, match="no such folder"):
        asyncio.run(_during(service, wait()))


def test_a_version_that_hears_live_sounds_has_time_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    service = _service([_well], monkeypatch, drain_s=0.2)
    monkeypatch.setattr("zoo.serve.service.LAST_WORDS_S", 60.0)

    async def retire() -> None:
        await service.wait_ready()
        old = service.replace(service.start_beside(model(sha256="1" * 64)))
        [worker] = old.running
        worker.streams = 1
        retiring = asyncio.create_task(service.retire(old))
        await asyncio.sleep(0.1)
        assert old.role == "leaving" and not old.is_over and not retiring.done()
        await asyncio.sleep(0.2)
        assert old.is_over and not retiring.done()
        worker.streams = 0
        await retiring
        assert not old.running

    asyncio.run(_during(service, retire()))


def test_at_the_end_live_sounds_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    service = _service([_well], monkeypatch, drain_s=5)

    async def end() -> None:
        await service.wait_ready()
        [worker] = service.version("m").running
        worker.streams = 1
        ending = asyncio.create_task(service.end_streams())
        await asyncio.sleep(0.1)
        assert service.version("m").is_over and not ending.done()
        worker.streams = 0
        await asyncio.wait_for(ending, 1)

    asyncio.run(_during(service, end()))


def test_the_end_comes_while_a_version_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    service = _service([_well], monkeypatch, drain_s=60)
    monkeypatch.setattr("zoo.serve.service.LAST_WORDS_S", 0.2)

    async def end() -> None:
        await service.wait_ready()
        old = service.replace(service.start_beside(model(sha256="1" * 64)))
        old.running[0].streams = 1
        retiring = asyncio.create_task(service.retire(old))
        await asyncio.sleep(0.06)
        await service.end_streams()
        assert old.is_over
        retiring.cancel()

    asyncio.run(_during(service, end()))


def test_metrics_tell_of_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    service = service_of({"m": [_well], "n": [_well]}, monkeypatch, drain_s=0)

    async def change() -> tuple[str, str]:
        await service.wait_ready()
        service.replace(service.start_beside(model(sha256="1" * 64)))
        await service.predict("m", ["a"])
        before = service.metrics.written().decode()
        await service.retire(service.take_out("m"))
        await service.retire(service._beside[0])
        return before, service.metrics.written().decode()

    before, after = asyncio.run(_during(service, change()))
    assert 'zoo_workers_ready{model="m",role="standby",version="000000000000"} 1.0' in before
    assert 'zoo_workers_ready{model="m",role="active",version="111111111111"} 1.0' in before
    assert (
        'zoo_batches_released_total{model="m",reason="idle",version="111111111111"} 1.0' in before
    )
    gone = [line for line in after.splitlines() if 'model="m"' in line]
    assert not any("version=" in line or "queue_length" in line for line in gone), gone
    assert 'zoo_workers_ready{model="n",role="active",version="000000000000"} 1.0' in after
