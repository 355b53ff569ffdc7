"""What `bench.decide.search` shows: a row for every deployment that was looked at."""

from collections.abc import Mapping, Sequence

from bench.decide.pareto import Limits, OptionCost, front, tied
from bench.decide.successive_halving import Halved
from zoo.deploy.candidate import Candidate
from zoo.machine import formatting, terminal


def show(
    candidates: Sequence[Candidate],
    halved: Halved,
    points: Sequence[OptionCost],
    limits: Limits,
    best: OptionCost | None,
    title: str,
    looks: Mapping[str, float],
) -> None:
    """Print the table: a row for every deployment, with why it is not among the finalists.

    Args:
        looks: seconds of a call in the rounds of halving, by name.
    """
    has_tokens = any(point.tokens for point in points)
    by_name = {point.name: point for point in points}
    on_front = {point.name for point in front(points)}
    pruned = {each.name: each for each in halved.pruned}
    failed = {each.arm: each.reason for each in halved.failed}
    rows = []
    for one in candidates:
        lost = "-" if one.drop is None else str(one.drop)
        if one.name in by_name:
            point = by_name[one.name]
            note = _note(point, best, limits, on_front)
            rows.append((one.name, lost, *_cells(point, one), *_tokens(point, has_tokens), note))
            continue
        why = one.fault or failed.get(one.name, "")
        took = formatting.milliseconds(looks.get(one.name))
        if one.name in pruned:
            why = f"pruned: {pruned[one.name].why}"
        rest = ["-"] * (6 if has_tokens else 4)
        rows.append((one.name, lost, took, *rest, why))
    columns = ["deployment", "lost", "a call [99%]", "p95", "times as fast", "memory", "size"]
    columns += ["TTFT [p95]", "TPOT [p95]"] * has_tokens
    terminal.table(
        (*columns, ""),
        rows,
        title=title,
    )


def _cells(point: OptionCost, candidate: Candidate) -> tuple[str, ...]:
    compared = candidate.compared
    return (
        formatting.seconds(point.seconds),
        formatting.milliseconds(point.p95),
        formatting.ratio(compared.speedup) if compared else "1",
        formatting.size(point.memory, "MB", 0),
        formatting.size(point.size, "MB"),
    )


def _tokens(point: OptionCost, has_tokens: bool) -> tuple[str, ...]:
    """Return the cells on tokens, where there are such columns."""
    if not has_tokens:
        return ()
    if point.tokens is None:
        return ("-", "-")
    found = []
    for each in (point.tokens.ttft, point.tokens.tpot):
        p95 = "-" if each.p95 is None else f"{1e3 * each.p95.value:.2f}"
        found.append(f"{formatting.milliseconds(each.median.value)} [{p95}]")
    return tuple(found)


def _note(point: OptionCost, best: OptionCost | None, limits: Limits, on_front: set[str]) -> str:
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
