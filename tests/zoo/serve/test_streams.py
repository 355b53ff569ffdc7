"""A live sound, from its beginning to its end, with a worker that is none."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from zoo.serve.errors import Unavailable
from zoo.serve.frames import Message
from zoo.serve.streams import LiveStream

LAST = {"type": "final", "text": "the last words"}


class _Worker:
    """Stands for a `WorkerProcess` that hears; it is asked one thing after another."""

    streams, is_ended = 0, False

    def __init__(self, **more: Any) -> None:
        self.asked: list[str] = []
        self._more = more

    async def ask(self, content: Any, blobs: Any = ()) -> Message:
        """Answers what is asked, as a worker does."""
        self.asked.append(content["do"])
        last = content["do"] == "finish" and self.asked.count("finish") == 1
        return Message({"type": "stream", "partials": [LAST] if last else [], **self._more})


def _opened(worker: _Worker) -> tuple[Any, Any]:
    """A version of a model, and a service of it."""
    described = SimpleNamespace(name="live", kind="audio", zero_shot=())
    version = SimpleNamespace(description=described, running=[worker], is_over=False)
    service = SimpleNamespace(model=lambda _: described, version=lambda _: version)
    return version, service


def test_a_version_that_goes_gives_its_last_texts() -> None:
    async def hear() -> None:
        worker = _Worker()
        version, service = _opened(worker)
        stream = await LiveStream.open(service, None, 8000)
        assert await stream.push(bytes(200)) == []
        version.is_over = True
        assert await stream.push(bytes(200)) == [LAST]
        with pytest.raises(Unavailable, match="begin the sound again"):
            await stream.push(bytes(200))
        assert await stream.finish() == []  # a client that ends by itself meanwhile
        with pytest.raises(Unavailable, match="begin the sound again"):
            await stream.again()
        with pytest.raises(Unavailable, match="ends"):
            await LiveStream.open(service, None, 8000)
        await stream.close()
        assert worker.streams == 0 and worker.asked[-1] == "close"

    asyncio.run(hear())


def test_a_sound_may_begin_anew_behind_its_end() -> None:
    async def hear() -> None:
        worker = _Worker()
        stream = await LiveStream.open(_opened(worker)[1], None, 8000)
        assert await stream.finish() == [LAST]
        await stream.again()
        assert await stream.push(bytes(2)) == []
        assert worker.asked == ["open", "finish", "open", "push"]

    asyncio.run(hear())


def test_a_model_that_fails_is_told() -> None:
    async def hear() -> None:
        worker = _Worker(failure="RuntimeError")
        with pytest.raises(Unavailable, match="the model failed on the sound"):
            await LiveStream.open(_opened(worker)[1], None, 8000)
        assert worker.streams == 0

    asyncio.run(hear())
