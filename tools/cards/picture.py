"""The picture of the Pareto front, drawn from evidence alone.

It is named after the facts it shows, so a card shows the picture of its own facts or none.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tools.cards.facts import EAGER, Facts, Program
from tools.cards.settings import TimingSetting
from zoo.store.evidence import Fact

if TYPE_CHECKING:
    from bench.decide.pareto import OptionCost

FOLDER = "card"
LEVEL = 0.99  # of the intervals that the picture's axis names


class Shown(NamedTuple):
    """A point of the picture: a program with its latency and its drop."""

    program: Program
    latency: Fact
    drop: Fact | None  # None for eager, which loses nothing against itself
    size: Fact
    memory: Fact | None


def path(facts: Facts) -> Path | None:
    """Return where the picture of these facts lies or would lie; None where fewer than two programs
    can be shown."""
    chosen = _choose(facts)
    if chosen is None:
        return None
    ids = [fact.id for point in chosen[1] for fact in point[1:] if isinstance(fact, Fact)]
    digest = hashlib.sha256(" ".join(sorted(ids)).encode()).hexdigest()[:12]
    return facts.record.folder / FOLDER / f"front-{digest}.png"


def draw(facts: Facts) -> Path | None:
    """Draws it where it is not there yet, and removes those of other facts; gives its path."""
    target, chosen = path(facts), _choose(facts)
    folder = facts.record.folder / FOLDER
    for old in folder.glob("front-*.png"):
        if old != target:
            old.unlink()
    if target is None or chosen is None or target.exists():
        return target
    from bench.decide.pareto import Limits, front
    from bench.decide.picture import draw as draw_front

    setting, shown = chosen
    points = [_point(one) for one in shown]
    draw_front(target, points, front(points), None, Limits(), setting.title)
    return target


def _choose(facts: Facts) -> tuple[TimingSetting, Sequence[Shown]] | None:
    """The setting with most programs that can be shown, where there are two."""
    best = None
    for setting in facts.settings():
        points = [one for row in facts.timed(setting) if (one := _shown(facts, *row))]
        if len(points) >= 2 and (best is None or len(points) > len(best[1])):
            best = setting, points
    return best


def _shown(facts: Facts, program: Program, found: Mapping[str, Fact]) -> Shown | None:
    latency = found["latency"]
    if program.deployment == EAGER:
        drop, size = None, facts.size("weights_size")
    else:
        drop = facts.drop(program, "test") or facts.drop(program, "validation")
        size = facts.about(program, "size", "artifact_size")
    needed = [latency, size] if program.deployment == EAGER else [latency, size, drop]
    if any(fact is None or fact.value is None or fact.status != "ok" for fact in needed):
        return None
    if latency.interval is None or latency.interval["level"] != LEVEL:
        return None
    assert size is not None
    return Shown(program, latency, drop, size, found.get("peak_memory"))


def _point(shown: Shown) -> "OptionCost":
    from bench.decide.pareto import OptionCost
    from zoo.measure import Estimate, Interval

    latency, drop = shown.latency, shown.drop
    assert latency.value is not None and latency.interval is not None
    assert shown.size.value is not None
    estimate = Estimate(latency.value, Interval(**latency.interval), latency.n or 1)
    return OptionCost(
        name=shown.program.deployment,
        drop=0.0 if drop is None or drop.value is None else float(drop.value),
        seconds=estimate,
        p95=None,
        memory=shown.memory.value if shown.memory else None,
        size=float(shown.size.value),
    )
