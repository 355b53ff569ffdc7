"""Successive halving: all options are timed a little, the better half more, and so on.

After Karnin, Koren and Somekh 2013 ("Almost Optimal Exploration in Multi-Armed Bandits"), with one
difference: an option that keeps more of the metric than all that are faster stays, as it would lie
on the front.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from zoo.measure import Arm, ArmFailed, ArmTimes, Plan, measure
from zoo.measure.process import Worker
from zoo.measure.recording import Start

FINALISTS = 4
ROUND_LAUNCHES = 2


@dataclass(frozen=True)
class Pruned:
    """An option that was timed a little only."""

    name: str
    seconds: float
    """of a call, as far as it was measured"""
    why: str


@dataclass(frozen=True)
class Halved:
    """The options that are left, the fastest first, and those that are not."""

    left: tuple[str, ...]
    pruned: tuple[Pruned, ...]
    failed: tuple[ArmFailed, ...]


def halve(
    arms: Sequence[Arm],
    drops: Mapping[str, float],
    budget_s: float,
    start: Start = Worker,
    left: Callable[[], float] = lambda: math.inf,
) -> Halved:
    """Rounds until FINALISTS are left.

    Args:
        drops: what each loses of the metric.
        budget_s: seconds for all rounds together; loading takes what it takes.
        start: what starts the arms' processes.
        left: seconds until all has to be over; rounds end before.
    """
    timed, pruned = list(arms), list[Pruned]()
    failed: list[ArmFailed] = []
    rounds = max(1, (len(timed) - 1).bit_length() - FINALISTS.bit_length() + 1)
    while len(timed) > FINALISTS:
        until = left()
        plan = Plan(
            launches=ROUND_LAUNCHES,
            budget_s=budget_s / rounds,
            deadline_s=until if until < math.inf else None,
        )
        outcome = measure(timed, plan, start=start)
        failed += outcome.failed
        times: dict[str, ArmTimes] = {each.arm: each for each in outcome.measured}
        ranked = sorted(times, key=lambda name: times[name].median.value)
        kept = keep(ranked, drops, max(FINALISTS, -(-len(ranked) // 2)))
        for name in ranked:
            if name not in kept:
                taken = times[name].median.value
                factor = taken / times[ranked[0]].median.value
                why = f"{factor:.1f} times as slow as {ranked[0]}, and keeps no more of the metric"
                pruned.append(Pruned(name, taken, why))
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
