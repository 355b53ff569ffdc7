"""Charts along an axis of the workload: latency over batch sizes, throughput over lengths."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.record.results import Value
from bench.report.chart import (
    Axis,
    Chart,
    ChartPoint,
    Group,
    Section,
    Series,
    missing,
    slug,
    spans_decades,
)
from bench.report.data import Report, Row, Scenario, bounds, groups
from zoo.machine.formatting import significant


@dataclass(frozen=True)
class Sweep:
    """A chart along one field of a workload."""

    name: str
    title: str
    text: str
    along: str
    """field of a workload"""
    measure: str
    x_of: Callable[[Row], float | None]
    y_of: Callable[[Row], Value | None]
    scale: float
    """from the value's unit to the axis's"""
    x_title: Callable[[Row], str]
    y_title: Callable[[Value], str]
    nothing: str


SWEEPS = (
    Sweep(
        "batch",
        "Latency against batch size",
        "The time of a call with its interval. Where a line is flat, a larger batch costs no time.",
        "batch_size",
        "latency",
        lambda row: float(row.case.workload.batch),
        lambda row: row.value("latency", "median"),
        1e3,
        lambda row: "batch size",
        lambda value: "latency, ms",
        "No model was measured at two batch sizes or more.",
    ),
    Sweep(
        "length",
        "Throughput against length",
        "Work a second, without a pause between calls; padding does not count as work.",
        "length",
        "throughput",
        Row.length,
        Row.rate,
        1.0,
        lambda row: f"length, {row.unit()}" if row.unit() else "length",
        lambda value: value.unit,
        "No model was measured at two lengths or more.",
    ),
)


def section(report: Report, sweep: Sweep) -> Section:
    """A group for every model that was measured at two places of the axis or more."""
    found = []
    for scenario, rows in groups(report.rows, sweep.along).items():
        chart = _chart(scenario, rows, sweep)
        if chart:
            absent = missing(
                (f"{row.case.deployment} at {sweep.x_of(row) or 0:g}", row.said(sweep.measure))
                for row in rows
                if sweep.y_of(row) is None
            )
            found.append(Group(scenario.title(sweep.along), (chart,), absent))
    return Section(sweep.name, sweep.title, sweep.text, tuple(found), sweep.nothing)


def _chart(scenario: Scenario, rows: Sequence[Row], sweep: Sweep) -> Chart | None:
    by_deployment: dict[str, list[ChartPoint]] = {}
    shown: list[tuple[Row, Value]] = []
    for row in rows:
        x, value = sweep.x_of(row), sweep.y_of(row)
        if x is None or value is None:
            continue
        shown.append((row, value))
        by_deployment.setdefault(row.case.deployment, []).append(_point(row, x, value, sweep))
    places = sorted({point.x for points in by_deployment.values() for point in points})
    if len(places) < 2:
        return None
    series = []
    for name, points in by_deployment.items():
        points.sort(key=lambda point: point.x)
        line = tuple((point.x, point.y) for point in points)
        series.append(Series(name, tuple(points), line if len(line) > 1 else ()))
    heights = [point.y for each in series for point in each.points]
    first, value = shown[0]
    return Chart(
        slug(sweep.name, scenario.title(sweep.along)),
        sweep.title,
        Axis(sweep.x_title(first), log=spans_decades(places), marks=tuple(places)),
        Axis(sweep.y_title(value), log=spans_decades(heights)),
        tuple(series),
    )


def _point(row: Row, x: float, value: Value, sweep: Sweep) -> ChartPoint:
    y = sweep.scale * value.value
    low, high = (sweep.scale * end for end in bounds(value))
    title = sweep.y_title(value)
    unit = title.rpartition(", ")[2]
    says = (
        f"{row.case.deployment}, {row.scenario}",
        f"{significant(y)} {unit} [{significant(low)} to {significant(high)}]",
    )
    return ChartPoint(x, y, row.name, says, y_ends=(low, high))
