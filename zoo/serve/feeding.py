"""How a worker gets what waits for its model, and what becomes of it: in batches; where the model
writes one by one, each beside those that it is writing already."""

import asyncio
import contextlib
import functools
import itertools
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from zoo.serve.activity import Activity, Pass
from zoo.serve.args import Limits
from zoo.serve.items import to_wire
from zoo.serve.metrics import Metrics
from zoo.serve.queue import Job, JobQueue
from zoo.serve.worker_process import SILENCE_FACTOR, WorkerDied, WorkerProcess, settle

if TYPE_CHECKING:
    from zoo.serve.service import ServedModel


class Feeder:
    """Hands one worker what waits for its model."""

    def __init__(
        self,
        model: "ServedModel",
        worker: WorkerProcess,
        limits: Limits,
        counted: tuple[Metrics, Activity],
    ) -> None:
        self.has_answered = False
        """whether the worker has answered anything"""
        self._model, self._worker, self._limits = model, worker, limits
        self._metrics, self._activity = counted


class Batches(Feeder):
    """Hands a worker what waits, and waits for its answers before it takes more."""

    jobs: Sequence[Job] = ()
    """that the worker has, and has perhaps not answered"""

    async def run(self) -> NoReturn:
        """Feed the worker for as long as it lives. Raises `WorkerDied`."""
        model, worker = self._model, self._worker
        death = asyncio.create_task(worker.process.wait())
        told = functools.partial(self._metrics.batch, model.description)
        wait_s = self._limits.max_wait_ms / 1000
        try:
            while True:
                taking = model.queue.take(self._limits.most_at_once, wait_s)
                self.jobs, reason = await unless_dead(worker, death, model.queue, taking)
                self._metrics.released(model.description, reason)
                with self._activity.running() as ran:
                    await worker.run(self.jobs, told)
                # as many workers answer as much in that time
                model.queue.answered(len(self.jobs) * len(model.running), ran.seconds)
                if model.observer is not None:
                    model.observer(self.jobs, ran)
                self.has_answered, self.jobs = True, ()
        finally:
            death.cancel()


async def unless_dead(
    worker: WorkerProcess,
    death: "asyncio.Future[Any]",
    queue: JobQueue,
    taking: Coroutine[Any, Any, tuple[list[Job], str]],
) -> tuple[list[Job], str]:
    """Return what is taken of a queue; raise `WorkerDied` where the worker ends before there is
    anything."""
    take = asyncio.create_task(taking)
    try:
        await asyncio.wait((take, death), return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        if not take.cancel():  # it has taken some already, which nobody else would answer
            queue.put_back(take.result()[0])
        raise
    if not take.done():
        take.cancel()
        raise WorkerDied(f"worker {worker.pid} died (exit code {death.result()})")
    return take.result()


class Texts(Feeder):
    """Hands a worker that writes each request as it comes, while it has fewer than it may."""

    def __init__(self, *settings: Any) -> None:
        """See `Feeder`."""
        super().__init__(*settings)
        self._writing: dict[int, _Text] = {}
        self._numbers = itertools.count(1)
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._owed: float | None = None
        """since when the worker has something to say: it does so after each message and token"""

    @property
    def jobs(self) -> Sequence[Job]:
        """The requests whose texts the worker has not ended."""
        return [one.job for one in self._writing.values()]

    async def run(self) -> NoReturn:
        """Feed the worker for as long as it lives. Raises `WorkerDied`."""
        reading, queue = asyncio.create_task(self._read()), self._model.queue
        reading.add_done_callback(lambda one: one.cancelled() or one.exception())
        try:
            while True:  # what `_read` raises is raised here
                [job], _ = await unless_dead(self._worker, reading, queue, self._next())
                await self._begin(job)
                await asyncio.sleep(0)  # the next one may be another worker's
        finally:
            reading.cancel()
            for one in self._writing.values():
                one.end()

    async def _next(self) -> tuple[list[Job], str]:
        await self._has_room.wait()
        return await self._model.queue.take(1)

    async def _begin(self, job: Job) -> None:
        number = next(self._numbers)
        self._writing[number] = _Text(job, self._activity)
        self._look_for_room()
        job.answer.add_done_callback(functools.partial(self._left, number))
        blobs: list[bytes] = []
        asked = {"number": number, "item": to_wire(job.item, blobs), "parameters": job.parameters}
        self._owed = self._owed or time.monotonic()
        await self._worker.send({"type": "write", **asked}, blobs)

    def _left(self, number: int, answer: "asyncio.Future[Any]") -> None:
        """Have no more written for a client that has gone, or whose time is over."""
        if answer.cancelled() and number in self._writing:
            self._forget(number)
            self._owed = self._owed or time.monotonic()
            self._worker.post({"type": "drop", "number": number})

    def _forget(self, number: int) -> "_Text":
        text = self._writing.pop(number)
        text.end()
        self._look_for_room()
        return text

    def _look_for_room(self) -> None:
        if len(self._writing) < self._limits.most_at_once:
            self._has_room.set()
        else:
            self._has_room.clear()

    async def _read(self) -> None:
        """Take what the worker says. Raises `WorkerDied` where it ends, or is silent over work."""
        silence_s = SILENCE_FACTOR * self._limits.timeout_s
        while True:
            reading = asyncio.ensure_future(self._worker.read())
            try:
                while not (await asyncio.wait((reading,), timeout=silence_s))[0]:
                    if self._owed is not None and time.monotonic() - self._owed > silence_s:
                        raise WorkerDied(f"worker {self._worker.pid} said nothing for too long")
                said = (await reading).content
            finally:  # one that is left alone fails at the worker's end, and nobody hears of it
                reading.cancel()
            self._worker.texts = said
            for event in said["events"]:
                if event["number"] in self._writing:
                    self._take(event)
            self._owed = time.monotonic() if self._writing else None

    def _take(self, event: Mapping[str, Any]) -> None:
        """Take a piece of a text, or its end."""
        text = self._writing[event["number"]]
        if "piece" in event:
            text.grow(event)
        if {"prediction", "fault", "failure"}.isdisjoint(event):
            return
        at_once = len(self._writing)
        self._forget(event["number"])
        settle(text.job, event)
        self.has_answered = True
        self._model.queue.answered(at_once * len(self._model.running), text.ran.seconds)
        if "prediction" in event:
            self._metrics.text(self._model.description, event, *text.times())
        if self._model.observer is not None:
            self._model.observer([text.job], text.ran)


class _Text:
    """A text that a worker writes, and its times."""

    def __init__(self, job: Job, activity: Activity) -> None:
        self.job, self.tokens = job, 0
        self._first = self._last = 0.0
        self._clock = contextlib.ExitStack()
        self.ran: Pass = self._clock.enter_context(activity.running())

    def grow(self, event: Mapping[str, Any]) -> None:
        """Take a piece, and hand it to whoever reads the text while it is written."""
        self._last = time.monotonic()
        self._first = self._first or self._last
        self.tokens += 1
        if self.job.pieces is not None:
            self.job.pieces.put_nowait((self.job, event))
            self.job.has_begun = True

    def times(self) -> tuple[float | None, float | None]:
        """Return the seconds from its arrival to its first token, and those of each other token;
        None where there was none."""
        if not self.tokens:
            return None, None
        others = (self._last - self._first) / (self.tokens - 1) if self.tokens > 1 else None
        return self._first - self.job.arrived, others

    def end(self) -> None:
        """Stop its clock."""
        self._clock.close()
