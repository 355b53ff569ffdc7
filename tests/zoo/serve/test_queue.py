"""The queue: first in, first out, bounded, and nothing kept for those that have gone."""

import asyncio
import time

import pytest

from zoo.serve.errors import QueueFull
from zoo.serve.queue import Job, JobQueue


def _job(item: str, seconds: float = 60) -> Job:
    answer = asyncio.get_running_loop().create_future()
    return Job(item, {}, time.monotonic() + seconds, answer)


def _items(jobs: list[Job]) -> list[object]:
    return [job.item for job in jobs]


def test_first_in_first_out() -> None:
    async def run() -> None:
        queue = JobQueue(8)
        queue.admit([_job("a"), _job("b"), _job("c")])
        jobs, reason = await queue.take(2)
        assert (_items(jobs), reason) == (["a", "b"], "full")
        queue.put_back(jobs)  # of a worker that died: they come first again
        jobs, reason = await queue.take(8)
        assert (_items(jobs), reason) == (["a", "b", "c"], "idle")

    asyncio.run(run())


def test_all_or_none_are_admitted() -> None:
    async def run() -> None:
        queue = JobQueue(3)
        queue.admit([_job("a"), _job("b")])
        with pytest.raises(QueueFull) as refused:
            queue.admit([_job("c"), _job("d")])
        assert refused.value.retry_after_s > 0 and len(queue) == 2
        queue.admit([_job("c")])

    asyncio.run(run())


def test_a_job_that_a_worker_died_with_comes_alone() -> None:
    async def run() -> None:
        queue = JobQueue(8)
        queue.admit([_job("c")])
        again = [_job("a"), _job("b")]
        for job in again:
            job.tried = 1
        queue.put_back(again)
        taken = [await queue.take(8) for _ in range(3)]
        assert [(_items(jobs), reason) for jobs, reason in taken] == [
            (["a"], "again"),
            (["b"], "again"),
            (["c"], "idle"),
        ]

    asyncio.run(run())


def test_those_that_have_gone_make_room() -> None:
    async def run() -> None:
        queue = JobQueue(2)
        gone, late = _job("gone"), _job("late", seconds=-1)
        queue.admit([gone, late])
        gone.answer.cancel()
        queue.admit([_job("a"), _job("b")])
        jobs, _ = await queue.take(8)
        assert _items(jobs) == ["a", "b"]

    asyncio.run(run())


def test_a_wait_is_bounded() -> None:
    async def run() -> None:
        queue = JobQueue(8)
        taking = asyncio.create_task(queue.take(8, wait_s=0.1))
        await asyncio.sleep(0)
        began = time.monotonic()
        queue.admit([_job("a")])
        await asyncio.sleep(0.02)
        queue.admit([_job("b")])
        jobs, reason = await taking
        assert (_items(jobs), reason) == (["a", "b"], "waited")
        assert time.monotonic() - began >= 0.09

    asyncio.run(run())


def test_a_taker_that_is_cancelled_takes_nothing() -> None:
    async def run() -> None:
        queue = JobQueue(8)
        taking = asyncio.create_task(queue.take(8))
        await asyncio.sleep(0)
        taking.cancel()
        queue.admit([_job("a")])
        jobs, _ = await queue.take(8)
        assert _items(jobs) == ["a"]

    asyncio.run(run())
