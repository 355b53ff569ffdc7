"""Sounds that come while they are spoken, in the front: which worker hears one, and how many may be
heard at once."""

import itertools
from collections.abc import Iterator
from typing import Any

from tasks.errors import UserError
from zoo.serve.errors import TooManyStreams, Unavailable
from zoo.serve.service import ServedModel, Service
from zoo.serve.worker_process import WorkerDied, WorkerProcess, mistake

MOST = 16
"""Streams that a worker hears at once: each of them wants its answer while it is spoken."""
BYTES = 2
"""Of a sample, 16 bits."""
LONGEST_PUSH_S = 10.0
"""Of sound that a worker is given at once, so that others come in between."""
_numbers: Iterator[int] = itertools.count(1)


class LiveStream:
    """One sound, heard by one worker from its beginning to its end.

    Where its version of the model is to go, the next push brings the last texts, and one behind it
    is refused.
    """

    def __init__(self, version: ServedModel, worker: WorkerProcess, rate: int) -> None:
        self.rate = rate
        self._version, self._worker, self._number = version, worker, next(_numbers)
        self._rest = b""
        self._is_finished = False
        worker.streams += 1

    @classmethod
    async def open(
        cls, service: Service, model: str | None, rate: int, pause_s: float | None = None
    ) -> "LiveStream":
        """Return a stream to the worker that hears fewest.

        Args:
            rate: samples a second of what will be pushed.
            pause_s: seconds without speech that end a text; the model's own by default.

        Raises:
            UserError: the model hears no sound, or the rate or pause can't be.
            TooManyStreams: as many are heard as may.
            Unavailable: no worker is ready.
            NotFound: there is no such model.
        """
        version = service.version(service.model(model).name)
        one = version.description
        if one.kind != "audio" or one.zero_shot:
            raise UserError(f"{one.name} hears no sound", "model", "it answers POST /predict")
        if version.is_over:
            raise Unavailable("the service ends")
        if not version.running:
            raise Unavailable(f"{one.name} is not ready")
        worker = min(version.running, key=lambda each: each.streams)
        if worker.streams >= MOST:
            raise TooManyStreams(MOST * len(version.running))
        made = cls(version, worker, rate)
        try:
            await made._ask("open", rate=rate, pause_s=pause_s)
        except BaseException:
            worker.streams -= 1
            raise
        return made

    async def push(self, samples: bytes) -> list[dict[str, Any]]:
        """Return what the next samples have brought; half a sample waits for its other half.

        Args:
            samples: 16 bits each, little endian, one channel.

        Raises `Unavailable` where the worker died, and the stream with it, and behind the last
        texts of a version that is to go.
        """
        if self._is_finished:
            raise self._gone()
        whole = self._rest + samples
        end = len(whole) - len(whole) % BYTES
        self._rest = whole[end:]
        step = int(LONGEST_PUSH_S * self.rate) * BYTES
        found: list[dict[str, Any]] = []
        for begin in range(0, end, step):
            found += await self._ask("push", whole[begin : min(begin + step, end)])
        if self._version.is_over:
            found += await self.finish()
        return found

    async def finish(self) -> list[dict[str, Any]]:
        """Return the last texts."""
        self._is_finished = True
        return await self._ask("finish")

    async def again(self, pause_s: float | None = None) -> None:
        """Begin anew behind `finish`. Raises `Unavailable` where its version is to go."""
        if self._version.is_over:
            raise self._gone()
        self._rest, self._is_finished = b"", False
        await self._ask("open", rate=self.rate, pause_s=pause_s)

    async def close(self) -> None:
        """Give the worker's place to others."""
        self._worker.streams -= 1
        if not self._worker.is_ended:
            try:
                await self._ask("close")
            except Unavailable:
                return  # it died, and has forgotten the stream

    def _gone(self) -> Unavailable:
        name = self._version.description.name
        return Unavailable(f"the workers of {name} that heard it are to end: begin the sound again")

    async def _ask(self, what: str, samples: bytes = b"", **more: Any) -> list[dict[str, Any]]:
        content = {"type": "stream", "stream": self._number, "do": what, **more}
        try:
            said = await self._worker.ask(content, [samples] if samples else [])
        except WorkerDied:
            raise Unavailable("the worker died that heard it: begin the sound again") from None
        if "fault" in said.content:
            raise mistake(said.content["fault"])
        if "failure" in said.content:
            raise Unavailable(f"the model failed on the sound ({said.content['failure']})")
        partials: list[dict[str, Any]] = said.content["partials"]
        return partials
