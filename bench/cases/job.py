"""What a measure is given: a prepared case, how long to spend on it, and processes to do it in."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.cases import child
from bench.cases.case import Case
from bench.cases.child import Shared, Start
from tasks.errors import UserError
from zoo.measure import Arm
from zoo.measure.deadline import LEAST_S, Deadline
from zoo.measure.process import Worker

FEW = 3
"""Launches where time is short: from two, a 99% interval would be seven times as wide again."""

Launcher = Literal["fresh", "preloaded"]
"""How a process begins: with nothing, or as a fork of one that has imported the libraries
(`zoo.measure.preloaded`)."""


@dataclass(frozen=True)
class Settings:
    """How carefully to measure. Raises `UserError` for values that cannot be met."""

    budget_s: float = 30.0
    """seconds of timing a case; loading a model again and again comes out of it, too"""
    launches: int = 5
    """processes that a latency is taken from; 3 leave a 99% interval three times as wide"""
    timeout_s: float = 600.0
    """for any one step: loading, compiling, a block of calls"""
    launcher: Launcher = "preloaded"
    """asked for, of the processes that a latency is taken from; the others are preloaded where they
    may be"""
    deadline: Deadline = field(default_factory=Deadline)
    """by which all has to be over"""

    def __post_init__(self) -> None:
        for name in ("budget_s", "timeout_s"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} {getattr(self, name)}: above 0")
        if self.launches < 1:
            raise UserError(f"launches {self.launches}: at least 1")

    def for_step(self) -> "Settings":
        """Return the settings for the next measurement: with a deadline, a case takes its share of
        the time left, and a latency is taken from at most `FEW` launches."""
        if not self.deadline.is_set:
            return self
        return dataclasses.replace(
            self,
            budget_s=max(LEAST_S, min(self.budget_s, self.deadline.share())),
            launches=min(self.launches, FEW),
            timeout_s=max(LEAST_S, min(self.timeout_s, self.deadline.left())),
        )


@dataclass(frozen=True)
class MeasureJob:
    """One case to be measured by one measure."""

    case: Case
    arm: Arm
    """what is timed"""
    work: Mapping[str, float]
    """what a call handles"""
    reference: str
    """.npz of the outputs it should have: `bench.cases.prepare.Prepared`"""
    settings: Settings
    start: Start = Worker
    """what starts the processes that work for it"""
    launch: Start = Worker
    """what starts those that a latency is taken from"""
    shared: Shared | None = None
    """the process of the case that measures share; None: each has its own"""
    counted: dict[str, Any] = field(default_factory=dict)
    """what `once` was told before"""

    def ask(self, function: str, **more: Any) -> Any:
        """Return `function(target, kwargs, **more)` ("module:name") for the case, computed in the
        process that measures share, or in one of its own. It loads the case by
        `bench.cases.child.load`.

        Raises `zoo.measure.process.WorkerFailed`.
        """
        timeout = self.settings.timeout_s
        if self.shared is not None:
            return self.shared.ask(function, timeout, **more)
        return child.ask(function, self.arm, timeout, self.start, **more)

    def once(self, function: str, kwargs: Mapping[str, Any]) -> Any:
        """Return `function(**kwargs)`, computed in a process of its own; later calls for any case
        of the same preparation return the same result.

        Raises `zoo.measure.process.WorkerFailed`.
        """
        key = json.dumps([function, dict(kwargs)], sort_keys=True)
        if key not in self.counted:
            threads, timeout = self.case.threads, self.settings.timeout_s
            self.counted[key] = child.call(
                function, kwargs, threads, timeout_s=timeout, start=self.start
            )
        return self.counted[key]

    def fresh(self, arm: Arm, timeout_s: float) -> Worker:
        """Start a process from nothing: neither forked nor shared with other measures."""
        return self.settings.deadline.bound(Worker)(arm, timeout_s)

    @contextmanager
    def worker(self) -> Iterator[Worker]:
        """Yield a live process of the case: the one that measures share, or one that ends with the
        `with`."""
        if self.shared is not None:
            yield self.shared.worker(self.settings.timeout_s)
            return
        with self.start(self.arm, self.settings.timeout_s) as worker:
            yield worker
