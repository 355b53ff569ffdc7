"""compare --results BEFORE AFTER: two files of results that were kept.

They were measured at two times, so nothing was interleaved: what the machine did differently then
is in the ratio, and differences within the margin are never claimed. What the two environments do
not share is listed before any number.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cases.case import Case
from bench.record import store
from bench.record.results import Result, Value
from tasks.errors import UserError
from zoo.machine import formatting, terminal

COMPARED = ("machine", "versions", "source", "commit")
"""The fields of an origin that may explain a difference."""


@dataclass(frozen=True)
class ComparedCase:
    """A case that both files have a median of."""

    case: Case
    before: Value
    after: Value
    ratio: float
    """time before over time after: above 1 it became faster"""
    low: float
    high: float
    word: str
    """faster, slower, same, or can't tell"""


def compare(before: Path, after: Path, margin: float) -> list[ComparedCase]:
    """Compares, and prints the differences of the environments and the table.

    Raises `UserError` for a file that can't be read or holds no latency, and for two that share no
    case.
    """
    old, new = latencies(before), latencies(after)
    shared = [case for case in old if case in new]
    if not shared:
        raise UserError(f"{before} and {after} have no case in common")
    different = differences(
        [old[case].origin for case in shared], [new[case].origin for case in shared]
    )
    if different:
        terminal.lines("not the same:", *(f"  {line}" for line in different), "")
    if forked := sum(launcher(each[case]) == "preloaded" for each in (old, new) for case in shared):
        terminal.lines(
            f"{forked} of {2 * len(shared)} latencies are those of forks, which have addresses in "
            "common: their intervals may be too narrow. For verdicts measure with --launcher fresh",
            "",
        )
    pairs = [pair(case, median(old[case]), median(new[case]), margin) for case in shared]
    rows = [
        (
            str(each.case),
            formatting.seconds(each.before),
            formatting.seconds(each.after),
            f"{each.ratio:.3f} [{each.low:.3f}, {each.high:.3f}]",
            each.word,
        )
        for each in pairs
    ]
    terminal.table(("case", "before", "after", "times as fast", "verdict"), rows)
    alone = len(old) + len(new) - 2 * len(shared)
    if alone:
        terminal.lines(f"{alone} cases are in one of the files only")
    return pairs


def latencies(path: Path) -> dict[Case, Result]:
    """The last latency of every case. Raises `UserError` where the file holds none."""
    if not path.is_file():
        raise UserError(f"--results {path}: there is no such file")
    found = {
        result.case: result
        for result in store.read(path)
        if result.measure == "latency" and "median" in result.found.values
    }
    if not found:
        raise UserError(f"--results {path}: it holds no latency")
    return found


def launcher(result: Result) -> str:
    """How the processes of a latency began: fresh or preloaded. Older results are of fresh ones."""
    return str(result.found.samples.get("launcher", "fresh"))


def median(result: Result) -> Value:
    """Return the median of a result of latency."""
    return result.found.values["median"]


def pair(case: Case, before: Value, after: Value, margin: float) -> ComparedCase:
    """Return a case that two files have, with the verdict on it.

    The interval of the ratio is the one whose logarithm has the root of the two squared halfwidths:
    the two were measured independently (Fieller's interval, to the first order).
    """
    ratio = before.value / after.value
    halves = [_log_halfwidth(each) for each in (before, after)]
    reach = math.hypot(*halves)
    low, high = ratio * math.exp(-reach), ratio * math.exp(reach)
    edge = 1 + margin
    if low > edge:
        word = "faster"
    elif high < 1 / edge:
        word = "slower"
    elif low > 1 / edge and high < edge:
        word = "same"
    else:
        word = "can't tell"
    return ComparedCase(case, before, after, ratio, low, high, word)


def _log_halfwidth(value: Value) -> float:
    if value.interval is None:
        return math.inf
    center, interval = math.log(value.value), value.interval
    return max(math.log(interval["high"]) - center, center - math.log(interval["low"]))


def differences(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return what differs between the origins of two files, a line each: "versions.torch: 2.9 ->
    2.10"."""
    lines = []
    old, new = _said(before), _said(after)
    for name in sorted(old.keys() | new.keys()):
        one, other = old.get(name, {"-"}), new.get(name, {"-"})
        if one != other:
            lines.append(f"{name}: {', '.join(sorted(one))} -> {', '.join(sorted(other))}")
    return lines


def _said(origins: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for origin in origins:
        for name in COMPARED:
            for key, value in _flat(name, origin.get(name)):
                found.setdefault(key, set()).add(value)
    return found


def _flat(name: str, value: Any) -> Iterable[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _flat(f"{name}.{key}", each)
    else:
        yield name, str(value)
