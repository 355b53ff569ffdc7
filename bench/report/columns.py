"""The columns of a report's tables, for the page and for Markdown alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.measures import FIRST
from bench.record import compare_results
from bench.record.results import Value
from bench.report import losses, starts
from bench.report.data import BASELINE, Report, Row
from zoo.machine.formatting import significant

NOTHING_COMPILED = "compiles nothing"
TOO_LOW = "the ceiling was measured too low"
MARGIN = 0.03
"""Deployments that differ by less than this share are the same: that of `bench compare`."""


@dataclass(frozen=True)
class Cell:
    """What a table says of a row in a column."""

    text: str
    remark: str = ""
    """smaller: an interval, a verdict"""
    number: float | None = None
    """to sort by; None: no number"""

    @property
    def is_missing(self) -> bool:
        """Whether a word stands where a number would."""
        return self.number is None


@dataclass(frozen=True)
class Column:
    """One of them."""

    name: str
    """in addresses of the page: #sort=latency"""
    title: str
    help: str
    cell: Callable[[Row], Cell]


@dataclass(frozen=True)
class Table:
    """Rows, and columns beside those that name the case."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    left_out: tuple[str, ...] = ()
    """titles of columns that no row has a number for"""

    @classmethod
    def of(cls, name: str, title: str, columns: Sequence[Column], rows: Sequence[Row]) -> "Table":
        """Without the columns that no row has a number for."""
        filled = tuple(
            column for column in columns if any(not column.cell(row).is_missing for row in rows)
        )
        empty = tuple(column.title.partition(",")[0] for column in columns if column not in filled)
        return cls(name, title, filled, tuple(rows), empty)


def tables(report: Report) -> dict[str, Table]:
    """By name: cases, starts, training, graphs. Those without any number are left out, but for
    the first."""
    rows = report.rows
    found = {
        "cases": Table.of("cases", "All cases", _cases(rows), rows),
        "starts": _measured("starts", "Cold start", _starts(rows), rows, "cold_start"),
        "training": _measured("training", "A training step in parts", _parts(), rows, "parts"),
        "graphs": _measured("graphs", "Compiled programs", _graphs(), rows, "graph"),
    }
    return {name: each for name, each in found.items() if each.columns or name == "cases"}


def _measured(
    name: str, title: str, columns: Sequence[Column], rows: Sequence[Row], measure: str
) -> Table:
    """A table of the rows that a measure says something of."""
    return Table.of(name, title, columns, [row for row in rows if measure in row.found])


def _plain(
    name: str,
    title: str,
    help_: str,
    measure: str,
    key: str,
    scale: float = 1.0,
    digits: int = 4,
) -> Column:
    """A number as it was measured, in another unit, with its interval where it has one."""

    def cell(row: Row) -> Cell:
        return _number(row.value(measure, key), row.said(measure), scale, digits)

    return Column(name, title, help_, cell)


def _number(value: Value | None, otherwise: str, scale: float, digits: int = 4) -> Cell:
    if value is None:
        return Cell(otherwise)
    remark = ""
    if value.interval:
        low, high = (
            significant(scale * float(value.interval[end]), digits) for end in ("low", "high")
        )
        remark = f"{low} to {high}"
    return Cell(significant(scale * value.value, digits), remark, scale * value.value)


def _cases(rows: Sequence[Row]) -> list[Column]:
    eager = {row.scenario: row for row in rows if row.case.deployment == BASELINE}

    def against_eager(row: Row) -> Cell:
        median = row.value("latency", "median")
        base = eager[row.scenario].value("latency", "median") if row.scenario in eager else None
        if median is None or base is None:
            return Cell(row.said("latency"))
        if row is eager[row.scenario]:
            return Cell("1", "eager", 1.0)
        pair = compare_results.pair(row.case, base, median, MARGIN)
        interval = f"{significant(pair.low, 3)} to {significant(pair.high, 3)}, {pair.word}"
        return Cell(significant(pair.ratio, 3), interval, pair.ratio)

    def work(row: Row) -> Cell:
        rate = row.rate()
        cell = _number(rate, row.said("throughput"), 1.0)
        return cell if rate is None else Cell(f"{cell.text} {rate.unit}", cell.remark, cell.number)

    def ceiling(row: Row) -> Cell:
        median, least = row.value("latency", "median"), row.value("work", "least_seconds")
        if median is None or least is None:
            return Cell(row.said("work"))
        share = least.value / median.value
        reason = row.found["work"].found.reason if share <= 1 else TOO_LOW
        return Cell(f"{share:.0%}", reason, share)

    def lost(row: Row) -> Cell:
        share = losses.share(row)
        if share is None:
            return Cell(row.said(FIRST))
        if losses.is_rounding(row):
            return Cell("rounding", "", 0.0)
        return Cell(f"{significant(100 * share, 2)}%", "", share)

    return [
        _plain("latency", "latency, ms", "Median of a call", "latency", "median", 1e3),
        Column("eager", "times as fast as eager", "By the two medians", against_eager),
        _plain("p95", "p95, ms", "95 of 100 calls take at most so long", "latency", "p95", 1e3),
        _plain("p99", "p99, ms", "99 of 100 calls take at most so long", "latency", "p99", 1e3),
        _plain("samples", "samples/s", "Calls without a pause", "throughput", "samples"),
        Column("work", "work/s", "The same in units of length; padding is no work", work),
        _plain("memory", "peak memory, MiB", "Above the libraries", "memory", "peak", 2**-20),
        _plain(
            "gpu_memory",
            "GPU memory, MiB",
            "Peak of PyTorch's allocator",
            "memory",
            "gpu_allocated",
            2**-20,
        ),
        _plain(
            "size", "size, MiB", "Of what is deployed, on disk", "memory", "size_on_disk", 2**-20
        ),
        _plain("start", "cold start, s", "Until the first answer", "cold_start", "total", digits=3),
        Column("lost", "error of outputs", "Share of their root mean square", lost),
        Column("ceiling", "of ceiling", "Of what this machine allows for the work", ceiling),
        _plain("energy", "J/sample", "All that the device takes meanwhile", "energy", "sample"),
    ]


def _starts(rows: Sequence[Row]) -> list[Column]:
    found = starts.of_rows(rows)
    bases = starts.baselines(found)

    def paid_off(cold_cache: bool) -> Callable[[Row], Cell]:
        def cell(row: Row) -> Cell:
            start, base = found.get(row.name), bases.get(row.scenario)
            if start is None or base is None:
                return Cell(row.said("cold_start"))
            if row.case.deployment == BASELINE:
                return Cell("baseline")
            when = starts.paid_off(start, base, cold_cache)
            if when is None:
                return Cell(NOTHING_COMPILED)
            return Cell(str(when), when.interval(), ORDER[when.word](when.calls or 0.0))

        return cell

    def cold_total(row: Row) -> Cell:
        total = row.value("cold_start", "cold_cache_total")
        started = row.value("cold_start", "total") is not None
        return _number(total, NOTHING_COMPILED if started else row.said("cold_start"), 1.0, 3)

    steps = (("import", "import"), ("load", "load"), ("first_call", "first call"))
    return [
        *(
            _plain(name, f"{title}, s", "With a warm cache", "cold_start", name, digits=3)
            for name, title in steps
        ),
        _plain("start", "start, s", "Until the first answer", "cold_start", "total", digits=3),
        Column("cold_cache", "start with a cold cache, s", "Compiled anew", cold_total),
        Column("even", "ahead of eager", "With a warm cache", paid_off(False)),
        Column("even_cold", "ahead of eager with a cold cache", "Compiled anew", paid_off(True)),
    ]


ORDER: Mapping[str, Callable[[float], float]] = {
    "at once": lambda calls: 0.0,
    "after": lambda calls: calls,
    "until": lambda calls: 1e15,
    "can't tell": lambda calls: 1e16,
    "never": lambda calls: 1e17,
}
"""What to sort a break-even by: the sooner the better."""


def _parts() -> list[Column]:
    return [
        _plain(name, f"{name}, ms", "Waited for", "parts", name, 1e3)
        for name in ("forward", "backward", "optimizer")
    ]


def _graphs() -> list[Column]:
    titles = {"graphs": "graphs", "graph_breaks": "graph breaks", "recompiles": "recompiles"}
    return [
        _plain(name, title, "In two calls", "graph", name, digits=6)
        for name, title in titles.items()
    ]
