"""A worker that can't be started leaves nothing open, and is told as one that died."""

import asyncio
import errno
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from zoo.serve.args import Limits
from zoo.serve.worker_process import WorkerDied, WorkerProcess, WorkerSettings

SETTINGS = WorkerSettings(Path("m"), "eager", "0" * 64, "cpu", 1, Limits())


def test_a_worker_that_can_not_be_started_has_died(monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    made: list[socket.socket] = []

    def pair() -> tuple[socket.socket, socket.socket]:
        made.extend(real())
        return made[0], made[1]

    real = socket.socketpair
    monkeypatch.setattr(asyncio, "create_subprocess_exec", full)

    async def start() -> None:
        monkeypatch.setattr(socket, "socketpair", pair)  # the event loop has made its own by now
        await WorkerProcess.start(SETTINGS)

    with pytest.raises(WorkerDied, match="can't be started: Resource temporarily unavailable"):
        asyncio.run(start())
    assert [one.fileno() for one in made] == [-1, -1]


def test_a_worker_that_hangs_while_it_loads_is_taken_for_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, made = asyncio.create_subprocess_exec, []

    async def hanging(*_: Any, **more: Any) -> Any:
        made.append(await real(sys.executable, "-c", "import time; time.sleep(60)", **more))
        return made[0]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", hanging)
    settings = replace(SETTINGS, limits=Limits(load_s=0.1))
    with pytest.raises(WorkerDied, match=r"did not load m \(eager\) within 0.1 s") as caught:
        asyncio.run(WorkerProcess.start(settings))
    assert f"worker {made[0].pid} " in str(caught.value) and made[0].returncode == -9
