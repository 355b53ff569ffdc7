"""Successive halving: all options are timed a little, the better half more, and so on.

After Karnin, Koren and Somekh 2013 ("Almost Optimal Exploration in Multi-Armed Bandits"), with one
difference: an option that keeps more of the metric than all that are faster stays, as it would lie
on the front.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from zoo.measure import Arm, ArmFailed, ArmTimes, MeasurementInterrupted, Plan, measure
from zoo.measure.process import Worker
from zoo.measure.recording import Start

FINALISTS = 4
ROUND_LAUNCHES = 2


@dataclass(frozen=True)
class Pruned:
    """An option that was timed a little only."""

    name: str
    why: str


@dataclass(frozen=True)
class Halved:
    """The options that are left, the fastest first, and those that are not."""

    left: tuple[str, ...] = ()
    pruned: tuple[Pruned, ...] = ()
    failed: tuple[ArmFailed, ...] = ()


def halve(
    arms: Sequence[Arm],
    drops: Mapping[str, float],
    budget_s: float,
    start: Start = Worker,
    looks: dict[str, float] | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Halved:
    """Rounds until FINALISTS are left.

    Args:
        drops: what each loses of the metric.
        budget_s: seconds for all rounds together, loading included; a round has one launch of all
            arms at least.
        start: what starts the arms' processes.
        looks: is given the seconds of a call of each, as soon as they are known.
        tell: called with a line on each round, before it.

    Raises KeyboardInterrupt on Ctrl-C, once `looks` has what was measured.
    """
    timed, pruned = list(arms), list[Pruned]()
    failed: list[ArmFailed] = []
    looks = {} if looks is None else looks
    rounds = max(1, (len(timed) - 1).bit_length() - FINALISTS.bit_length() + 1)
    number = 0
    while len(timed) > FINALISTS:
        number += 1
        tell(f"round {number}: {len(timed)} deployments, of which the faster half stays")
        seconds = budget_s / rounds
        plan = Plan(launches=ROUND_LAUNCHES, budget_s=seconds, deadline_s=seconds)
        try:
            outcome = measure(timed, plan, start=start)
        except MeasurementInterrupted as stop:
            looks |= {each.arm: each.median.value for each in stop.outcome.measured}
            raise
        failed += outcome.failed
        times: dict[str, ArmTimes] = {each.arm: each for each in outcome.measured}
        looks |= {name: each.median.value for name, each in times.items()}
        ranked = sorted(times, key=lambda name: times[name].median.value)
        kept = keep(ranked, drops, max(FINALISTS, -(-len(ranked) // 2)))
        for name in ranked:
            if name not in kept:
                factor = looks[name] / looks[ranked[0]]
                why = f"{factor:.1f} times as slow as {ranked[0]}, and keeps no more of the metric"
                pruned.append(Pruned(name, why))
        if len(kept) == len(timed):
            break
        timed = [arm for name in kept for arm in timed if arm.name == name]
    return Halved(tuple(arm.name for arm in timed), tuple(pruned), tuple(failed))


def keep(ranked: Sequence[str], drops: Mapping[str, float], most: int) -> list[str]:
    """The first of a ranking, and those behind them that lose less than all before."""
    kept: list[str] = []
    for name in ranked:
        best = min((drops[other] for other in kept), default=float("inf"))
        if len(kept) < most or drops[name] < best:
            kept.append(name)
    return kept
