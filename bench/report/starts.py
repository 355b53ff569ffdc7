"""Cold starts beside eager's: what is needed of a row, and when it has paid off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.record.results import Value
from bench.report.breakeven import BreakEven, break_even
from bench.report.data import BASELINE, Row, Scenario


@dataclass(frozen=True)
class ColdStart:
    """The seconds that one row needs for its first answer, and for each call behind it."""

    row: Row
    warm: float
    """seconds until the first answer, where whatever it compiles is cached"""
    cold: float | None
    """the same with an empty cache; None: it caches nothing"""
    call: Value
    """seconds of a call behind the first"""


def of_rows(rows: Sequence[Row]) -> dict[str, ColdStart]:
    """Return the cold starts by the row's name; rows without a cold start or a latency are left
    out."""
    found = {}
    for row in rows:
        total, call = row.value("cold_start", "total"), row.value("latency", "median")
        cold = row.value("cold_start", "cold_cache_total")
        if total is not None and call is not None:
            found[row.name] = ColdStart(row, total.value, cold.value if cold else None, call)
    return found


def baselines(starts: Mapping[str, ColdStart]) -> dict[Scenario, ColdStart]:
    """Return eager's cold start of each scenario."""
    return {
        start.row.scenario: start
        for start in starts.values()
        if start.row.case.deployment == BASELINE
    }


def paid_off(start: ColdStart, base: ColdStart, cold_cache: bool) -> BreakEven | None:
    """Return after how many calls a row is ahead of eager; None where its start with an empty cache
    is asked for and it caches nothing."""
    begin = start.cold if cold_cache else start.warm
    if begin is None:
        return None
    return break_even(begin, start.call, base.warm, base.call)
