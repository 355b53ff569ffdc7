"""The models of a service: a queue and workers each. What speaks HTTP calls `predict`."""

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.errors import UserError
from tasks.writes import Writes
from zoo.serve import cache, feeding
from zoo.serve.activity import Activity, Pass
from zoo.serve.args import Limits
from zoo.serve.description import Description
from zoo.serve.errors import DeadlineExceeded, NotFound, QueueFull, TooManyInputs, Unavailable
from zoo.serve.items import Item
from zoo.serve.metrics import Metrics, VersionState
from zoo.serve.queue import Job, JobQueue, Pieces
from zoo.serve.worker_process import WorkerDied, WorkerProcess, WorkerSettings, WorkerUnfit

LOG = logging.getLogger(__name__)
MOST_TRIES = 2
"""Workers that a request is given to: one that killed two is not tried on a third."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Before a worker that died is started again; doubled each time, until one has answered."""
LAST_WORDS_S = 5.0
"""That live sounds have to fetch their last texts, once they are to end."""


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
    role: str = "active"
    """"active" answers clients; "next" is compared with it, "standby" has answered before, and
    "leaving" answers what it was asked and goes"""
    is_over: bool = False
    """whether the sounds that it hears live are to end"""
    deaths: int = 0
    """of its workers"""
    in_flight: int = 0
    """inputs that clients wait for"""
    observer: "Callable[[Sequence[Job], Pass], None] | None" = None
    """is given each batch once it was answered; must not wait"""

    @property
    def streams(self) -> int:
        """How many sounds its workers hear while they are spoken."""
        return sum(worker.streams for worker in self.running)


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
        self.limits, self.activity = limits, Activity()
        self.metrics = Metrics(self._states)
        self.cache: cache.AnswerCache | None = None
        self._workers, self._device, self._threads = workers, device, threads
        self._served: dict[str, ServedModel] = {}
        self._beside: list[ServedModel] = []
        self._started = asyncio.Event()
        for one in descriptions:
            self._served[one.name] = self._made(one)

    def _made(self, one: Description) -> ServedModel:
        settings = WorkerSettings(
            folder=one.folder,
            deployment=one.deployment,
            sha256=one.sha256,
            device=self._device,
            threads=self._threads,
            limits=self.limits,
            weights=one.entry.name if one.zero_shot else None,
        )
        self.metrics.add_version(one)
        return ServedModel(one, JobQueue(self.limits.max_queue), settings, self._workers)

    def _versions(self) -> list[ServedModel]:
        """Return all versions of all models: those that answer, and those beside them."""
        return [*self._served.values(), *self._beside]

    def _states(self) -> Iterator[VersionState]:
        for one in self._versions():
            waiting = len(one.queue)
            texts = [worker.texts for worker in one.running if worker.texts]
            known = one.description, one.role, len(one.running), waiting, one.streams
            yield VersionState(*known, texts)

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

        Raises `UserError` or `WorkerDied` as soon as the first worker of one can't load it; where
        nothing of that kind happens, `WorkerUnfit` for one that is not to answer.
        """
        await self._started.wait()
        waiting = {one.first for one in self._served.values() if one.first is not None}
        unfit: WorkerUnfit | None = None
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for error in (first.exception() for first in done):
                if isinstance(error, WorkerUnfit):
                    unfit = error
                elif error is not None:
                    raise error
        if unfit is not None:
            raise unfit

    async def stop(self) -> None:
        """End all workers; what still waits is answered that the service has ended."""
        for model in self._versions():
            await self.end(model)

    async def end(self, model: ServedModel) -> None:
        """End the workers of a version; what still waits for it is answered that the service has
        ended."""
        for task in model.tasks:
            task.cancel()
        await asyncio.gather(*model.tasks, return_exceptions=True)
        _refuse(model.queue.empty())
        if model in self._beside:
            self._beside.remove(model)
            mine = (model.description.name, model.description.sha256)
            if mine not in ((x.description.name, x.description.sha256) for x in self._versions()):
                self.metrics.remove_version(model.description)

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
        model.role, old.role = "active", "standby"
        return old

    def take_out(self, name: str) -> ServedModel:
        """Take no more for a model; return its version, which is to be retired."""
        model = self._served.pop(name)
        self._beside.append(model)
        return model

    async def retire(self, model: ServedModel) -> None:
        """End a version when what was asked of it is answered, or would be too late.

        Live sounds have `drain_s` to end by themselves; what is heard then has its last texts, and
        its client is told.
        """
        model.role, began = "leaving", time.monotonic()
        while True:
            spent = time.monotonic() - began
            model.is_over = model.is_over or spent >= self.limits.drain_s
            is_asked = model.in_flight and spent < self.limits.timeout_s
            is_heard = model.streams and spent < self.limits.drain_s + LAST_WORDS_S
            if not is_asked and not is_heard:
                break
            await asyncio.sleep(0.05)
        await self.end(model)

    async def end_streams(self) -> None:
        """Have all live sounds end with their last texts; return when they have, or the time for
        that is over. No other one begins."""
        for model in self._versions():
            model.is_over = True
        until = time.monotonic() + min(LAST_WORDS_S, self.limits.drain_s)
        while any(one.streams for one in self._versions()) and time.monotonic() < until:
            await asyncio.sleep(0.05)

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
        return await self.predict_each(name, [(item, parameters or {}) for item in inputs])

    async def predict_each(
        self, name: str | None, work: Sequence[tuple[Item, Mapping[str, Any]]]
    ) -> list[dict[str, Any]]:
        """Return a prediction for each input, of which each has parameters of its own; see
        `predict`."""
        model = self._answering(name, len(work))
        if not work:
            return []
        if self.cache is None:
            return await self._computed(model, work)
        return await self._remembered(self.cache, model, work)

    async def write(
        self, name: str | None, work: Sequence[tuple[Item, Mapping[str, Any]]]
    ) -> AsyncGenerator[tuple[int, Mapping[str, Any]]]:
        """Yield what a model writes of several texts while it does, each with the place of its
        text: mappings with `piece`, characters that are sure by now, and `token`, the id that has
        brought them; the last of them has `prediction` too, which follows by itself. Once a piece
        has come, the time for an answer runs anew from each: a text may take longer than that.

        Args:
            work: the input of each text, and its parameters.

        Raises as `predict` does; `Unavailable` too where the worker died that was writing.
        """
        model = self._answering(name, len(work))
        pieces: Pieces = asyncio.Queue()
        with self._admitted(model, work) as jobs:
            for job in jobs:
                job.pieces = pieces
                job.answer.add_done_callback(functools.partial(_tell_end, pieces, job))
            left = len(jobs)
            while left:
                with self._in_time(model):
                    async with asyncio.timeout(jobs[0].deadline - time.monotonic()):
                        job, piece = await pieces.get()
                left -= piece is None
                for one in jobs:  # those that still wait for a worker as well
                    one.deadline = time.monotonic() + self.limits.timeout_s
                yield jobs.index(job), job.answer.result() if piece is None else piece

    def _answering(self, name: str | None, inputs: int) -> ServedModel:
        """Return the version that answers so many inputs; raises as `predict` does."""
        model = self._find(name)
        if (said := cache.SAID.get()) is not None:  # perhaps not the version that was there before
            said["sha256"] = model.description.sha256
        if model.unfit and not model.running:
            raise Unavailable(f"{model.description.name} is not ready: {model.unfit}")
        if inputs > self.limits.max_queue:
            raise TooManyInputs(inputs, self.limits.max_queue)
        return model

    async def _remembered(
        self,
        answers: cache.AnswerCache,
        model: ServedModel,
        work: Sequence[tuple[Item, Mapping[str, Any]]],
    ) -> list[dict[str, Any]]:
        """Return predictions, those out of the cache that are there."""
        keys = [cache.key_of(model.description, *one) for one in work]
        found = [answers.get(key) for key in keys]
        missing = [place for place, one in enumerate(found) if one is None]
        for one in found:
            self.metrics.cached(model.description.name, hit=one is not None)
        cache.tell(hit=not missing)
        made = []
        if missing:
            made = await self._computed(model, [work[place] for place in missing])
        for place, prediction in zip(missing, made, strict=True):
            found[place] = prediction
            answers.put(keys[place], prediction)
        return [one for one in found if one is not None]

    async def _computed(
        self, model: ServedModel, work: Sequence[tuple[Item, Mapping[str, Any]]]
    ) -> list[dict[str, Any]]:
        """Return predictions that workers make; raises as `predict` does."""
        with self._admitted(model, work) as jobs, self._in_time(model):
            async with asyncio.timeout(self.limits.timeout_s):
                return list(await asyncio.gather(*(job.answer for job in jobs)))

    @contextlib.contextmanager
    def _admitted(
        self, model: ServedModel, work: Sequence[tuple[Item, Mapping[str, Any]]]
    ) -> Iterator[list[Job]]:
        """Give the queue of a model jobs, which are void behind the context: of several one may be
        refused, and a client may go. Raises `QueueFull`."""
        loop = asyncio.get_running_loop()
        now = time.monotonic()
        deadline = now + self.limits.timeout_s
        jobs = [Job(*one, deadline, loop.create_future(), now) for one in work]
        try:
            model.queue.admit(jobs)
        except QueueFull:
            self.metrics.rejected(name=model.description.name, reason="queue")
            raise
        model.in_flight += len(jobs)
        try:
            yield jobs
        finally:
            model.in_flight -= len(jobs)
            for job in jobs:
                job.answer.cancel()

    @contextlib.contextmanager
    def _in_time(self, model: ServedModel) -> Iterator[None]:
        """Raise `DeadlineExceeded` where the time of an answer is over."""
        try:
            yield
        except TimeoutError:
            self.metrics.rejected(name=model.description.name, reason="deadline")
            raise DeadlineExceeded(
                f"no answer within {self.limits.timeout_s:g} s: come back later"
            ) from None

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
            except (UserError, WorkerDied) as error:
                if self._is_first(model, error):
                    return
                LOG.error("%s: a worker can't start: %s", model.description.name, error)
            else:
                answered = await self._feed(model, worker)
                pause = FIRST_PAUSE_S if answered else pause
            self.metrics.restarted(model.description)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _is_first(self, model: ServedModel, error: Exception) -> bool:
        """Tell whoever waits for the first worker that it can't be; return whether somebody did."""
        assert model.first is not None
        if model.first.done():
            return False
        model.first.set_exception(error)
        model.first.exception()  # whoever waits is told; there may be nobody
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
        kind = feeding.Texts if isinstance(model.description.task, Writes) else feeding.Batches
        feeder = kind(model, worker, self.limits, (self.metrics, self.activity))
        try:
            await feeder.run()
        except asyncio.CancelledError:  # the version ends
            _refuse(feeder.jobs)
            raise
        except Exception as error:  # whatever it is, the model is not left without a worker
            LOG.error("%s: %s", name, error, exc_info=not isinstance(error, WorkerDied))
            model.deaths += 1
            _try_again(model, feeder.jobs)
            return feeder.has_answered
        finally:
            model.running.remove(worker)
            await asyncio.shield(worker.end())


def _tell_end(pieces: Pieces, job: Job, answer: "asyncio.Future[dict[str, Any]]") -> None:
    """Tell whoever reads the pieces of a text that it has ended."""
    if not answer.cancelled():
        answer.exception()  # of several texts that fail, one is raised
    pieces.put_nowait((job, None))


def _refuse(jobs: Sequence[Job]) -> None:
    """Answer jobs that no worker will get any more."""
    for job in jobs:
        if not job.answer.done():
            job.answer.set_exception(Unavailable("the service ends"))


def _try_again(model: ServedModel, jobs: Sequence[Job]) -> None:
    """Put the jobs of a dead worker back, but for those that have killed as many as they may."""
    again = []
    for job in jobs:
        if job.answer.done():
            continue
        job.tried += 1
        if job.has_begun:
            job.answer.set_exception(Unavailable("the worker died that was writing: ask again"))
        elif job.tried < MOST_TRIES:
            again.append(job)
        else:
            job.answer.set_exception(
                Unavailable(f"the workers died that tried it ({job.tried} of them)")
            )
    model.queue.put_back(again)
