"""From one version of a model to the next while it is served, and back.

The new version is loaded beside the one that answers, in workers of its own that test themselves,
gets a share of the same inputs in its shadow (`zoo.serve.shadow`), and takes over where it agrees
and is fast enough. What was asked before is answered by the old version, whose workers stay warm
for the way back. Whatever goes wrong before, the old version has served on.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import UserError, spelled
from zoo.measure.fail_if import VerdictCondition
from zoo.serve import versions
from zoo.serve.args import UpdateArgs
from zoo.serve.description import Description
from zoo.serve.errors import Conflict, Unavailable
from zoo.serve.service import ServedModel, Service
from zoo.serve.shadow import Compared, Shadow
from zoo.serve.versions import Steps
from zoo.serve.worker_process import WorkerDied, WorkerUnfit

LOG = logging.getLogger(__name__)


class Refused(Exception):
    """A new version that does not take over; `code` says why in a word, the text in a sentence."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass
class Update:
    """One way to a new version, and how it ended."""

    old: Description
    new: Description
    state: str = "loading"
    """then "shadow"; at last "ready" or "refused" """
    why: str = ""
    """of a refusal"""
    task: "asyncio.Task[None] | None" = None

    @property
    def is_under_way(self) -> bool:
        """Return whether it has not ended."""
        return self.state in ("loading", "shadow")


class Updater:
    """Changes the versions of a service's models, one change of a model at a time."""

    def __init__(self, service: Service, settings: UpdateArgs) -> None:
        """Raises `UserError` for conditions that are none."""
        self.service, self.settings = service, settings
        self._fail_if = [VerdictCondition.parse(text) for text in settings.fail_if]
        self._updates: dict[str, Update] = {}
        """the last one of each model"""
        self._standby: dict[str, ServedModel] = {}
        self._background: set[asyncio.Task[Any]] = set()

    def start(self) -> None:
        """Begin to watch, where that was asked for."""
        if self.settings.watch is not None:
            self._spawn(self._watch(self.settings.watch))

    async def stop(self) -> None:
        """End what is under way; the service ends the workers."""
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    async def load(self, name: str, folder: str | None = None, wait: bool = False) -> Update:
        """Begin to load a new version of a model; return when that has begun.

        Args:
            folder: see `versions.folder_of`.
            wait: return when it answers, or is refused.

        Raises:
            NotFound: there is no such model.
            Conflict: one is being loaded already.
            UserError: it can't be served, or is served already.
        """
        active = self._at_rest(name).description
        place = versions.folder_of(active, self.settings.model_root, folder)
        try:
            update = await self._begin(active, place)
        except versions.SameVersion:  # nothing is wrong with it
            raise
        except UserError as error:
            await Steps(active).tell_refused("not_served", spelled(str(error), pattern="{}"))
            raise
        if wait and update.task is not None:
            await asyncio.shield(update.task)
        return update

    async def rollback(self, name: str) -> ServedModel:
        """Have the version answer that did before; return it.

        Raises:
            NotFound: there is no such model.
            Conflict: there was none before, or another one is being loaded.
            Unavailable: its workers have died, and are not there again yet.
        """
        active = self._at_rest(name)
        before = self._standby.get(name)
        if before is None:
            raise Conflict(f"{name} has had no other version since the service was started")
        if not before.running:
            raise Unavailable(f"the version of {name} before has no worker that is ready")
        self._standby[name] = self.service.replace(before)
        steps = Steps(active.description, before.description)
        self._spawn(steps.tell("rolled_back"))
        return before

    async def unload(self, name: str) -> None:
        """Take no more for a model, answer what was asked, and end it.

        Raises:
            NotFound: there is no such model.
            Conflict: it is the last one, or a version of it is being loaded.
        """
        self._at_rest(name)
        if len(self.service.models) == 1:
            raise Conflict(f"{name} is the only model here: end the service instead")
        # before anything is waited for: nobody else changes the model meanwhile
        going = [self.service.take_out(name)]
        if before := self._standby.pop(name, None):
            going.append(before)
        self._updates.pop(name, None)
        retiring = [self._spawn(self.service.retire(one)) for one in going]
        await asyncio.shield(asyncio.gather(*retiring))

    def index(self) -> list[dict[str, Any]]:
        """Return all versions: name, version (the first digits of the digest), state, and reason
        where it is not READY; role: active, standby, next or refused."""
        found = []
        for name in self.service.models:
            active = self.service.version(name)
            found.append(_entry(active.description, "active", bool(active.running), active.unfit))
            if before := self._standby.get(name):
                found.append(_entry(before.description, "standby", bool(before.running), None))
            update = self._updates.get(name)
            if update and update.state != "ready":
                role = "next" if update.is_under_way else "refused"
                entry = _entry(update.new, role, False, update.why or update.state)
                found.append({**entry, "state": "LOADING"} if update.is_under_way else entry)
        return found

    def _at_rest(self, name: str) -> ServedModel:
        active = self.service.version(name)
        if self._is_busy(name):
            raise Conflict(f"another version of {name} is being loaded: wait for it to end")
        return active

    async def _begin(self, active: Description, folder: Path) -> Update:
        # before anything is waited for: nobody else begins meanwhile
        update = self._updates[active.name] = Update(active, active)
        try:
            update.new = await asyncio.to_thread(versions.opened, active, folder)
        except BaseException:
            update.state = "refused"
            del self._updates[active.name]
            raise
        update.task = self._spawn(self._run(update))
        return update

    async def _run(self, update: Update) -> None:
        """Take an update from its beginning to its end, whatever that is."""
        steps = Steps(update.old, update.new)
        candidate = self.service.start_beside(update.new)
        try:
            await self._prove(update, candidate, steps)
        except Refused as refused:
            await self.service.end(candidate)
            update.why = str(refused)
            await steps.tell_refused(refused.code, str(refused))
            update.state = "refused"
        except Exception:
            LOG.exception("%s: the update has failed", update.old.name)
            await self.service.end(candidate)
            update.state, update.why = "refused", "an error of the service's own; its log has more"
        else:
            oldest = self._standby.pop(update.old.name, None)
            self._standby[update.old.name] = self.service.replace(candidate)
            update.state = "ready"
            if oldest is not None:  # it may hear live sounds, for which nobody is to wait
                self._spawn(self.service.retire(oldest))
            await steps.tell("took_over")

    async def _prove(self, update: Update, candidate: ServedModel, steps: Steps) -> None:
        """Load a new version and compare it. Raises `Refused`."""
        began = time.monotonic()
        await self._loaded(candidate)
        if candidate.deaths:
            raise Refused("died", "a worker of it has died")
        tested = sum(worker.tested for worker in candidate.running[:1])
        seconds = time.monotonic() - began
        await steps.tell("loaded", seconds, "s", workload={"golden_inputs": tested})
        active = self.service.version(update.old.name)
        settings = self.settings
        if not (settings.shadow_share and settings.shadow_requests):
            return
        if not active.running:
            await steps.tell("not_compared", why="the version before has no worker that is ready")
            return
        update.state = "shadow"
        shadow = Shadow(active, candidate, settings.shadow_share, self.service.limits.timeout_s)
        began = time.monotonic()
        compared = await shadow.run(settings.shadow_requests, settings.shadow_s)
        await self._judge(candidate, compared, time.monotonic() - began, steps)

    async def _loaded(self, candidate: ServedModel) -> None:
        """Wait until all workers of a new version are ready. Raises `Refused`."""
        assert candidate.first is not None
        load_s = self.service.limits.load_s
        try:
            async with asyncio.timeout(load_s):
                await candidate.first
                while len(candidate.running) < candidate.workers and not candidate.deaths:
                    if candidate.unfit is not None:
                        raise WorkerUnfit(candidate.unfit)
                    await asyncio.sleep(0.05)
        except WorkerUnfit as error:
            raise Refused("unfit", str(error)) from None
        except (UserError, WorkerDied) as error:
            raise Refused("not_loaded", f"it can't be loaded: {error}") from None
        except TimeoutError:
            raise Refused("not_loaded", f"it is not loaded after {load_s:g} s") from None

    async def _judge(
        self, candidate: ServedModel, compared: Compared, seconds: float, steps: Steps
    ) -> None:
        """Raises `Refused` for a new version that answers otherwise, is too slow, or has died."""
        if candidate.deaths:
            raise Refused("died", "a worker of it has died over an input")
        if not compared.inputs:
            await steps.tell("not_compared", why=f"no request came within {seconds:.0f} s")
            return
        share, most = compared.disagreement, self.settings.max_disagreement
        await steps.tell_disagreement(share, compared.inputs)
        verdict, ratio = await asyncio.to_thread(compared.verdict, seconds)
        if ratio is not None:
            said: dict[str, Any] = {"n": ratio.n, "interval": ratio.interval.as_json()}
            said["workload"] = {"verdict": verdict.word}
            await steps.tell("speedup", ratio.value, why=verdict.why, **said)
        else:
            await steps.tell("not_timed", why=verdict.why)
        if share > most:
            raise Refused(
                "disagreement",
                f"{share:.1%} of {compared.inputs:,} inputs have another answer; {most:.1%} may",
            )
        speedup = ratio.value if ratio is not None else 1.0
        for condition in self._fail_if:
            if condition.holds(verdict.word, speedup):
                shown = f" ({speedup:.3f} times as fast)" if ratio is not None else ""
                raise Refused("speed", f"it is {verdict.word}{shown}: {verdict.why}")

    async def _watch(self, seconds: float) -> None:
        """Look at the folders again and again, and load what is new there."""
        seen = {
            name: await asyncio.to_thread(versions.stamp, one)
            for name, one in self.service.models.items()
        }
        said: dict[str, str] = {}
        while True:
            await asyncio.sleep(seconds)
            for name, one in self.service.models.items():
                now = await asyncio.to_thread(versions.stamp, one)
                if now in (None, seen.get(name)) or self._is_busy(name):
                    continue
                if self.service.version(name).description is not one:
                    continue  # another one answers by now: look again
                try:
                    await self._begin(one, one.folder)
                except versions.SameVersion:
                    said.pop(name, None)
                except UserError as error:  # perhaps half of it has come: look again
                    if said.get(name) != str(error):
                        said[name] = str(error)
                        await Steps(one).tell_refused("not_served", spelled(str(error), "{}"))
                    continue
                except Exception:  # whatever it is, others are looked at
                    LOG.exception("%s: a new version can't be looked at", name)
                    continue
                seen[name] = now

    def _is_busy(self, name: str) -> bool:
        """Return whether nothing new can be loaded for a model now."""
        update = self._updates.get(name)
        return name not in self.service.models or (update is not None and update.is_under_way)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


def _entry(one: Description, role: str, ready: bool, reason: str | None) -> dict[str, Any]:
    said: Mapping[str, Any] = {
        "name": one.name,
        "version": one.version,
        "state": "READY" if ready else "UNAVAILABLE",
        "reason": reason or ("" if ready else "no worker is ready"),
        "role": role,
        "deployment": one.deployment,
        "sha256": one.sha256,
    }
    return dict(said)
