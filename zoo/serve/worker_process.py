"""The front's side of a worker: starts its process, hands it inputs, sees it die."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tasks.errors import UserError
from zoo.serve import frames
from zoo.serve.args import Limits
from zoo.serve.errors import Unavailable
from zoo.serve.frames import Message
from zoo.serve.items import to_wire
from zoo.serve.queue import Job

SILENCE_FACTOR = 2.0
"""A worker with work that says nothing for so many times the deadline is taken for dead."""


class WorkerDied(Exception):
    """The process ended, could not be started, or said nothing for too long."""


class WorkerUnfit(Exception):
    """The worker has failed its self-test: on this machine it answers wrongly."""


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker loads, and how."""

    folder: Path
    deployment: str
    sha256: str
    """of what it is to find there: see `Description`"""
    device: str
    threads: int | None
    limits: Limits
    weights: str | None = None
    """the model whose pretrained weights lie in the folder, where it is no checkpoint"""

    def written(self) -> dict[str, Any]:
        """Return the settings as the worker is told them."""
        return {
            "type": "load",
            "folder": str(self.folder),
            "weights": self.weights,
            "deployment": self.deployment,
            "sha256": self.sha256,
            "device": self.device,
            "threads": self.threads,
            "budget": self.limits.batch_budget,
            "max_seconds": self.limits.max_seconds,
            "most": self.limits.most_at_once,
            "cache_tokens": self.limits.cache_tokens,
        }


class WorkerProcess:
    """One process; it is started once, and not used again after it died."""

    tested = 0
    """golden inputs that it has passed"""
    streams = 0
    """sounds that it hears while they are spoken"""
    texts: Mapping[str, Any] = MappingProxyType({})
    """what one that writes has said last of its work (`WritingModel.state`)"""
    is_ended = False

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        settings: WorkerSettings,
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        """`connection` is our end of the socket that the process speaks on."""
        self.process, self.settings = process, settings
        self._reader, self._writer = connection
        self._turn = asyncio.Lock()  # of one question and all that is said to it

    @property
    def pid(self) -> int:
        """Return the number of the process."""
        return self.process.pid

    @classmethod
    async def start(cls, settings: WorkerSettings) -> "WorkerProcess":
        """Return a worker that is ready: loaded, and warm.

        Raises:
            UserError: it can't load what it is asked to.
            WorkerUnfit: it has failed its self-test.
            WorkerDied: it could not be started, ended without a word, or took too long.
        """
        try:
            worker = await cls._spawned(settings)
        except OSError as error:  # no memory, or no file handles, are left
            raise WorkerDied(f"a worker can't be started: {error.strerror or error}") from None
        process, load_s = worker.process, settings.limits.load_s
        try:
            async with asyncio.timeout(load_s):
                await worker.send(settings.written())
                said = await frames.read(worker._reader)
        except TimeoutError:
            await worker.end()
            what = f"{settings.folder} ({settings.deployment})"
            raise WorkerDied(
                f"worker {worker.pid} did not load {what} within {load_s:g} s: `load_s` gives it "
                "longer"
            ) from None
        except BaseException:
            await worker.end()
            raise
        if said is None:
            await worker.end()
            raise WorkerDied(f"a worker ended while it loaded (exit code {process.returncode})")
        if said.type == "failed":
            await worker.end()
            raise mistake(said.content)
        if said.type == "unfit":
            await worker.end()
            raise WorkerUnfit(said.content["reason"])
        worker.tested = said.content["tested"]
        worker.texts = said.content.get("texts", worker.texts)
        return worker

    @classmethod
    async def _spawned(cls, settings: WorkerSettings) -> "WorkerProcess":
        """Return a worker that was told nothing yet; what was begun is undone where it fails."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "zoo.serve.worker",
                    str(theirs.fileno()),
                    pass_fds=(theirs.fileno(),),
                    stdin=asyncio.subprocess.DEVNULL,
                    env=_environment(settings.threads),
                )
            try:
                return cls(process, settings, await asyncio.open_connection(sock=ours))
            except BaseException:
                process.kill()
                await process.wait()
                raise
        except BaseException:
            ours.close()
            raise

    async def run(self, jobs: Sequence[Job], seen: Callable[[Mapping[str, Any]], None]) -> None:
        """Have jobs answered: each one's future gets its prediction, or what was wrong with it.

        Args:
            seen: is called with each batch, as the worker tells of it.

        Raises `WorkerDied`; what was answered before stands.
        """
        blobs: list[bytes] = []
        work = [
            {
                "item": to_wire(job.item, blobs),
                "parameters": job.parameters,
                "deadline": job.deadline,
            }
            for job in jobs
        ]
        async with self._turn:
            await self.send({"type": "run", "work": work}, blobs)
            while (said := await self._next()).type != "done":
                for answer in said.content["answers"]:
                    settle(jobs[answer["place"]], answer)
                seen(said.content)

    async def ask(self, content: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> Message:
        """Return what the worker says to a message, in turn with its batches.

        Raises `WorkerDied`.
        """
        async with self._turn:
            if self.is_ended:
                raise WorkerDied(f"worker {self.pid} has ended")
            asked = asyncio.ensure_future(self._asked(content, blobs))
            try:
                return await asyncio.shield(asked)
            except asyncio.CancelledError:  # nobody waits; the answer must not be another's
                await asked
                raise

    async def _asked(self, content: Mapping[str, Any], blobs: Sequence[bytes]) -> Message:
        await self.send(content, blobs)
        return await self._next()

    async def _next(self) -> Message:
        try:
            async with asyncio.timeout(SILENCE_FACTOR * self.settings.limits.timeout_s):
                return await self.read()
        except TimeoutError:
            await self.end()
            raise WorkerDied(f"worker {self.pid} said nothing for too long") from None

    async def read(self) -> Message:
        """Return the next message of the worker, however long that takes. Raises `WorkerDied`."""
        said = await frames.read(self._reader)
        if said is None:
            await self.end()
            raise WorkerDied(f"worker {self.pid} died (exit code {self.process.returncode})")
        return said

    def post(self, content: Mapping[str, Any]) -> None:
        """Send a small message, without waiting until it has gone."""
        if not self._writer.is_closing():
            self._writer.write(frames.pack(content))

    async def send(self, content: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> None:
        """Send a message; one that died takes none, which whoever reads next sees."""
        self._writer.write(frames.pack(content, blobs))
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def end(self) -> None:
        """End the process: it has nothing to save."""
        self.is_ended = True
        self._writer.close()
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


def settle(job: Job, answer: Mapping[str, Any]) -> None:
    """Give a job its answer, if somebody still waits for it."""
    if job.answer.done():
        return
    if "prediction" in answer:
        job.answer.set_result(answer["prediction"])
    elif "fault" in answer:
        job.answer.set_exception(mistake(answer["fault"]))
    else:
        job.answer.set_exception(Unavailable(f"the model failed on it ({answer['failure']})"))


def mistake(fault: Mapping[str, Any]) -> UserError:
    """Return the error that `zoo.serve.model.fault_of` has written."""
    error = UserError(fault["error"], fault["field"])
    error.hint = fault["hint"]  # which the message has already
    return error


def _environment(threads: int | None) -> dict[str, str]:
    """Return the environment of a worker: its thread pools are as large as it is told, and its
    tokenizer does not take the cores that the model computes on."""
    ours = dict(os.environ)
    if threads is not None:
        ours |= {"OMP_NUM_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads)}
    return ours
