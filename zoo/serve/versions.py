"""Where a new version of a served model comes from, and what is told of each step on its way."""

import asyncio
import hashlib
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.errors import UserError
from tasks.metrics.intervals import wilson
from zoo.runtimes import artifacts
from zoo.runtimes.deployment import Deployment
from zoo.serve.description import Description, describe
from zoo.serve.logs import UPDATES
from zoo.store import checkpoint, evidence

LOG = logging.getLogger(__name__)
LEVEL = 0.95
"""Of the interval of a share of inputs."""
RATIO = "1"


class SameVersion(UserError):
    """A folder that holds what is served already."""


def folder_of(active: Description, root: Path | None, wanted: str | None) -> Path:
    """Return the folder of a new version: the one that is served, or another one that may be named.

    Args:
        root: below which it lies; None: none may be named.
        wanted: as it was asked for; a relative one is below `root`.

    Raises `UserError` for a folder that may not be served.
    """
    if wanted is None:
        return active.folder
    if root is None:
        if Path(wanted).resolve() == active.folder.resolve():
            return active.folder
        raise UserError(
            "no other folder than the one that is served may be named here",
            "folder",
            "start the service with `model_root` DIR for folders below it",
        )
    try:
        found = (root / wanted).resolve()
    except ValueError as error:  # NUL
        raise UserError(f"the folder can't be: {error}", "folder") from None
    if not found.is_relative_to(root.resolve()):
        raise UserError("the folder is not below the one that models may lie in", "folder")
    return found


def opened(active: Description, folder: Path) -> Description:
    """Return the description of a new version.

    Raises:
        UserError: it is damaged, not exported, can't be read, or is of another task.
        SameVersion: it is what is served already.
    """
    if active.zero_shot:
        raise UserError(f"{active.name} are pretrained weights, which have no other version")
    try:
        found = describe(folder, active.name, active.deployment)
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror or error}", "folder") from None
    mine, its = ((one.task.name, one.kind, one.takes_pairs) for one in (active, found))
    if mine != its:
        raise UserError(
            f"{folder} is of {found.task.name}, and {active.name} answers {active.task.name}: "
            "whoever calls it would get something else"
        )
    if found.sha256 == active.sha256:
        raise SameVersion(f"{folder} holds what {active.name} serves already")
    return found


def stamp(one: Description) -> str | None:
    """Return a digest of the records of a folder, which change with what is served out of it; None
    where they can't be read now."""
    deployment = Deployment.parse(one.deployment)
    records = [one.folder / checkpoint.MANIFEST]
    exported = artifacts.folder_of(one.folder, deployment) / artifacts.MANIFEST
    try:
        if exported.exists():
            records.append(exported)
        return hashlib.sha256(b"\0".join(path.read_bytes() for path in records)).hexdigest()
    except OSError:
        return None


@dataclass
class Steps:
    """What is told of one update: a line of the log and a line of evidence for each step."""

    old: Description
    new: Description | None = None
    """None where it could not be opened"""
    run: str = field(default_factory=lambda: uuid.uuid4().hex)

    async def tell(
        self, name: str, value: float = 1, unit: str = RATIO, why: str = "", **more: Any
    ) -> None:
        """Tell of a step: "loaded", "took_over", "refused", ...

        Args:
            why: a sentence, for the log.
            more: of the fact: n, interval, workload, status.
        """
        known = {"n": more.get("n"), **more.get("workload", {})}
        if why:
            known["why"] = why
        UPDATES.log(
            logging.ERROR if more.get("status") == "wrong" else logging.INFO,
            {
                "update": self.run,
                "model": self.old.name,
                "step": name,
                "value": value,
                "from": self.old.version,
                "to": self.new.version if self.new else "",
                **{key: one for key, one in known.items() if one},
            },
        )
        await asyncio.to_thread(self._record, name, value, unit, more)

    async def tell_refused(self, code: str, why: str) -> None:
        """Tell that the new version does not take over: why in a word, and in a sentence."""
        await self.tell("refused", why=why, status="wrong", workload={"why": code})

    async def tell_disagreement(self, share: float, n: int) -> None:
        """Tell which share of n inputs had another answer."""
        found = wilson("disagreement", share, n, LEVEL)
        await self.tell("disagreement", share, n=n, interval=evidence.interval_of(found))

    def _record(self, name: str, value: float, unit: str, more: Mapping[str, Any]) -> None:
        """Add a line to the evidence; where that can't be, the service goes on without."""
        about = self.new or self.old
        workload = {"from": self.old.sha256, **more.get("workload", {})}
        rest = {key: one for key, one in more.items() if key != "workload"}
        try:
            made = evidence.fact(
                "update",
                name,
                value,
                unit,
                subject=about.sha256,
                run=self.run,
                deployment=about.deployment,
                workload=workload,
                **rest,
            )
            evidence.append(about.folder, [made])
        except (OSError, UserError) as error:
            LOG.error("%s: no evidence of the step %s: %s", self.old.name, name, error)
