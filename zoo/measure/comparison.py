"""The front door: measure arms, compare them, find the noise floor. Each arm is a fresh process."""

import dataclasses
import time
from collections.abc import Callable, Sequence

from zoo.measure.arms import Arm, ArmFailed
from zoo.measure.process import Worker
from zoo.measure.recording import Pair, Plan, RecordingInterrupted, Start, Tell, record
from zoo.measure.results import Outcome, outcome_of
from zoo.measure.verdicts import MARGIN, Floor

TWIN = " (again)"  # appended to the baseline's name


class MeasurementInterrupted(KeyboardInterrupt):
    """Ctrl-C while arms were measured; `outcome` is computed from what there was until then."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


def compare(
    arms: Sequence[Arm],
    plan: Plan | None = None,
    *,
    floor: Floor | None = None,
    margin: float = MARGIN,
    start: Start = Worker,
    clock: Callable[[], float] = time.monotonic,
    tell: Tell = lambda launches: None,
) -> Outcome:
    """Compare every arm with the first one, the baseline.

    Args:
        arms: the baseline and one or more candidates. All are live at once: their memory adds up.
        plan: how long and how exactly to measure.
        floor: noise floor of identical arms, from `noise_floor` or an earlier outcome on this
            machine. Without it the baseline also runs in a second process in every round, which
            costs its time again.
        margin: a share; arms that differ by less are the same.
        start, clock: for tests.
        tell: called after every launch with how many there were.

    Arms that fail are results, `Outcome.failed`. Raises ValueError for arms that make no sense, and
    `MeasurementInterrupted` on Ctrl-C.
    """
    if len(arms) < 2:
        raise ValueError("a comparison needs a baseline and at least one candidate")
    baseline, *candidates = [arm.name for arm in arms]
    pairs: list[Pair] = [(baseline, candidate) for candidate in candidates]
    twin = None
    if floor is None:
        twin = baseline + TWIN
        arms = [*arms, dataclasses.replace(arms[0], name=twin)]
        pairs.append((baseline, twin))
    try:
        recording = record(arms, pairs, plan or Plan(), start, clock, tell)
    except RecordingInterrupted as stop:
        found = outcome_of(stop.recording, baseline, twin, floor, margin)
        raise MeasurementInterrupted(found) from None
    return outcome_of(recording, baseline, twin, floor, margin)


def measure(
    arms: Sequence[Arm],
    plan: Plan | None = None,
    *,
    start: Start = Worker,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Measure each arm's own times, interleaved as in `compare`, without comparing them.

    Raises `MeasurementInterrupted` on Ctrl-C.
    """
    try:
        recording = record(arms, [(arm.name, None) for arm in arms], plan or Plan(), start, clock)
    except RecordingInterrupted as stop:
        raise MeasurementInterrupted(outcome_of(stop.recording, None)) from None
    return outcome_of(recording, None)


def noise_floor(
    arm: Arm,
    plan: Plan | None = None,
    *,
    start: Start = Worker,
    clock: Callable[[], float] = time.monotonic,
) -> Floor | ArmFailed:
    """Return how far apart two processes of the same arm are, or why that cannot be measured."""
    twin = dataclasses.replace(arm, name=arm.name + TWIN)
    pair: Pair = (arm.name, twin.name)
    recording = record([arm, twin], [pair], plan or Plan(), start, clock)
    found = outcome_of(recording, arm.name, twin.name).floor
    return recording.failed[0] if found is None else found
