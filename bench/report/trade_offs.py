"""Charts of the Pareto front: latency against memory, size, and what is lost, of each workload."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.record.results import Value
from bench.report import losses
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
from bench.report.data import Report, Row, Scenario, bounds, groups
from zoo.machine.formatting import significant

TEXT = (
    "Less is better on both axes. Filled points are on the front: none of the others is better in "
    "one of the two and not worse in the other. Latencies with intervals that overlap are a tie, "
    "and a tie beats nobody. The error is that of outputs on random inputs: what it costs in the "
    "task's metric is what bench decide measures."
)


ALIKE = 1.02
"""Largest over smallest cost up to which deployments cost the same."""
ONE_DEPLOYMENT = "No workload was measured with two deployments or more."
NO_COST = (
    "Workloads were timed with two deployments or more, but for no two of them there is a peak of "
    "memory, a size, or an error of outputs to weigh the latency against."
)


@dataclass(frozen=True)
class Cost:
    """A cost that latency is weighed against."""

    name: str
    title: str
    of: Callable[[Row], float | None]


def _size(row: Row) -> float | None:
    return _mebibytes(row.value("memory", "size_on_disk"))


def _peak(row: Row) -> float | None:
    """Of the memory of the device that it runs on."""
    on_gpu = row.case.device.startswith("cuda")
    return _mebibytes(row.value("memory", "gpu_allocated" if on_gpu else "peak"))


def _mebibytes(value: Value | None) -> float | None:
    return None if value is None else value.value / 2**20


def _percent(row: Row) -> float | None:
    share = losses.share(row)
    return None if share is None else 100 * share


COSTS = (
    Cost("error", "error of outputs, %", _percent),
    Cost("memory", "peak memory, MiB", _peak),
    Cost("size", "size on disk, MiB", _size),
)


def section(report: Report) -> Section:
    """A group for every workload that more than one deployment was measured on."""
    found, timed = [], False
    for scenario, rows in groups(report.rows).items():
        timed |= sum(row.value("latency", "median") is not None for row in rows) > 1
        same = _same(rows)
        charts = [_chart(scenario, rows, cost) for cost in COSTS if cost not in same]
        absent = missing(
            [
                *((cost.title.partition(",")[0], "the same for all") for cost in same),
                *(
                    (row.case.deployment, row.said("latency"))
                    for row in rows
                    if row.value("latency", "median") is None
                ),
            ]
        )
        if any(charts):
            found.append(Group(str(scenario), tuple(filter(None, charts)), absent))
    return Section(
        "front",
        "The Pareto front",
        TEXT,
        tuple(found),
        NO_COST if timed else ONE_DEPLOYMENT,
    )


def _same(rows: Sequence[Row]) -> list[Cost]:
    """Return the costs that all deployments of a workload share; none where they share all."""
    timed = [row for row in rows if row.value("latency", "median")]
    paid = {cost: [p for row in timed if (p := cost.of(row)) is not None] for cost in COSTS}
    known = [cost for cost, costs in paid.items() if len(costs) > 1 and any(costs)]
    same = [cost for cost in known if max(paid[cost]) <= ALIKE * min(paid[cost])]
    return same if len(same) < len(known) else []


def _chart(scenario: Scenario, rows: Sequence[Row], cost: Cost) -> Chart | None:
    known = [
        (row, median, paid)
        for row in rows
        if (median := row.value("latency", "median")) and (paid := cost.of(row)) is not None
    ]
    if len(known) < 2 or not any(paid for _, _, paid in known):
        return None
    front = on_front([(median, paid) for _, median, paid in known])
    series = []
    for i, (row, median, paid) in enumerate(known):
        says = (
            f"{row.case.deployment}, {scenario}",
            f"latency {_with_interval(median)} ms",
            f"{cost.title.partition(',')[0]} {significant(paid, 3)} {cost.title.split()[-1]}",
            "on the front" if i in front else "beaten",
        )
        ends = bounds(median)
        point = ChartPoint(
            1e3 * median.value,
            paid,
            row.name,
            says,
            x_ends=(1e3 * ends[0], 1e3 * ends[1]),
            is_hollow=i not in front,
        )
        series.append(Series(row.case.deployment, (point,)))
    ahead = sorted((1e3 * known[i][1].value, known[i][2]) for i in front)
    line = tuple(_steps(ahead))
    names = tuple(known[i][0].name for i in front)
    return Chart(
        slug("front", cost.name, str(scenario)),
        f"Latency against {cost.title.partition(',')[0]}",
        Axis("latency, ms", spans_decades(1e3 * median.value for _, median, _ in known), False),
        Axis(cost.title, from_zero=False),
        tuple(series),
        (Guide(line, rows=names),) if len(line) > 1 else (),
    )


def on_front(costs: Sequence[tuple[Value, float]]) -> list[int]:
    """Places of those that none beats: latency with its interval, and what is paid for it."""

    def beats(one: tuple[Value, float], other: tuple[Value, float]) -> bool:
        (low, high), (other_low, other_high) = bounds(one[0]), bounds(other[0])
        faster, slower = high < other_low, low > other_high
        return not slower and one[1] <= other[1] and (faster or one[1] < other[1])

    return [i for i, one in enumerate(costs) if not any(beats(other, one) for other in costs)]


def _steps(ahead: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The border of what is reached: across, then down. Ties may lie above it."""
    line: list[tuple[float, float]] = []
    for x, y in ahead:
        if line and y >= line[-1][1]:
            continue
        if line:
            line.append((x, line[-1][1]))
        line.append((x, y))
    return line


def _with_interval(value: Value) -> str:
    low, high = bounds(value)
    return (
        f"{significant(1e3 * value.value)} [{significant(1e3 * low)} to {significant(1e3 * high)}]"
    )
