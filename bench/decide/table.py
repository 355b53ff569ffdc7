"""What `bench.decide.search` shows: a row for every deployment that was looked at."""

from collections.abc import Sequence

from bench.decide.halving import Halved
from bench.decide.options import BASELINE, Option
from bench.decide.pareto import Limits, Point, front, tied
from zoo.machine import formatting, terminal
from zoo.measure import ArmFailed, Outcome


def show(
    found: Sequence[Option],
    halved: Halved,
    outcome: Outcome,
    points: Sequence[Point],
    limits: Limits,
    best: Point | None,
    title: str,
) -> None:
    """The table: a row for every option, with why it is not among the finalists."""
    by_name = {point.name: point for point in points}
    on_front = {point.name for point in front(points)}
    pruned = {each.name: each for each in halved.pruned}
    broken = {each.arm: each.reason for each in (*halved.failed, *outcome.failed)}
    rows = []
    for option in found:
        lost = "-" if option.drop is None else str(option.drop)
        if option.name in by_name:
            point = by_name[option.name]
            note = _note(point, best, limits, on_front)
            rows.append((option.name, lost, *_cells(point, outcome), note))
            continue
        why = option.fault or broken.get(option.name, "")
        took = "-"
        if option.name in pruned:
            took = formatting.milliseconds(pruned[option.name].seconds)
            why = f"pruned: {pruned[option.name].why}"
        rows.append((option.name, lost, took, "-", "-", "-", "-", why))
    terminal.table(
        ("deployment", "lost", "a call [99%]", "p95", "times as fast", "memory", "size", ""),
        rows,
        title=title,
    )


def _cells(point: Point, outcome: Outcome) -> tuple[str, ...]:
    ratio = "1"
    if point.name != BASELINE:
        one = outcome.of(point.name)
        assert not isinstance(one, ArmFailed)
        ratio = formatting.ratio(one.speedup)
    return (
        formatting.seconds(point.seconds),
        formatting.milliseconds(point.p95),
        ratio,
        formatting.size(point.memory, "MB", 0),
        formatting.size(point.size, "MB"),
    )


def _note(point: Point, best: Point | None, limits: Limits, on_front: set[str]) -> str:
    said = []
    if point.name in on_front:
        said.append("front")
    if point == best:
        said.append("WINNER")
    elif (broken := limits.broken_by(point)) != "":
        said.append(broken)
    elif best is not None and tied(point, best):
        said.append(f"as fast as {best.name}, as far as can be told")
    return ", ".join(said)
