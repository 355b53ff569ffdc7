"""Inputs that wait for a worker: first in, first out, and no more than may wait."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo.serve.errors import QueueFull
from zoo.serve.items import Item

RATE_WEIGHT = 0.2
"""Of the last batch in the rate of answers that `Retry-After` is told by."""
FIRST_RETRY_S = 1.0
"""What `Retry-After` says before anything was answered."""


@dataclass(eq=False, slots=True)
class Job:
    """One input, from its arrival to its answer."""

    item: Item
    parameters: Mapping[str, Any]
    deadline: float
    """when nobody waits for the answer any more, in seconds of `time.monotonic`"""
    answer: "asyncio.Future[dict[str, Any]]"
    arrived: float = field(default_factory=time.monotonic)
    tried: int = 0
    """workers that died with it"""
    pieces: "Pieces | None" = None
    """takes what a model writes while it does, for whoever reads it then"""
    has_begun: bool = False
    """whether such a reader has a piece: no other worker can begin it again"""

    def is_wanted(self, now: float) -> bool:
        """Return whether somebody still waits: the client has not gone, the deadline not passed."""
        return not self.answer.done() and now < self.deadline


Pieces = asyncio.Queue[tuple[Job, Mapping[str, Any] | None]]
"""What is written for some jobs, each piece with its job; None behind the last one."""


class JobQueue:
    """A bounded queue of jobs, for the event loop; see the module."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`most` jobs wait at once; `clock` gives seconds."""
        self.most = most
        self._clock = clock
        self._jobs: deque[Job] = deque()
        self._waiting: list[asyncio.Future[None]] = []
        self._per_second = 0.0

    def __len__(self) -> int:
        """Return how many wait; some of them perhaps for nobody any more."""
        return len(self._jobs)

    def admit(self, jobs: Sequence[Job]) -> None:
        """Put jobs at the end, all or none. Raises `QueueFull` where there is no room for all."""
        if len(self._jobs) + len(jobs) > self.most:
            self._drop_unwanted()
        if len(self._jobs) + len(jobs) > self.most:
            raise QueueFull(len(self._jobs), self.expected_wait_s())
        self._jobs.extend(jobs)
        self._wake()

    def put_back(self, jobs: Sequence[Job]) -> None:
        """Put jobs of a worker that died before all others: they have waited longest."""
        self._jobs.extendleft(reversed(jobs))
        self._wake()

    async def take(self, most: int, wait_s: float = 0.0) -> tuple[list[Job], str]:
        """Return the jobs that have waited longest, `most` at most, and why they were released:
        "full", or "waited" for `wait_s` since the first of them came, or "idle" without a wait. A
        job that a worker died with is released "again" by itself: perhaps it was to blame, and
        those beside it were not.

        Waits until there is one.
        """
        while True:
            now = self._clock()
            while self._jobs and not self._jobs[0].is_wanted(now):
                self._jobs.popleft()
            if not self._jobs:
                await self._arrival(None)
            elif self._jobs[0].tried:
                return self._pop(1, now), "again"
            elif len(self._jobs) >= most:
                return self._pop(most, now), "full"
            elif (left := self._jobs[0].arrived + wait_s - now) > 0:
                await self._arrival(left)
            else:
                return self._pop(most, now), "waited" if wait_s else "idle"

    def answered(self, jobs: int, seconds: float) -> None:
        """Learn from a batch of so many jobs that took so long."""
        rate = jobs / max(seconds, 1e-6)
        old = self._per_second or rate
        self._per_second = old + RATE_WEIGHT * (rate - old)

    def expected_wait_s(self) -> float:
        """Return in how many seconds those that wait now should be answered."""
        if not self._per_second:
            return FIRST_RETRY_S
        return len(self._jobs) / self._per_second

    def empty(self) -> list[Job]:
        """Return all that wait, and forget them."""
        jobs = list(self._jobs)
        self._jobs.clear()
        return jobs

    def _pop(self, most: int, now: float) -> list[Job]:
        taken: list[Job] = []
        while self._jobs and len(taken) < most:
            job = self._jobs.popleft()
            if job.is_wanted(now):
                taken.append(job)
        return taken

    def _drop_unwanted(self) -> None:
        now = self._clock()
        self._jobs = deque(job for job in self._jobs if job.is_wanted(now))

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)

    async def _arrival(self, seconds: float | None) -> None:
        """Wait for a job to arrive, but no longer than so many seconds."""
        arrival = asyncio.get_running_loop().create_future()
        self._waiting.append(arrival)
        await asyncio.wait((arrival,), timeout=seconds)
