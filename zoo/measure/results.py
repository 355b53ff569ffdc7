"""What a recording says: each arm's own times, and each candidate against the baseline.

Nothing here measures: a recording that was kept can be judged again, in whole or in part.
"""

import dataclasses
import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zoo.measure.arms import ArmFailed
from zoo.measure.intervals import Estimate, estimate
from zoo.measure.percentiles import SHARES, percentile
from zoo.measure.recording import Block, Pair, Recording, is_disturbed, logs_of, rounds_of
from zoo.measure.verdicts import (
    MARGIN,
    Floor,
    Verdict,
    floor_of,
    floor_of_comparison,
    judge,
)

IDLE_SHARE = 0.1  # of a core, while others ran: such threads do not sleep


@dataclass(frozen=True)
class ArmTimes:
    """The times of one arm, without comparison."""

    arm: str
    median: Estimate
    """seconds of a call; n counts samples"""
    percentiles: dict[str, Estimate]
    """"p90", "p95", "p99" in seconds: those that n carries (`zoo.measure.percentiles`)"""
    launches: int
    first_call: float
    """median over launches of the seconds of the first call after loading"""
    load_seconds: float
    """median over launches of importing and loading"""
    stationary: bool
    """whether every process was warm before it was measured"""
    disturbed: int
    """of its blocks: measured while other processes took the machine"""
    blocks: int
    violations: tuple[str, ...]
    """what happened in timed blocks that must not, each once"""
    restless: bool
    """its threads computed while it was not its turn, and may have slowed the others down"""

    def throughput(self, items: float) -> Estimate:
        """Return items per second, where a call handles `items` of them (batch size, unpadded
        tokens).

        It is derived from the median call, and so is its interval.
        """
        interval = dataclasses.replace(
            self.median.interval,
            low=items / self.median.interval.high,
            high=items / self.median.interval.low,
        )
        return Estimate(items / self.median.value, interval, self.median.n)

    def as_json(self) -> dict[str, Any]:
        """Return the times as JSON-ready data."""
        content = dataclasses.asdict(self)
        content["percentiles"] = {name: each.as_json() for name, each in self.percentiles.items()}
        return content | {"median": self.median.as_json(), "violations": list(self.violations)}


@dataclass(frozen=True)
class Comparison:
    """The result of comparing a candidate with the baseline."""

    baseline: str
    candidate: str
    speedup: Estimate
    """time of the baseline over time of the candidate; n counts rounds in which both ran"""
    verdict: Verdict
    floor: float | None
    """the noise floor, a share: what is found in 95 of 100 comparisons like this one"""
    launches: int

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as JSON-ready data."""
        return dataclasses.asdict(self) | {"speedup": self.speedup.as_json()}

    def __str__(self) -> str:
        interval, word = self.speedup.interval, self.verdict.word
        said = (
            f"{self.candidate} over {self.baseline}: {word}, {self.speedup.value:.3f}x "
            f"[{interval.low:.3f}, {interval.high:.3f}] at {interval.level:.0%}"
        )
        if word == "can't tell" and self.verdict.more_seconds is not None:
            said += f"; about {self.verdict.more_seconds:.0f} s more would tell"
        return said


@dataclass(frozen=True)
class Outcome:
    """All results of a measurement, and the recording they are computed from."""

    measured: tuple[ArmTimes, ...]
    compared: tuple[Comparison, ...]
    failed: tuple[ArmFailed, ...]
    floor: Floor | None
    recording: Recording

    def of(self, candidate: str) -> Comparison | ArmFailed:
        """Return a candidate's comparison, or the failure (its own or the baseline's) that
        prevented it.

        Raises KeyError for a name that is not a candidate's.
        """
        for comparison in self.compared:
            if comparison.candidate == candidate:
                return comparison
        baseline, *candidates = [arm.name for arm in self.recording.arms]
        if candidate not in candidates:
            raise KeyError(candidate)
        reasons = {failed.arm: failed for failed in self.failed}
        return reasons.get(candidate) or reasons.get(baseline) or _stopped_before(candidate)

    def times(self, arm: str) -> ArmTimes | ArmFailed:
        """Return an arm's own times, or the failure (its own or another arm's) that prevented them.

        Raises KeyError for a name that is not an arm's.
        """
        for measured in self.measured:
            if measured.arm == arm:
                return measured
        if arm not in [each.name for each in self.recording.arms]:
            raise KeyError(arm)
        own = [each for each in self.failed if each.arm == arm]
        return [*own, *self.failed, _stopped_before(arm)][0]

    def as_json(self) -> dict[str, Any]:
        """Return JSON-ready data, including the raw samples."""
        return {
            "measured": [each.as_json() for each in self.measured],
            "compared": [each.as_json() for each in self.compared],
            "failed": [each.as_json() for each in self.failed],
            "floor": None if self.floor is None else self.floor.as_json(),
            "recording": self.recording.as_json(),
        }


def _stopped_before(arm: str) -> ArmFailed:
    return ArmFailed(arm, "error", "stopped before it was measured")


def outcome_of(
    recording: Recording,
    baseline: str | None,
    twin: str | None = None,
    floor: Floor | None = None,
    margin: float = MARGIN,
) -> Outcome:
    """Return the outcome computed from a recording.

    Args:
        baseline: the arm that all others are compared with; None compares nothing.
        twin: the baseline's second process, from which the noise floor is computed.
        floor: noise floor of identical arms, if it was measured before.
    """
    failed = {each.arm for each in recording.failed}
    ran = {block.arm for block in recording.blocks} - failed - {twin}
    names = [arm.name for arm in recording.arms if arm.name in ran]
    compared = []
    if baseline is not None and baseline not in failed:
        if twin is not None and twin not in failed and recording.blocks:
            floor = floor_between(recording, baseline, twin)
        compared = [
            compared_of(recording, baseline, name, floor, margin)
            for name in names
            if name != baseline
        ]
    return Outcome(
        measured=tuple(measured_of(recording, name) for name in names),
        compared=tuple(compared),
        failed=recording.failed,
        floor=floor,
        recording=recording,
    )


def compared_of(
    recording: Recording,
    baseline: str,
    candidate: str,
    floor: Floor | None,
    margin: float = MARGIN,
) -> Comparison:
    """Compare the candidate with the baseline, from the rounds in which both ran."""
    pair: Pair = (baseline, candidate)
    logs = logs_of(rounds_of(recording.blocks, [baseline, candidate]), pair)
    plan, launches = recording.plan, len(logs)
    ratio = estimate(logs, sum(map(len, logs)), plan.level, plan.seed)
    return Comparison(
        baseline=baseline,
        candidate=candidate,
        speedup=ratio,
        verdict=judge(ratio, launches, floor, recording.seconds, margin),
        floor=None
        if floor is None or launches < 2
        else floor_of_comparison(ratio, launches, floor),
        launches=launches,
    )


def floor_between(recording: Recording, baseline: str, twin: str) -> Floor:
    """Return the noise floor from the two processes of the baseline in each launch."""
    logs = logs_of(rounds_of(recording.blocks, [baseline, twin]), (baseline, twin))
    return floor_of([statistics.median(launch) for launch in logs], recording.plan.level)


def measured_of(recording: Recording, arm: str) -> ArmTimes:
    """Return an arm's own times from a recording."""
    rounds = rounds_of(recording.blocks, [arm])
    used = [block for launch in rounds for by in launch for block in by.values()]
    samples = [seconds for block in used for seconds in block.ran.seconds]
    every = [block for block in recording.blocks if block.arm == arm]
    launches = [each for each in recording.launches if each.arm == arm]
    plan = recording.plan
    return ArmTimes(
        arm=arm,
        median=estimate(logs_of(rounds, (arm, None)), len(samples), plan.level, plan.seed),
        percentiles=_percentiles(used, samples),
        launches=len(rounds),
        first_call=statistics.median(each.warmed.first_call for each in launches),
        load_seconds=statistics.median(
            each.loaded.import_seconds + each.loaded.load_seconds for each in launches
        ),
        stationary=all(each.warmed.stationary for each in launches),
        disturbed=sum(is_disturbed([block]) for block in every),
        blocks=len(every),
        violations=tuple(dict.fromkeys(said for block in every for said in block.ran.violations)),
        restless=_is_restless(every),
    )


def _percentiles(used: Sequence[Block], samples: Sequence[float]) -> dict[str, Estimate]:
    if any(block.ran.group > 1 for block in used):
        return {}  # means of groups hide what percentiles are about
    found = {f"p{round(100 * share)}": percentile(samples, share) for share in SHARES}
    return {name: each for name, each in found.items() if each is not None}


def _is_restless(blocks: Sequence[Block]) -> bool:
    """Return whether the arm's process used the processor between its blocks."""
    idle = computed = 0.0
    for before, after in itertools.pairwise(blocks):
        if (before.launch, before.round + 1) == (after.launch, after.round):
            idle += max(0.0, after.began - before.began - before.ran.usage.wall)
            computed += after.ran.idle_cpu
    return idle > 0 and not math.isclose(idle, 0) and computed / idle > IDLE_SHARE
