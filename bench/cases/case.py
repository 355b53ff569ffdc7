"""A case: one model, run in one way, on one workload. What is measured, as plain data."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Self

from tasks.errors import UserError
from zoo.machine import environment
from zoo.machine.environment import ROOT
from zoo.measure.workload import (
    LARGEST,
    NEW_TOKENS,
    Forward,
    Generate,
    Serve,
    Workload,
    workload_of,
)
from zoo.runtimes import check_threads
from zoo.runtimes.deployment import Deployment

SOURCES = ("tasks", "zoo", "bench")  # folders whose code decides what a number means
NO_NUMBER = Path("bench/report")  # shows them only


@dataclass(frozen=True)
class Case:
    """A model, deployment and workload on a device. Raises `UserError` for invalid values."""

    model: str
    """folder of a checkpoint, or a name of `bench.cases.models`, which gets random weights"""
    deployment: str = "eager"
    """as `zoo.runtimes.deployment` writes it"""
    workload: Workload = field(default_factory=Forward)
    device: str = "cpu"
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("model", "deployment", "device"):
            if not isinstance(getattr(self, name), str):
                raise UserError(f"{name} {getattr(self, name)!r}: a text")
        object.__setattr__(self, "deployment", str(Deployment.parse(self.deployment)))
        threads = self.threads
        if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads < LARGEST:
            raise UserError(f"threads {threads!r}: a whole number, 1 to {LARGEST - 1:,}")

    @classmethod
    def of(
        cls,
        model: str,
        deployment: str = "eager",
        batch_size: int = 1,
        length: float | None = None,
        device: str = "cpu",
        threads: int = 1,
        phase: str = "inference",
        **more: Any,
    ) -> Self:
        """Return the case of these flags, which are also the fields of its JSON.

        Args:
            length: of every sample, in tokens, pixels of a side, or seconds; None: the usual one.
            phase: a key of `zoo.measure.workload.PHASES`.
            more: further fields of that workload.
        """
        sizes = {"batch": batch_size} | ({} if length is None else {"length": length})
        return cls(model, deployment, workload_of(phase, sizes, **more), device, threads)

    def __str__(self) -> str:
        device = "" if self.device == "cpu" else f", {self.device}"
        return f"{self.model} {self.deployment}, {self.workload}{device}"

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON-ready data, which `Case.from_json` reads."""
        workload = self.workload
        content: dict[str, Any] = {
            "model": self.model,
            "deployment": self.deployment,
            "batch_size": workload.batch,
            "length": workload.length,
            "device": self.device,
            "threads": self.threads,
            "phase": workload.phase,
        }
        if isinstance(workload, Generate) and workload.new_tokens != NEW_TOKENS:
            content["new_tokens"] = workload.new_tokens  # older records do not say the usual
        if isinstance(workload, Serve):
            content |= {name: getattr(workload, name) for name in ("p99_ms", "server", "options")}
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return a case from its JSON fields.

        Raises `UserError` for invalid values, TypeError for fields that `to_json` did not write.
        """
        return cls.of(**content)

    def key(self, subject: str, environment: Mapping[str, Any]) -> str:
        """Return 16 hex digits that identify this case with these weights, our code, and this
        environment.

        Args:
            subject: digest of what is run: checkpoint or artifact.
            environment: machine and versions.
        """
        said = [self.to_json(), subject, source_digest(), environment]
        text = json.dumps(said, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def source_digest(root: Path = ROOT) -> str:
    """Return 16 hex digits of the sha256 over our source files, including uncommitted changes."""
    digest = hashlib.sha256()
    for path in sorted(path for name in SOURCES for path in (root / name).rglob("*.py")):
        if path.is_relative_to(root / NO_NUMBER):
            continue
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def threads_of(asked: int | None) -> int:
    """Return the threads of a case: `asked`, else OMP_NUM_THREADS, else the granted cores."""
    check_threads(asked)
    if asked is not None:
        return asked
    told = os.environ.get("OMP_NUM_THREADS", "")
    if told.isdecimal() and int(told):
        return int(told)
    return max(1, min(int(environment.machine(gpu=False)["cores"]), _physical_cores()))


def _physical_cores() -> int:
    import psutil

    return psutil.cpu_count(logical=False) or os.cpu_count() or 1
