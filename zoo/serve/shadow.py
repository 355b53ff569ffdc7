"""A new version in the shadow of the one that answers: it gets a share of the same inputs, its
answers go to nobody, and both are compared.

A batch goes to the new version after the clients have their answers, so that it delays none; where
it can't keep up batches are left out. It is run twice: what one version differs from itself is the
noise floor. Times are compared by the tests of `zoo.measure`: consecutive batches in groups stand
for launches, since the processes that are compared are those that would serve. Batches are taken in
bursts: while the new version works on one, the old one is as crowded with the next.
"""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zoo.serve.activity import Pass
from zoo.serve.errors import QueueFull
from zoo.serve.queue import Job

if TYPE_CHECKING:
    from zoo.measure.intervals import Estimate
    from zoo.measure.verdicts import Verdict
    from zoo.serve.service import ServedModel

WAITING = 8
"""Batches that wait for the new version; more are left out."""
GROUPS, LEAST_IN_GROUP = 10, 5
"""Into which the batches are cut, at most, and how many are in one at least."""
BURST = 8
"""Batches that are taken one after another."""
END_S = 1.0
"""From the last answer of a batch to the end of its pass, at most; a worker that died has none."""
SCORES = ("score", "scores")
CLOSE = 0.05
"""Numbers that are predicted agree where they differ by this share at most."""


@dataclass
class Compared:
    """What was found of the two versions."""

    inputs: int = 0
    disagreed: int = 0
    times: list[tuple[Pass, Pass, Pass]] = field(default_factory=list)
    """of each batch: the pass of the old version, that of the new one, and the new one's second"""

    @property
    def disagreement(self) -> float:
        """The share of inputs with another answer; 0 where there was none to compare."""
        return self.disagreed / self.inputs if self.inputs else 0.0

    def verdict(self, seconds: float) -> "tuple[Verdict, Estimate | None]":
        """Return whether the new version is faster or slower, and the speedup.

        It is told by the batches for which both had as much of the machine. Where these are too
        few, by what the others show at least: n passes beside it make a pass take n + 1 times as
        long at most, so what is slower by more than that is slower.

        Args:
            seconds: that the comparison took.
        """
        alike = [one for one in self.times if one[1].is_like(one[0]) and one[1].is_like(one[2])]
        found = _judged([_ratio(old, new) for old, new, _ in alike], alike, seconds)
        if found[0].word != "can't tell":
            return found
        best = [_ratio(old, new) * (1 + new.others) for old, new, _ in self.times]
        worst = [_ratio(old, new) / (1 + old.others) for old, new, _ in self.times]
        for bounds, word in ((best, "slower"), (worst, "faster")):
            by_bounds = _judged(bounds, self.times, seconds)
            if by_bounds[0].word == word:
                return by_bounds
        return found


def _ratio(old: Pass, new: Pass) -> float:
    return old.seconds / new.seconds


def _judged(
    ratios: Sequence[float], times: Sequence[tuple[Pass, Pass, Pass]], seconds: float
) -> "tuple[Verdict, Estimate | None]":
    """Return the verdict on the ratios of batches, and their estimate; None where they are few."""
    import numpy as np

    from zoo.measure.intervals import estimate
    from zoo.measure.verdicts import Verdict, floor_of, judge

    groups = min(GROUPS, len(ratios) // LEAST_IN_GROUP)
    if groups < 2:
        why = f"{len(ratios)} times of both are comparable; {2 * LEAST_IN_GROUP} wanted"
        return Verdict("can't tell", why), None
    twins = np.array_split(np.log([_ratio(new, again) for _, new, again in times]), groups)
    ratio = estimate(np.array_split(np.log(ratios), groups), len(ratios))
    floor = floor_of([float(np.median(group)) for group in twins])
    return judge(ratio, groups, floor, seconds), ratio


class Shadow:
    """Sends what a model answered to another version of it, and compares."""

    def __init__(
        self, active: "ServedModel", candidate: "ServedModel", share: float, timeout_s: float
    ) -> None:
        """
        Args:
            share: of the batches, from 0 to 1.
            timeout_s: of an answer of the candidate.
        """
        self.active, self.candidate = active, candidate
        self.share, self.timeout_s = share, timeout_s
        self.compared = Compared()
        self._due, self._left = float(BURST), 0
        self._waiting: asyncio.Queue[tuple[Sequence[Job], Pass]] = asyncio.Queue(WAITING)

    async def run(self, inputs: int, seconds: float) -> Compared:
        """Compare so many inputs, or for so long; return what was found."""
        self.active.observer = self._answered
        try:
            async with asyncio.timeout(seconds):
                while self.compared.inputs < inputs and not self.candidate.deaths:
                    await self._compare(*await self._waiting.get())
        except TimeoutError:
            pass  # what was compared until then decides
        finally:
            self.active.observer = self.candidate.observer = None
        return self.compared

    def _answered(self, jobs: Sequence[Job], ran: Pass) -> None:
        """Take a share of what the active version has answered; never waits."""
        self._due += self.share
        if self._due >= BURST - 1e-9:
            self._due -= BURST
            self._left = BURST
        if self._left:
            self._left -= 1
            if not self._waiting.full():
                self._waiting.put_nowait((jobs, ran))

    async def _compare(self, jobs: Sequence[Job], ran: Pass) -> None:
        known = [job for job in jobs if job.answer.done() and not job.answer.cancelled()]
        if not known:
            return
        first, answers = await self._once(known)
        again, _ = await self._once(known)
        for job, other in zip(known, answers, strict=True):
            self.compared.inputs += 1
            self.compared.disagreed += not agree(_outcome(job), other)
        if first is not None and again is not None and len(known) == len(jobs):
            self.compared.times.append((ran, first, again))

    async def _once(self, jobs: Sequence[Job]) -> tuple[Pass | None, list[Any]]:
        """Return how the candidate's pass over these inputs ran, and its answers."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Pass | None] = loop.create_future()
        now = time.monotonic()
        copies = [
            Job(job.item, job.parameters, now + self.timeout_s, loop.create_future(), now)
            for job in jobs
        ]

        def told(ran_jobs: Sequence[Job], ran: Pass) -> None:
            if not ended.done():  # where they went in several parts, no time is that of all
                ended.set_result(ran if len(ran_jobs) == len(copies) else None)

        self.candidate.observer = told
        try:
            self.candidate.queue.admit(copies)
            await asyncio.wait([copy.answer for copy in copies], timeout=self.timeout_s)
            await asyncio.wait([ended], timeout=END_S)
            found = [_outcome(copy) if copy.answer.done() else None for copy in copies]
        except QueueFull:
            return None, [None] * len(jobs)
        finally:  # the time to compare may be over, and nobody waits for what is left
            for copy in copies:
                copy.answer.cancel()
        return (ended.result() if ended.done() else None), found


def agree(one: Any, other: Any) -> bool:
    """Return whether two predictions, as JSON, say the same: scores aside, and the order of
    several labels; numbers may differ by `CLOSE`. Errors are texts, and agree where they are equal.
    """
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        dropped = (*SCORES, "guesses") if "label" in one else SCORES
        mine, its = ({k: v for k, v in x.items() if k not in dropped} for x in (one, other))
        return mine.keys() == its.keys() and all(agree(mine[name], its[name]) for name in mine)
    if isinstance(one, list) and isinstance(other, list):
        if all(isinstance(x, str) for x in (*one, *other)):
            return sorted(one) == sorted(other)
        return len(one) == len(other) and all(map(agree, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=CLOSE, abs_tol=1e-6)
    return bool(one == other)


def _outcome(job: Job) -> Any:
    """Return the prediction, or the text of the error."""
    error = job.answer.exception()
    return str(error) if error is not None else job.answer.result()
