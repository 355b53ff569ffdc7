"""Changes of versions, with workers that are none: none is lost, none is cut off, one at a time."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UserError
from tests.zoo.serve.test_service import model, service_of
from zoo.serve import update, versions
from zoo.serve.args import UpdateArgs
from zoo.serve.errors import Conflict, NotFound
from zoo.serve.queue import Job
from zoo.serve.service import Service
from zoo.serve.update import Updater
from zoo.serve.worker_process import WorkerUnfit
from zoo.store import evidence

NEW = model(sha256="1" * 64)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[evidence.Fact]:
    """The facts that would be evidence."""
    found: list[evidence.Fact] = []
    monkeypatch.setattr(evidence, "append", lambda _, facts: found.extend(facts))
    return found


def _well(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.answer.set_result({"label": job.item})


async def _running(service: Service, settings: UpdateArgs | None = None) -> Updater:
    await service.start()
    await service.wait_ready()
    return Updater(service, settings or UpdateArgs(shadow_share=0))


def test_a_model_that_goes_answers_what_it_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The version before it too, which may have been asked just before the last update."""
    service = service_of({"m": [_well], "n": [_well]}, monkeypatch)

    async def unload() -> None:
        updater = await _running(service)
        old = service.version("m")
        updater._standby["m"] = service.replace(service.start_beside(NEW))
        old.in_flight = 1
        unloading = asyncio.create_task(updater.unload("m"))
        await asyncio.sleep(0.1)
        assert old.running and not unloading.done()
        with pytest.raises(NotFound):
            await updater.unload("m")
        with pytest.raises(Conflict, match="only model"):
            await updater.unload("n")
        unloading.cancel()  # the client that asked for it has gone: it goes all the same
        old.in_flight = 0
        await asyncio.sleep(0.2)
        assert not old.running and not service._beside
        await service.stop()

    asyncio.run(unload())


def test_a_second_worker_that_is_unfit_refuses_a_version(
    monkeypatch: pytest.MonkeyPatch, recorded: list[evidence.Fact]
) -> None:
    """At once, and with its reason."""
    unfit = WorkerUnfit("self-test: it computes otherwise")
    service = service_of({"m": [_well], "next": [_well, unfit]}, monkeypatch, workers=2)
    service._served.pop("next")
    new = replace(NEW, folder=Path("next"))
    monkeypatch.setattr(versions, "opened", lambda active, folder: new)

    async def load() -> Any:
        updater = await _running(service)
        async with asyncio.timeout(20):
            found = await updater.load("m", wait=True)
        await service.stop()
        return found

    found = asyncio.run(load())
    assert found.state == "refused" and "computes otherwise" in found.why
    assert recorded[-1].workload["why"] == "unfit"  # type: ignore[index]


def test_a_fault_of_ours_refuses_and_is_told(
    monkeypatch: pytest.MonkeyPatch, recorded: list[evidence.Fact]
) -> None:
    service = service_of({"m": [_well]}, monkeypatch)
    monkeypatch.setattr(versions, "opened", lambda active, folder: NEW)
    monkeypatch.setattr(update.Updater, "_loaded", lambda *_: 1 / 0)

    async def load() -> Any:
        updater = await _running(service)
        found = await updater.load("m", wait=True)
        assert not service._beside and service.version("m").running
        await service.stop()
        return found

    found = asyncio.run(load())
    assert found.state == "refused" and "the service's own" in found.why


def test_what_is_served_already_is_no_bad_version(
    monkeypatch: pytest.MonkeyPatch, recorded: list[evidence.Fact]
) -> None:
    service = service_of({"m": [_well]}, monkeypatch)

    def same(active: Any, folder: Any) -> Any:
        raise versions.SameVersion("m holds what m serves already")

    monkeypatch.setattr(versions, "opened", same)

    async def load() -> None:
        updater = await _running(service)
        with pytest.raises(UserError, match="already"):
            await updater.load("m")
        await service.stop()

    asyncio.run(load())
    assert not recorded


def test_a_look_that_fails_is_not_the_last(
    monkeypatch: pytest.MonkeyPatch,
    recorded: list[evidence.Fact],
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = service_of({"m": [_well]}, monkeypatch)
    looks, tries = iter(range(1000)), iter(range(1000))
    monkeypatch.setattr(versions, "stamp", lambda one: str(next(looks)))

    def opened(active: Any, folder: Any) -> Any:
        if next(tries) == 0:
            raise RuntimeError("a fault of ours")
        return NEW

    monkeypatch.setattr(versions, "opened", opened)

    async def watch() -> None:
        updater = await _running(service, UpdateArgs(shadow_share=0, watch=0.01))
        updater.start()
        async with asyncio.timeout(20):
            while service.version("m").description is not NEW:
                await asyncio.sleep(0.01)
        await updater.stop()
        await service.stop()

    asyncio.run(watch())
    assert "can't be looked at" in caplog.text


@pytest.mark.parametrize("wanted", ["a\0b", "../other"])
def test_a_folder_that_can_not_be_is_told(wanted: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="folder"):
        versions.folder_of(model(), tmp_path, wanted)


def test_a_folder_that_can_not_be_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(versions, "describe", denied)
    with pytest.raises(UserError, match="Permission denied"):
        versions.opened(model(), Path("m"))
