"""Charts of cold start and break-even: seconds until the n-th answer, of each workload."""

from collections.abc import Sequence

from bench.report import starts
from bench.report.chart import Axis, Chart, ChartPoint, Group, Section, Series, missing, slug
from bench.report.data import Report, groups
from bench.report.starts import ColdStart
from zoo.machine.formatting import significant

TEXT = (
    "Seconds until the n-th answer: import, load and first call, then calls of median latency. "
    "Where a line crosses eager's, the slower start has paid off; those crossings are marked. "
    "Dashed: what is compiled was not cached."
)
LEAST_CALLS = 1000.0
BEYOND = 4.0
"""The axis goes on so many times as far as the last crossing."""
STEPS = 48
"""Of a line."""


def section(report: Report) -> Section:
    """A group for every workload that more than one deployment was started for."""
    found = starts.of_rows(report.rows)
    made = []
    for scenario, rows in groups(report.rows).items():
        own = [found[row.name] for row in rows if row.name in found]
        if len(own) > 1:
            chart = _chart(str(scenario), own)
            absent = missing(
                (row.case.deployment, row.said("cold_start"))
                for row in rows
                if row.name not in found
            )
            made.append(Group(str(scenario), (chart,), absent))
    return Section(
        "start",
        "Cold start and break-even",
        TEXT,
        tuple(made),
        _nothing(report),
    )


def _nothing(report: Report) -> str:
    """Why there is no chart: a line takes the start and the latency of two deployments."""
    started = (
        sum(row.value("cold_start", "total") is not None for row in rows)
        for rows in groups(report.rows).values()
    )
    if max(started, default=0) < 2:
        return "No workload was started with two deployments or more."
    return "Two deployments or more were started, but there is no latency of two of them."


def _chart(title: str, own: Sequence[ColdStart]) -> Chart:
    base = starts.baselines({start.row.name: start for start in own}).get(own[0].row.scenario)
    crossings = {
        (start.row.name, cold): starts.paid_off(start, base, cold) if base else None
        for start in own
        for cold in (False, True)
    }
    meets = [found.calls for found in crossings.values() if found and found.calls]
    most = max([LEAST_CALLS, *(BEYOND * calls for calls in meets)])
    series = []
    for start in own:
        for cold in (False, True):
            begin = start.cold if cold else start.warm
            if begin is None:
                continue
            name = start.row.case.deployment
            kind = " with a cold cache" if cold else ""
            says = f"{name}{kind}, {title}"
            points = [
                ChartPoint(
                    1.0, begin, start.row.name, (says, f"first answer at {significant(begin)} s")
                )
            ]
            when = crossings[start.row.name, cold]
            if when is not None and when.calls is not None and start is not base:
                y = begin + (when.calls - 1) * start.call.value
                says_when = f"ahead of eager {when} [{when.interval()}]"
                points.append(
                    ChartPoint(when.calls, y, start.row.name, (says, says_when), is_hollow=True)
                )
            series.append(
                Series(name, tuple(points), _line(begin, start.call.value, most), is_dashed=cold)
            )
    return Chart(
        slug("start", title),
        "Seconds until the n-th answer",
        Axis("calls", log=True),
        Axis("seconds", log=True),
        tuple(series),
    )


def _line(begin: float, call: float, most: float) -> tuple[tuple[float, float], ...]:
    places = [most ** (step / STEPS) for step in range(STEPS + 1)]
    return tuple((n, begin + (n - 1) * call) for n in places)
