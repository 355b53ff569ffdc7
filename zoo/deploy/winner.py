"""`serving.json`: the deployment that `decide` chose for a checkpoint, on the machine it lies on.

`serve --deployment auto` reads it. It names the program by its digest, so a record of other
weights, or of a program that was exported again since, is refused. It is about one machine: the Hub
does not get it.
"""

import contextlib
import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks import atomic, json_files
from tasks.errors import UserError
from zoo.machine import commands
from zoo.runtimes import artifacts
from zoo.runtimes.deployment import Deployment
from zoo.runtimes.known import RUNTIMES
from zoo.store import evidence, typed

FILE = "serving.json"
SCHEMA = 1


@dataclass(frozen=True)
class Winner:
    """The chosen deployment, what was measured of it, and where."""

    deployment: str
    digest: str
    """of its program; of the checkpoint where it has none of its own"""
    source: str
    """digest of the checkpoint"""
    device: str
    """cpu or cuda"""
    threads: int
    """of the processor, with which it was timed"""
    workload: Mapping[str, float]
    """sizes of the calls that were timed: batch and length"""
    seconds: float
    """of a call, the median"""
    p95_s: float | None = None
    """seconds that 95 of 100 calls take at most; None: too few were timed"""
    speedup: float | None = None
    """times as fast as eager fp32; None of eager itself"""
    lost: float | None = None
    """of the task's main metric on the validation split"""
    limits: Mapping[str, float | None] = field(default_factory=dict)
    """what was asked for: p95_s (seconds), max_drop, memory (bytes), ttft_s and tpot_s (seconds to
    the first token and per further one); of a service its rate (requests/s) and p99_s as well"""
    workers: int | None = None
    """of the service that keeps its p99 at that rate; None: none was asked for"""
    max_batch: int | None = None
    """inputs that each of these workers is handed at once"""
    machine: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    time: str = ""
    """UTC, ISO 8601"""
    schema: int = SCHEMA


def record(folder: Path, winner: Winner) -> None:
    """Replace what the checkpoint in `folder` says of its winner; where and when it was found is
    filled in.

    Raises OSError where the folder can't be written.
    """
    origin = evidence.origin()
    found = {name: origin[name] for name in ("machine", "versions", "command", "time")}
    atomic.write_json(folder / FILE, dataclasses.asdict(dataclasses.replace(winner, **found)))


def forget(folder: Path) -> None:
    """Remove the record, if there is one."""
    with contextlib.suppress(FileNotFoundError):
        (folder / FILE).unlink()


def read(folder: Path) -> Winner | None:
    """Return the winner that `decide` left in a checkpoint; None where it left none.

    Raises `UserError` where the record is damaged, or is not about the weights or the program that
    lie there now. The files of a program are summed when it is opened, not here.
    """
    path = folder / FILE
    if not os.path.lexists(path):
        return None
    again = commands.python("bench", "decide", folder, "--export")
    try:
        found = _parsed(json_files.read_object(path))
        deployment = Deployment.parse(found.deployment)
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    except (ValueError, UserError) as error:
        raise UserError(f"{path} is damaged ({error}): {again}") from None
    if found.source != evidence.subject_digest(folder):
        raise UserError(f"{path} was decided for other weights than lie there now: {again}")
    if found.digest != _digest(folder, deployment, found.source):
        raise UserError(f"{path} is about another program of {deployment} than lies there: {again}")
    return found


def _parsed(said: Mapping[str, Any]) -> Winner:
    """The record in a JSON object. Raises ValueError where it is of another shape."""
    if wrong := typed.fault(Winner, said, ""):
        raise ValueError(wrong)
    if said.get("schema", SCHEMA) > SCHEMA:
        raise ValueError(f"it is of schema {said['schema']}, and this version knows {SCHEMA}")
    known = {each.name for each in dataclasses.fields(Winner)}
    return Winner(**{name: value for name, value in said.items() if name in known})


def _digest(folder: Path, deployment: Deployment, source: str) -> str:
    """The digest of what runs a deployment, by its manifest."""
    program = artifacts.folder_of(folder, deployment)
    if RUNTIMES[deployment.runtime].artifact is None:
        return source
    if not program.is_dir():
        how = artifacts.how_to_make(folder, deployment)
        raise UserError(f"{folder / FILE} names {deployment}, which is not exported: {how}")
    return artifacts.read_manifest(program).digest
