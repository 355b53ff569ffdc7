"""Compiled over eager as one number for a whole suite: what PyTorch's dynamo benchmarks report
(benchmarks/dynamo/runner.py: pass rate, geometric mean of the speedups, mean seconds of compiling,
mean ratio of peak memory)."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.record import compare_results
from bench.report.columns import MARGIN, Cell
from bench.report.data import Report, Row
from zoo.machine.formatting import NOT_MEASURED, significant
from zoo.runtimes.deployment import Deployment

TITLE = "Compiled over eager"
COMPILERS = ("compile", "aoti")
"""Runtimes that compile PyTorch's own program."""
HEADER = (
    "compiled",
    "over",
    "cases",
    "passed",
    "times as fast, geometric mean",
    "slowest and fastest case",
    "compiling, s, mean",
    "peak memory of eager over its own, mean",
)
TEXT = (
    "Over the cases that both pass; one that is slower counts as such (PyTorch's own summary "
    "counts it as 1 where it is not asked otherwise). The interval is that of measuring these "
    "cases: of others it says nothing."
)


@dataclass(frozen=True)
class Summary:
    """A compiled deployment over eager in the same numerics, in one phase, on one device."""

    compiled: str
    baseline: str
    where: str
    cases: int
    """that were tried, and of which eager has a time"""
    pairs: tuple[compare_results.ComparedCase, ...]
    """those that both pass"""
    compile_seconds: float | None
    """mean, with an empty cache"""
    memory_ratio: float | None
    """mean of the baseline's peak over its own: above 1 it takes less"""

    @property
    def ratio(self) -> float:
        """The geometric mean of the times as fast."""
        return math.exp(statistics.fmean(math.log(pair.ratio) for pair in self.pairs))

    @property
    def interval(self) -> tuple[float, float]:
        """Its ends: logarithms of independent ratios add up, and so do the squares of the
        halfwidths."""
        reach = math.hypot(*(math.log(pair.high / pair.ratio) for pair in self.pairs))
        factor = math.exp(min(reach / len(self.pairs), 700.0))
        return self.ratio / factor, self.ratio * factor


def summaries(report: Report) -> list[Summary]:
    """In the order of the page; those of which no case passed are there, too."""
    groups: dict[tuple[str, str, str, str], list[tuple[Row, Row]]] = {}
    by_place = {(row.scenario, row.case.deployment): row for row in report.rows}
    for row in report.rows:
        deployment = Deployment.parse(row.case.deployment)
        if deployment.runtime not in COMPILERS:
            continue
        baseline = str(Deployment("eager", deployment.numerics))
        base = by_place.get((row.scenario, baseline))
        if base is None or base.value("latency", "median") is None:
            continue
        key = (row.environment, _where(row), row.case.deployment, baseline)
        groups.setdefault(key, []).append((base, row))
    return [
        _summary(where, compiled, baseline, found)
        for (_, where, compiled, baseline), found in sorted(groups.items())
    ]


def _where(row: Row) -> str:
    machine = f", machine {row.environment}" if row.environment else ""
    return f"{row.case.workload.phase}, {row.case.device}{machine}"


def _summary(where: str, compiled: str, baseline: str, found: Sequence[tuple[Row, Row]]) -> Summary:
    pairs, seconds, ratios = [], [], []
    for base, row in found:
        before, after = base.value("latency", "median"), row.value("latency", "median")
        if before is None or after is None:
            continue
        pairs.append(compare_results.pair(row.case, before, after, MARGIN))
        if (compiling := row.value("cold_start", "compile_cold")) is not None:
            seconds.append(compiling.value)
        ratios += _memory_ratio(base, row)
    return Summary(
        compiled, baseline, where, len(found), tuple(pairs), _mean(seconds), _mean(ratios)
    )


def _memory_ratio(base: Row, row: Row) -> list[float]:
    """Of a GPU's memory where both took some, else of the processor's; nothing where neither is
    measured."""
    for name in ("gpu_allocated", "peak"):
        one, other = base.value("memory", name), row.value("memory", name)
        if one and other and one.value > 0 and other.value > 0:
            return [one.value / other.value]
    return []


def _mean(numbers: Iterable[float]) -> float | None:
    found = list(numbers)
    return statistics.fmean(found) if found else None


def cells(one: Summary) -> tuple[Cell, ...]:
    """As `HEADER` names them."""
    passed = len(one.pairs)
    rate = Cell(f"{passed / one.cases:.0%}", f"{passed} of {one.cases}", passed / one.cases)
    names = (Cell(one.compiled, one.where, 0.0), Cell(one.baseline, "", 0.0))
    if not one.pairs:
        nothing = Cell(NOT_MEASURED)
        return (*names, Cell(str(one.cases), "", one.cases), rate, *(nothing,) * 4)
    low, high = (significant(end, 3) for end in one.interval)
    known = all(math.isfinite(pair.high) for pair in one.pairs)
    ends = sorted(one.pairs, key=lambda pair: pair.ratio)
    extremes = f"{significant(ends[0].ratio, 3)} to {significant(ends[-1].ratio, 3)}"
    models = f"{ends[0].case.model} to {ends[-1].case.model}"
    return (
        *names,
        Cell(str(one.cases), "", one.cases),
        rate,
        Cell(significant(one.ratio, 3), f"{low} to {high}" if known else "", one.ratio),
        Cell(extremes, models, ends[-1].ratio),
        _number(one.compile_seconds),
        _number(one.memory_ratio),
    )


def _number(value: float | None) -> Cell:
    return Cell(NOT_MEASURED) if value is None else Cell(significant(value, 3), "", value)
