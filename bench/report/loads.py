"""What services hold: the latency of each over the rate of requests."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.report.chart import (
    Axis,
    Chart,
    ChartPoint,
    Group,
    Guide,
    Section,
    Series,
    missing,
    slug,
    spans_decades,
)
from bench.report.data import Report, Row
from zoo.machine.formatting import significant
from zoo.measure.workload import Serve

MEASURE = "load"
TEXT = (
    "The latency that 99 of 100 requests keep, counted from the moment that each was meant to "
    "start, over the requests a second that were sent. A point is a step of one round; hollow ones "
    "broke the limit or had answers that failed, and where such a step was ended early its latency "
    "would have grown further. The line goes through the steps that were kept."
)


def section(report: Report) -> Section:
    """A group for every model, limit and machine."""
    places: dict[tuple[str, float], list[Row]] = {}
    for row in report.loads:
        places.setdefault((row.scenario.title(), _limit(row)), []).append(row)
    made = []
    for (title, limit), rows in places.items():
        chart = _chart(title, limit, rows)
        absent = missing(
            (row.label, row.found[MEASURE].found.reason or row.status)
            for row in rows
            if not _points(row)
        )
        charts = (chart,) if chart.series else ()
        made.append(Group(f"{title}, p99 within {limit:g} ms", charts, absent))
    return Section(
        MEASURE, "Latency against load", TEXT, tuple(made), "No service was loaded: bench load."
    )


def _limit(row: Row) -> float:
    work = row.case.workload
    assert isinstance(work, Serve)
    return work.p99_ms


def _chart(title: str, limit: float, rows: Sequence[Row]) -> Chart:
    series = []
    for row in rows:
        points = _points(row)
        if not points:
            continue
        kept: dict[float, list[float]] = {}
        for point in points:
            if not point.is_hollow:
                kept.setdefault(point.x, []).append(point.y)
        line = tuple((x, sum(ys) / len(ys)) for x, ys in sorted(kept.items()))
        series.append(Series(row.label, points, line if len(line) > 1 else ()))
    xs = [point.x for one in series for point in one.points]
    ys = [point.y for one in series for point in one.points]
    ends = (min(xs, default=1.0), max(xs, default=1.0))
    return Chart(
        slug(MEASURE, title, f"{limit:g}"),
        "Latency against load",
        Axis("requests/s", log=spans_decades(xs)),
        Axis("p99, ms", log=spans_decades([*ys, limit])),
        tuple(series),
        (Guide(tuple((x, limit) for x in ends), f"{limit:g} ms"),) if series else (),
    )


def _points(row: Row) -> tuple[ChartPoint, ...]:
    """Return the steps of a row in the order of their rates; steps without an answer are left
    out."""
    found = [point for step in steps_of(row) if (point := _point(row, step)) is not None]
    return tuple(sorted(found, key=lambda point: point.x))


def steps_of(row: Row) -> Iterable[Mapping[str, Any]]:
    """Yield the steps of all rounds, as `bench.load.step.Step.as_json` wrote them; none where a
    record was not written so."""
    if MEASURE not in row.found or row.status != "ok":
        return
    rounds = row.found[MEASURE].found.samples.get("rounds")
    for each in rounds if isinstance(rounds, list) else ():
        steps = each.get("steps") if isinstance(each, Mapping) else None
        for step in steps if isinstance(steps, list) else ():
            if isinstance(step, Mapping):
                yield step


def _point(row: Row, step: Mapping[str, Any]) -> ChartPoint | None:
    latency = step.get("latency")
    if not isinstance(latency, Mapping):
        return None
    told: tuple[Any, ...] = (step.get("rate"), latency.get("p50"), latency.get("p99"))
    if not all(map(_is_number, told)):
        return None
    rate, p50, p99 = (float(each) for each in told)
    is_kept = step.get("is_kept") is True
    word = "kept" if is_kept else "broken, ended early" if step.get("is_cut") else "broken"
    numbers = f"p50 {significant(1e3 * p50, 3)} ms, p99 {significant(1e3 * p99, 3)} ms"
    says = (f"{row.label}, {row.scenario}", f"{significant(rate, 3)} requests/s: {numbers}; {word}")
    return ChartPoint(rate, 1e3 * p99, row.name, says, is_hollow=not is_kept)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e30
