"""Records what a comparison rests on: launches of all arms, rounds of blocks in random order.

In a launch every arm has a fresh process. All are loaded and warmed up one after the other; then
they take turns, one block an arm and round, in a new random order each round, while the others
sleep on their pipes. What drifts slowly is the same for all blocks of a round.
"""

import contextlib
import dataclasses
import json
import math
import random
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from tasks.metrics.intervals import t_quantile
from zoo.measure.arms import Arm, ArmFailed
from zoo.measure.intervals import LEVEL, estimate, median_error
from zoo.measure.process import Loaded, Ran, Runs, Worker, WorkerFailed
from zoo.measure.timing import Size, Warmed, warm_up
from zoo.measure.usage import Usage

LEAST_ROUNDS = 3  # of a launch that comes when the budget is spent

Pair = tuple[str, str | None]  # times of the first over times of the second; None: its own times
Stopped = Literal["width", "budget", "failed", "interrupted"]
Start = Callable[[Arm, float], Runs]
Tell = Callable[[int], None]  # called with the number of launches so far


@dataclass(frozen=True)
class Plan:
    """How long and how exactly to measure. Raises ValueError for values that cannot be met."""

    launches: int = 5
    """at least; 3 leave a 99% interval three times as wide, as t over launches knows their scatter
    from two degrees of freedom only"""
    budget_s: float = 60.0
    """loading counts; what `launches` of LEAST_ROUNDS take is spent in any case"""
    target_halfwidth: float = 0.02
    """relative half of the interval's width that is narrow enough to stop"""
    seed: int = 0
    """of the order of blocks and of the bootstrap"""
    level: float = LEVEL
    block_s: float = 0.1
    """length of a block; one call where that takes longer"""
    min_rounds: int = 8
    """of a launch, as long as the budget is not spent"""
    warm_up_s: float = 10.0
    """at most, for each process"""
    timeout_s: float = 300.0
    """for any answer of a process: it takes the loading, or a block"""
    deadline_s: float | None = None
    """by which it ends with what it has: no launch begins that would not be over by then, not even
    of those that `launches` asks for; the first one has its LEAST_ROUNDS, though"""

    def __post_init__(self) -> None:
        if self.launches < 1 or self.min_rounds < 1:
            raise ValueError("a comparison needs at least one launch and one round")
        spans = (self.budget_s, self.block_s, self.warm_up_s, self.timeout_s, self.deadline)
        if min(spans) < 0:
            raise ValueError("seconds are not negative")
        if not 0.5 < self.level < 1 or not self.target_halfwidth > 0:
            raise ValueError("level lies between 0.5 and 1, target_halfwidth above 0")

    @property
    def deadline(self) -> float:
        """`deadline_s` in seconds, infinite if it is None."""
        return math.inf if self.deadline_s is None else self.deadline_s


@dataclass(frozen=True)
class Block:
    """One measured block of calls."""

    arm: str
    launch: int
    round: int
    order: int
    """its place in the round"""
    began: float
    """seconds since the recording began"""
    ran: Ran

    @property
    def log_median(self) -> float:
        """Natural logarithm of the median seconds of a call."""
        return math.log(max(statistics.median(self.ran.seconds), 1e-9))

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON-ready data, which `Block.from_json` reads."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Return a block from the data that `Block.as_json` returned."""
        ran = dict(content["ran"])
        ran["usage"] = Usage(**ran["usage"])
        ran["seconds"], ran["violations"] = tuple(ran["seconds"]), tuple(ran["violations"])
        return cls(**{**content, "ran": Ran(**ran)})


@dataclass(frozen=True)
class Launch:
    """One process of an arm: how it loaded and warmed up before its first block."""

    arm: str
    launch: int
    loaded: Loaded
    warmed: Warmed


@dataclass(frozen=True)
class Recording:
    """All raw measurements of a run."""

    plan: Plan
    arms: tuple[Arm, ...]
    launches: tuple[Launch, ...]
    blocks: tuple[Block, ...]
    failed: tuple[ArmFailed, ...]
    seconds: float
    """that it took"""
    stopped: Stopped
    """why it ended: narrow enough, out of time, too few arms were left, or Ctrl-C"""

    def as_json(self) -> dict[str, Any]:
        """Return JSON-ready data; the blocks are the raw samples."""
        content: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self), default=dict))
        return content


class RecordingInterrupted(KeyboardInterrupt):
    """Ctrl-C while arms were measured; `recording` is what there was until then, rounds that were
    not over left out."""

    def __init__(self, recording: Recording) -> None:
        super().__init__()
        self.recording = recording


Rounds = list[list[dict[str, Block]]]  # by launch, by round, by arm


def rounds_of(blocks: Iterable[Block], arms: Sequence[str]) -> Rounds:
    """Return the blocks of some arms by launch and round, for the rounds that have all of these
    arms.

    Disturbed rounds of a launch are left out if a quarter of its rounds, and at least LEAST_ROUNDS,
    are calm. They are chosen by the load of other processes, not by the times, so leaving them out
    favours no arm.
    """
    found: dict[int, dict[int, dict[str, Block]]] = {}
    for block in blocks:
        if block.arm in arms:
            found.setdefault(block.launch, {}).setdefault(block.round, {})[block.arm] = block
    launches = []
    for number in sorted(found):
        complete = [by for _, by in sorted(found[number].items()) if len(by) == len(set(arms))]
        calm = [by for by in complete if not is_disturbed(by.values())]
        if complete:
            enough = len(calm) >= max(LEAST_ROUNDS, len(complete) / 4)
            launches.append(calm if enough else complete)
    return launches


def is_disturbed(round_: Iterable[Block]) -> bool:
    """Return whether one of the blocks of a round was disturbed by other processes."""
    return any(block.ran.usage.disturbed for block in round_)


def logs_of(rounds: Rounds, pair: Pair) -> list[list[float]]:
    """Return logarithms by launch and round: of the ratio of a pair's medians, or of one median."""
    first, second = pair
    return [
        [by[first].log_median - (by[second].log_median if second else 0.0) for by in launch]
        for launch in rounds
    ]


def record(
    arms: Sequence[Arm],
    pairs: Sequence[Pair],
    plan: Plan,
    start: Start = Worker,
    clock: Callable[[], float] = time.monotonic,
    tell: Tell = lambda launches: None,
) -> Recording:
    """Measure until the intervals of all `pairs` are narrow or the budget is spent.

    An arm that fails is not measured further; recording ends when no pair is left. `start` and
    `clock` are for tests, which simulate machines. `tell` is called after every launch with how
    many there were. Raises `RecordingInterrupted`, with what was recorded, on Ctrl-C.
    """
    names = [arm.name for arm in arms]
    if len(set(names)) != len(names) or not names:
        raise ValueError(f"arms need names of their own: {names}")
    return _Recorder(tuple(arms), tuple(pairs), plan, start, clock).record(tell)


class _Recorder:
    """The state of a recording in progress."""

    def __init__(
        self,
        arms: tuple[Arm, ...],
        pairs: tuple[Pair, ...],
        plan: Plan,
        start: Start,
        clock: Callable[[], float],
    ) -> None:
        self.arms, self.pairs, self.plan, self.start, self.clock = arms, pairs, plan, start, clock
        self.random = random.Random(plan.seed)
        self.began = clock()
        self.launches: list[Launch] = []
        self.blocks: list[Block] = []
        self.failed: dict[str, ArmFailed] = {}

    def record(self, tell: Tell) -> Recording:
        launch = 0
        stopped: Stopped | None = None
        while stopped is None:
            try:
                self._launch(launch)
                tell(launch + 1)
            except KeyboardInterrupt:
                raise RecordingInterrupted(self._recording("interrupted")) from None
            launch += 1
            if not self._open_pairs():
                stopped = "failed"
            elif self._elapsed() * (launch + 1) / launch > self.plan.deadline:
                stopped = "budget"
            elif launch >= self.plan.launches:
                if self._is_narrow():
                    stopped = "width"
                elif self._elapsed() * (launch + 1) / launch > self.plan.budget_s:
                    stopped = "budget"
        return self._recording(stopped)

    def _recording(self, stopped: Stopped) -> Recording:
        return Recording(
            plan=self.plan,
            arms=self.arms,
            launches=tuple(self.launches),
            blocks=tuple(self.blocks),
            failed=tuple(self.failed.values()),
            seconds=self._elapsed(),
            stopped=stopped,
        )

    def _elapsed(self) -> float:
        return self.clock() - self.began

    def _open_pairs(self) -> list[Pair]:
        return [pair for pair in self.pairs if not self.failed.keys() & set(pair)]

    def _launch(self, launch: int) -> None:
        """Start one process per arm, and run rounds for as long as loading and warming up took.

        More rounds would be better spent on another launch, fewer on this one: whichever part of
        the scatter is the larger, this takes at most twice the time of the best division (which is
        Kalibera and Jones 2013's, and has to know both parts). While required launches are still to
        come, this one takes at most its share of the budget.
        """
        began = self._elapsed()
        rest = max(1, self.plan.launches - launch)
        share = (self.plan.budget_s - began) / rest
        warm_up_s = min(self.plan.warm_up_s, max(0.0, self.plan.deadline - began) / rest / 2)
        wanted = {name for pair in self._open_pairs() for name in pair}
        arms = [arm for arm in self.arms if arm.name in wanted]
        self.random.shuffle(arms)
        with contextlib.ExitStack() as stack:
            live: dict[str, tuple[Runs, Size]] = {}
            for arm in arms:  # one after the other: some choose their kernels by timing them
                try:
                    worker = self.start(arm, self.plan.timeout_s)
                    stack.callback(worker.close)
                    loaded = worker.ready()
                    warmed = warm_up(worker, self.plan.block_s, warm_up_s, self.clock)
                except WorkerFailed as error:
                    self.failed[arm.name] = error.failed
                else:
                    live[arm.name] = (worker, warmed.size)
                    self.launches.append(Launch(arm.name, launch, loaded, warmed))
            now = self._elapsed()
            self._rounds(launch, live, min(2 * now - began, began + share))

    def _rounds(self, launch: int, live: dict[str, tuple[Runs, Size]], until: float) -> None:
        mine: list[Block] = []
        calm = count = 0
        while self._open_pairs():
            least = self.plan.min_rounds
            if self._elapsed() > self.plan.budget_s:
                least = min(least, LEAST_ROUNDS)
            if count >= LEAST_ROUNDS and self._elapsed() > self.plan.deadline:
                return
            # Disturbed rounds are repeated, but not for ever.
            if (calm >= least or count >= 2 * least) and (
                self._elapsed() >= until or self._is_enough(mine, launch)
            ):
                return
            round_ = self._round(launch, count, live)
            mine += round_
            calm += not is_disturbed(round_)
            count += 1

    def _round(self, launch: int, number: int, live: dict[str, tuple[Runs, Size]]) -> list[Block]:
        """Run one block of every arm that is still live."""
        names = [name for name in live if name not in self.failed]
        self.random.shuffle(names)
        blocks = []
        for order, name in enumerate(names):
            worker, size = live[name]
            began = self._elapsed()
            try:
                ran = worker.run(size.samples, size.group, size.lead)
            except WorkerFailed as error:
                self.failed[name] = error.failed
                continue
            blocks.append(Block(name, launch, number, order, began, ran))
        self.blocks += blocks
        return blocks

    def _is_enough(self, mine: list[Block], launch: int) -> bool:
        """Return whether more rounds of this launch would hardly make the interval narrower.

        True if the uncertainty left by its rounds is at most half of the target, at the planned
        number of launches; the other half is for the scatter between launches, which more rounds do
        not change.
        """
        launches = max(2, self.plan.launches, launch + 1)
        reach = t_quantile(launches - 1, self.plan.level) / math.sqrt(launches)
        errors = []
        for pair in self._open_pairs():
            logs = logs_of(rounds_of(mine, _names(pair)), pair)
            errors.append(median_error(logs[0]) if logs else math.inf)
        return reach * max(errors, default=0.0) <= math.log1p(self.plan.target_halfwidth) / 2

    def _is_narrow(self) -> bool:
        return is_narrow(self.blocks, self._open_pairs(), self.plan)


def is_narrow(blocks: Sequence[Block], pairs: Iterable[Pair], plan: Plan) -> bool:
    """Return whether the intervals of all pairs are narrow enough to stop."""
    for pair in pairs:
        logs = logs_of(rounds_of(blocks, _names(pair)), pair)
        if not logs:
            return False
        made = estimate(logs, 1, plan.level, resamples=0)
        if made.interval.halfwidth > plan.target_halfwidth:
            return False
    return True


def _names(pair: Pair) -> list[str]:
    return [name for name in pair if name is not None]
