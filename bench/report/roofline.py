"""The roofline (Williams et al. 2009): FLOP/s over FLOPs a byte, below the measured ceilings."""

from collections.abc import Iterable, Sequence

from bench.measures.work import arithmetic
from bench.report.chart import Axis, Chart, ChartPoint, Group, Guide, Section, Series, missing, slug
from bench.report.data import Report, Row, bounds
from zoo.machine.formatting import significant
from zoo.runtimes.deployment import Deployment

TEXT = (
    "What a call reaches, below what this machine does at most: copying (the slope) and matrix "
    "products of each type (the level). FLOPs are those of the eager network; bytes are the least "
    "that must move, so a point may lie further left in truth. Far below the roof there is room "
    "for a better program."
)
GIGA = 1e9


def section(report: Report) -> Section:
    """A group for every model, device, number of threads and machine."""
    places: dict[str, list[Row]] = {}
    for row in report.rows:
        if point(row) is not None:
            places.setdefault(_place(row), []).append(row)
    made = [
        Group(title, (_chart(title, rows),), missing(_absent(title, report.rows)))
        for title, rows in places.items()
    ]
    return Section(
        "roofline",
        "Roofline",
        TEXT,
        tuple(made),
        "FLOPs and the machine's ceilings were not measured: run with --measures latency work.",
    )


def _place(row: Row) -> str:
    return row.scenario.title("batch_size", "length")


def _absent(title: str, rows: Iterable[Row]) -> Iterable[tuple[str, str]]:
    for row in rows:
        if _place(row) == title and point(row) is None:
            reason = row.found["work"].found.reason if "work" in row.found else ""
            yield row.case.deployment, reason or row.said("work")


def point(row: Row) -> ChartPoint | None:
    """GFLOP/s over FLOPs a byte; None where something of it, or a ceiling, was not measured."""
    flops, least = row.value("work", "flops"), row.value("work", "least_bytes")
    median, ceiling = row.value("latency", "median"), row.value("work", "ceiling_flops")
    moved = row.value("work", "ceiling_bytes")
    if flops is None or least is None or median is None or ceiling is None or moved is None:
        return None
    if not all(each.value > 0 for each in (flops, least, ceiling, moved)):
        return None
    low, high = bounds(median)
    reached = flops.value / median.value / GIGA
    share = reached * GIGA / ceiling.value
    says = (
        str(row.case),
        f"{significant(reached)} GFLOP/s, {share:.0%} of the ceiling of matrix products",
        f"{significant(flops.value / least.value, 3)} FLOPs a byte",
    )
    return ChartPoint(
        flops.value / least.value,
        reached,
        row.name,
        says,
        y_ends=(flops.value / high / GIGA, flops.value / low / GIGA),
    )


def _chart(title: str, rows: Sequence[Row]) -> Chart:
    by_deployment: dict[str, list[ChartPoint]] = {}
    tops: dict[str, float] = {}
    copied = 0.0
    for row in rows:
        found, top, moved = (
            point(row),
            row.value("work", "ceiling_flops"),
            row.value("work", "ceiling_bytes"),
        )
        assert found is not None and top is not None and moved is not None
        by_deployment.setdefault(row.case.deployment, []).append(found)
        kind = arithmetic(Deployment.parse(row.case.deployment).numerics, row.case.device)
        tops[kind] = max(tops.get(kind, 0.0), top.value)
        copied = max(copied, moved.value)
    series = tuple(Series(name, tuple(points)) for name, points in by_deployment.items())
    xs = [each.x for one in series for each in one.points]
    ridge = max(tops.values()) / copied
    left, right = min(*xs, ridge) / 3, max(*xs, ridge) * 3
    guides = [
        Guide(
            ((max(left, top / copied), top / GIGA), (right, top / GIGA)),
            f"{kind} {significant(top / GIGA, 3)} GFLOP/s",
        )
        for kind, top in tops.items()
    ]
    edge = max(left, ridge)
    slope = ((left, left * copied / GIGA), (edge, edge * copied / GIGA))
    guides.append(Guide(slope, f"copy {significant(copied / GIGA, 3)} GB/s"))
    return Chart(
        slug("roofline", title),
        "Reached, below the ceilings",
        Axis("FLOPs a byte", log=True),
        Axis("GFLOP/s", log=True),
        series,
        tuple(guides),
    )
