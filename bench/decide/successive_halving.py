"""Successive halving: all options are timed a little, the better half more, and so on.

After Karnin, Koren and Somekh 2013 ("Almost Optimal Exploration in Multi-Armed Bandits"), with one
difference: an option that keeps more of the metric than all that are faster stays, as it would lie
on the front.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zoo.measure import Arm, ArmFailed, ArmTimes, Plan, measure

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
    """Who is left, the fastest first, and who is not."""

    left: tuple[str, ...]
    pruned: tuple[Pruned, ...]
    failed: tuple[ArmFailed, ...]


def halve(arms: Sequence[Arm], drops: Mapping[str, float], budget_s: float) -> Halved:
    """Rounds until FINALISTS are left.

    Args:
        drops: what each loses of the metric.
        budget_s: seconds for all rounds together; loading takes what it takes.
    """
    left, pruned = list(arms), list[Pruned]()
    failed: list[ArmFailed] = []
    rounds = max(1, (len(left) - 1).bit_length() - FINALISTS.bit_length() + 1)
    while len(left) > FINALISTS:
        plan = Plan(launches=ROUND_LAUNCHES, budget_s=budget_s / rounds)
        outcome = measure(left, plan)
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
        if len(kept) == len(left):
            break
        left = [arm for name in kept for arm in left if arm.name == name]
    return Halved(tuple(arm.name for arm in left), tuple(pruned), tuple(failed))


def keep(ranked: Sequence[str], drops: Mapping[str, float], most: int) -> list[str]:
    """The first of a ranking, and those behind them that lose less than all before."""
    kept: list[str] = []
    for name in ranked:
        best = min((drops[other] for other in kept), default=float("inf"))
        if len(kept) < most or drops[name] < best:
            kept.append(name)
    return kept
