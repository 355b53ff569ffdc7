"""The models of a service: a queue and workers each. What speaks HTTP calls `predict`."""

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.errors import UserError
from zoo.serve import cache
from zoo.serve.activity import Activity, Pass
from zoo.serve.description import Description
from zoo.serve.errors import DeadlineExceeded, NotFound, QueueFull, TooManyInputs, Unavailable
from zoo.serve.items import Item
from zoo.serve.metrics import Metrics
from zoo.serve.queue import Job, JobQueue
from zoo.serve.worker_process import WorkerDied, WorkerProcess, WorkerSettings, WorkerUnfit

LOG = logging.getLogger(__name__)
MOST_TRIES = 2
"""Workers that a request is given to: one that killed two is not tried on a third."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Before a worker that died is started again; doubled each time, until one has answered."""
SILENCE_FACTOR = 2.0
"""A worker that says nothing for so many times the deadline is taken for dead."""


@dataclass(frozen=True)
class Limits:
    """What a service takes on, for each of its models."""

    max_queue: int = 256
    """inputs that wait"""
    max_batch: int = 64
    """inputs that a worker is handed at once"""
    max_wait_ms: float = 0.0
    """that an idle worker waits for more inputs after the first"""
    timeout_s: float = 30.0
    """for an answer, from the arrival of the request"""
    budget: float | None = None
    """tokens, pixels or seconds of a pass; see `zoo.serve.model.BatchingModel`"""
    max_seconds: float = 600.0
    """of a sound that comes as a file"""


@dataclass(eq=False)
class ServedModel:
    """One version of a model: its description, its queue, and its workers."""

    description: Description
    queue: JobQueue
    settings: WorkerSettings
    workers: int
    running: list[WorkerProcess] = field(default_factory=list)
    """workers that are ready"""
    tasks: "list[asyncio.Task[None]]" = field(default_factory=list)
    first: "asyncio.Future[None] | None" = None
    """done when the first worker is ready, or can't be"""
    unfit: str | None = None
    """why it is not to answer on this machine, as the self-test of its workers says"""
    role: str = ""
    """of a version that does not answer clients: "next" or "standby" """
    deaths: int = 0
    """of its workers"""
    in_flight: int = 0
    """inputs that clients wait for"""
    observer: "Callable[[Sequence[Job], Pass], None] | None" = None
    """is given each batch once it was answered; must not wait"""

    @property
    def label(self) -> str:
        """The name in metrics."""
        name = self.description.name
        return f"{name}:{self.role}" if self.role else name


class Service:
    """Models that answer; started and stopped with the event loop that serves them."""

    def __init__(
        self,
        descriptions: Sequence[Description],
        limits: Limits,
        workers: int = 1,
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        """
        Args:
            workers: processes of each model.
            device: "cuda", "mps", "cpu" or "auto".
            threads: of the processor, of each worker; what runs a model decides by default.
        """
        self.limits, self.metrics, self.activity = limits, Metrics(), Activity()
        self.cache: cache.AnswerCache | None = None
        self._workers, self._device, self._threads = workers, device, threads
        self._served: dict[str, ServedModel] = {}
        self._beside: list[ServedModel] = []
        self._started = asyncio.Event()
        for one in descriptions:
            self._served[one.name] = self._made(one)
            self.metrics.add_model(
                one,
                functools.partial(self._waiting_for, one.name),
                functools.partial(self._streams_of, one.name),
            )

    def _made(self, one: Description) -> ServedModel:
        limits = self.limits
        settings = WorkerSettings(
            folder=one.folder,
            deployment=one.deployment,
            sha256=one.sha256,
            device=self._device,
            threads=self._threads,
            budget=limits.budget,
            max_seconds=limits.max_seconds,
            most=limits.max_batch,
            silence_s=SILENCE_FACTOR * limits.timeout_s,
            weights=one.entry.name if one.zero_shot else None,
        )
        return ServedModel(one, JobQueue(limits.max_queue), settings, self._workers)

    def _waiting_for(self, name: str) -> int:
        return len(self._served[name].queue) if name in self._served else 0

    def _streams_of(self, name: str) -> int:
        """Return how many sounds the workers of a model hear, those of an old version too."""
        versions = [*self._served.values(), *self._beside]
        of_name = [one for one in versions if one.description.name == name]
        return sum(worker.streams for one in of_name for worker in one.running)

    @property
    def models(self) -> Mapping[str, Description]:
        """The models by name, in the order in which they were given."""
        return {name: model.description for name, model in self._served.items()}

    def model(self, name: str | None) -> Description:
        """Return the model of a name; None stands for the only one.

        Raises:
            NotFound: there is none of this name.
            UserError: there are several, and none is named.
        """
        return self._find(name).description

    async def start(self) -> None:
        """Start the workers; they become ready later: see `is_ready` and `wait_ready`."""
        for model in self._served.values():
            self._begin(model)
        self._started.set()

    def _begin(self, model: ServedModel) -> None:
        model.first = asyncio.get_running_loop().create_future()
        model.tasks = [asyncio.create_task(self._keep_worker(model)) for _ in range(model.workers)]

    async def wait_ready(self) -> None:
        """Wait until each model has a worker that is ready.

        Raises `UserError`, `WorkerUnfit` or `WorkerDied` where the first of them can't load its
        model, or is not to answer.
        """
        await self._started.wait()
        for model in self._served.values():
            assert model.first is not None
            await asyncio.shield(model.first)

    async def stop(self) -> None:
        """End all workers; what still waits is answered that the service has ended."""
        for model in [*self._served.values(), *self._beside]:
            await self.end(model)

    async def end(self, model: ServedModel) -> None:
        """End the workers of a version; what still waits for it is answered that the service has
        ended."""
        for task in model.tasks:
            task.cancel()
        await asyncio.gather(*model.tasks, return_exceptions=True)
        for job in model.queue.empty():
            if not job.answer.done():
                job.answer.set_exception(Unavailable("the service ends"))
        if model in self._beside:
            self._beside.remove(model)

    def version(self, name: str) -> ServedModel:
        """Return the version of a model that answers. Raises `NotFound`."""
        return self._find(name)

    def start_beside(self, description: Description) -> ServedModel:
        """Start the workers of another version of a model, which answers no client."""
        model = self._made(description)
        model.role = "next"
        self._beside.append(model)
        self._begin(model)
        return model

    def replace(self, model: ServedModel) -> ServedModel:
        """Have a version answer from now on; return the one that did, which answers what it was
        asked already, and stays warm."""
        old = self._served[model.description.name]
        self._served[model.description.name] = model
        self._beside.remove(model)
        self._beside.append(old)
        model.role, old.role = "", "standby"
        self.metrics.replaced(old.description, model.description)
        for one in (model, old):
            self.metrics.workers(one.label, len(one.running))
        return old

    async def remove(self, name: str) -> None:
        """Take no more for a model, and end it when what was asked is answered."""
        model = self._served.pop(name)
        self._beside.append(model)
        await self.retire(model)

    async def retire(self, model: ServedModel) -> None:
        """End a version when what was asked of it is answered, or would be too late."""
        deadline = time.monotonic() + self.limits.timeout_s
        while model.in_flight and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        await self.end(model)

    def is_ready(self, name: str | None = None) -> bool:
        """Return whether a model, or each of them, has a worker that is ready."""
        chosen = self._served.values() if name is None else [self._find(name)]
        return all(model.running for model in chosen)

    def unfit(self) -> dict[str, str]:
        """Return why models are not to answer on this machine, by name."""
        return {name: one.unfit for name, one in self._served.items() if one.unfit}

    def waiting(self) -> int:
        """Return how many inputs wait in the longest queue."""
        return max(len(model.queue) for model in self._served.values())

    async def predict(
        self,
        name: str | None,
        inputs: Sequence[Item],
        parameters: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Return a prediction for each input, in order, as the task's `to_json` writes it.

        Args:
            name: the model; None for the only one.
            parameters: `top_k`: the scores of so many labels as well.

        Raises:
            UserError: an input can't be read, or does not suit the model.
            NotFound: there is no such model.
            TooManyInputs: more inputs than may ever wait.
            QueueFull, DeadlineExceeded, Unavailable: see there.
        """
        model = self._find(name)
        if (said := cache.SAID.get()) is not None:  # perhaps not the version that was there before
            said["sha256"] = model.description.sha256
        if model.unfit and not model.running:
            raise Unavailable(f"{model.description.name} is not ready: {model.unfit}")
        if not inputs:
            return []
        if len(inputs) > self.limits.max_queue:
            raise TooManyInputs(len(inputs), self.limits.max_queue)
        if self.cache is None:
            return await self._computed(model, inputs, parameters or {})
        return await self._remembered(self.cache, model, inputs, parameters or {})

    async def _remembered(
        self,
        answers: cache.AnswerCache,
        model: ServedModel,
        inputs: Sequence[Item],
        parameters: Mapping[str, Any],
    ) -> list[dict[str, Any]]:
        """Return predictions, those out of the cache that are there."""
        keys = [cache.key_of(model.description, item, parameters) for item in inputs]
        found = [answers.get(key) for key in keys]
        missing = [place for place, one in enumerate(found) if one is None]
        for one in found:
            self.metrics.cached(model.description.name, hit=one is not None)
        cache.tell(hit=not missing)
        made = []
        if missing:
            made = await self._computed(model, [inputs[place] for place in missing], parameters)
        for place, prediction in zip(missing, made, strict=True):
            found[place] = prediction
            answers.put(keys[place], prediction)
        return [one for one in found if one is not None]

    async def _computed(
        self, model: ServedModel, inputs: Sequence[Item], parameters: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Return predictions that workers make; raises as `predict` does."""
        loop = asyncio.get_running_loop()
        now = time.monotonic()
        deadline = now + self.limits.timeout_s
        jobs = [Job(item, parameters, deadline, loop.create_future(), now) for item in inputs]
        try:
            model.queue.admit(jobs)
        except QueueFull:
            self.metrics.rejected(name=model.description.name, reason="queue")
            raise
        model.in_flight += len(jobs)
        answers = asyncio.gather(*(job.answer for job in jobs))
        try:
            async with asyncio.timeout(self.limits.timeout_s):
                return list(await answers)
        except TimeoutError:
            self.metrics.rejected(name=model.description.name, reason="deadline")
            raise DeadlineExceeded(
                f"no answer within {self.limits.timeout_s:g} s: come back later"
            ) from None
        finally:
            model.in_flight -= len(jobs)
            for job in jobs:  # of several one may be refused, and a client may go: the rest is void
                job.answer.cancel()

    def _find(self, name: str | None) -> ServedModel:
        if name is None:
            if len(self._served) > 1:
                known = ", ".join(self._served)
                raise UserError("which model? there are several", "model", f"name one of {known}")
            return next(iter(self._served.values()))
        if name not in self._served:
            raise NotFound(f"no model {name!r} here; there is {', '.join(self._served)}")
        return self._served[name]

    async def _keep_worker(self, model: ServedModel) -> None:
        """Have one worker of a model run, and start another one whenever it dies."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                worker = await WorkerProcess.start(model.settings)
            except WorkerUnfit as error:  # the machine stays what it is
                if model.unfit is None:
                    LOG.error("%s is not ready: %s", model.description.name, error)
                model.unfit = str(error)
                self._is_first(model, error)
                return
            except (UserError, WorkerDied, OSError) as error:
                if self._is_first(model, error):
                    return
                LOG.error("%s: a worker can't start: %s", model.description.name, error)
            else:
                answered = await self._feed(model, worker)
                pause = FIRST_PAUSE_S if answered else pause
                self.metrics.restarted(model.label)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _is_first(self, model: ServedModel, error: Exception) -> bool:
        """Tell whoever waits for the first worker that it can't be; return whether somebody did."""
        assert model.first is not None
        if model.first.done():
            return False
        model.first.set_exception(error)
        return True

    async def _feed(self, model: ServedModel, worker: WorkerProcess) -> bool:
        """Hand a worker what waits until it dies; return whether it has answered anything."""
        name = model.description.name
        assert model.first is not None
        if not model.first.done():
            model.first.set_result(None)
            if not worker.tested:
                LOG.warning("%s: no golden inputs to test itself with", name)
        model.running.append(worker)
        self.metrics.workers(model.label, len(model.running))
        answered = False
        jobs: list[Job] = []
        death = asyncio.create_task(worker.process.wait())
        wait_s = self.limits.max_wait_ms / 1000
        try:
            while True:
                taking = model.queue.take(self.limits.max_batch, wait_s)
                jobs, reason = await _unless_dead(worker, death, taking)
                self.metrics.released(model.label, reason)
                with self.activity.running() as ran:
                    await worker.run(jobs, lambda batch: self.metrics.batch(model.label, batch))
                model.queue.answered(len(jobs), ran.seconds)
                if model.observer is not None:
                    model.observer(jobs, ran)
                answered, jobs = True, []
        except WorkerDied as error:
            model.deaths += 1
            LOG.error("%s: %s", name, error)
            _try_again(model, jobs)
            return answered
        finally:
            death.cancel()
            _refuse(jobs)
            model.running.remove(worker)
            self.metrics.workers(model.label, len(model.running))
            await asyncio.shield(worker.end())


async def _unless_dead(
    worker: WorkerProcess,
    death: "asyncio.Task[int]",
    taking: Coroutine[Any, Any, tuple[list[Job], str]],
) -> tuple[list[Job], str]:
    """Return what is taken; raise `WorkerDied` where the worker ends before there is anything."""
    take = asyncio.create_task(taking)
    try:
        await asyncio.wait((take, death), return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        take.cancel()
        raise
    if not take.done():
        take.cancel()
        raise WorkerDied(f"worker {worker.pid} died (exit code {death.result()})")
    return take.result()


def _refuse(jobs: Sequence[Job]) -> None:
    """Answer jobs that a worker had when the service ended, and no other worker will get."""
    for job in jobs:
        if not job.answer.done() and not job.tried:
            job.answer.set_exception(Unavailable("the service ends"))


def _try_again(model: ServedModel, jobs: Sequence[Job]) -> None:
    """Put the jobs of a dead worker back, but for those that have killed as many as they may."""
    again = []
    for job in jobs:
        if job.answer.done():
            continue
        job.tried += 1
        if job.tried < MOST_TRIES:
            again.append(job)
        else:
            job.answer.set_exception(
                Unavailable(f"the workers died that tried it ({job.tried} of them)")
            )
    model.queue.put_back(again)
