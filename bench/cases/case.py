"""A case: one model, run in one way, on one workload. What is measured, as plain data."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self, get_args

from tasks.errors import UserError
from zoo.machine import environment
from zoo.machine.environment import ROOT
from zoo.runtimes import check_threads
from zoo.runtimes.deployment import Deployment

Phase = Literal["inference", "training", "generation"]
PHASES: tuple[str, ...] = get_args(Phase)
SOURCES = ("tasks", "zoo", "bench")  # folders whose code decides what a number means
MOST = 2**31  # of samples in a batch, of threads, of tokens in a sample
NO_NUMBER = Path("bench/report")  # shows them only


@dataclass(frozen=True)
class Case:
    """Raises `UserError` where it makes no sense."""

    model: str
    """folder of a checkpoint, or a name of `bench.cases.models`, which gets random weights"""
    deployment: str = "eager"
    """as `zoo.runtimes.deployment` writes it"""
    batch_size: int = 1
    length: float | None = None
    """of every sample, in tokens, pixels of a side, or seconds; None: the model's usual one"""
    device: str = "cpu"
    threads: int = 1
    phase: Phase = "inference"

    def __post_init__(self) -> None:
        for name in ("model", "deployment", "device"):
            if not isinstance(getattr(self, name), str):
                raise UserError(f"{name} {getattr(self, name)!r}: a text")
        object.__setattr__(self, "deployment", str(Deployment.parse(self.deployment)))
        for name in ("batch_size", "threads"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < MOST:
                raise UserError(f"{name} {value!r}: a whole number, 1 to {MOST - 1:,}")
        if self.length is not None:
            if isinstance(self.length, bool) or not isinstance(self.length, int | float):
                raise UserError(f"length {self.length!r}: a number")
            if not 0 < self.length < MOST:
                raise UserError(f"length {self.length}: above 0, and below {MOST:,}")
            if self.length == int(self.length):  # 128.0 is 128, in every key
                object.__setattr__(self, "length", int(self.length))
        if self.phase not in PHASES:
            raise UserError(f"phase {self.phase!r}: one of {', '.join(PHASES)}")

    def __str__(self) -> str:
        length = "" if self.length is None else f", length {self.length:g}"
        phase = "" if self.phase == "inference" else f", {self.phase}"
        device = "" if self.device == "cpu" else f", {self.device}"
        return f"{self.model} {self.deployment}, batch {self.batch_size}{length}{phase}{device}"

    def to_json(self) -> dict[str, Any]:
        """As `from_json` reads it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Raises `UserError` for values, TypeError for fields that `to_json` did not write."""
        return cls(**content)

    def key(self, subject: str, environment: Mapping[str, Any]) -> str:
        """16 hex digits that stand for this case of these weights, with this code, here.

        Args:
            subject: digest of what is run: checkpoint or artifact.
            environment: machine and versions.
        """
        said = [self.to_json(), subject, source_digest(), environment]
        text = json.dumps(said, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def source_digest(root: Path = ROOT) -> str:
    """16 hex digits of the sha256 over our source files: a commit with what was changed since."""
    digest = hashlib.sha256()
    for path in sorted(path for name in SOURCES for path in (root / name).rglob("*.py")):
        if path.is_relative_to(root / NO_NUMBER):
            continue
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def threads_of(asked: int | None) -> int:
    """Threads of a case: as asked, or by OMP_NUM_THREADS, or the cores that are granted."""
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
