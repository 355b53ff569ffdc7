"""The columns of a report's tables, for the page and for Markdown alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.measures import FIRST
from bench.record import compare_results
from bench.record.results import Value
from bench.report import losses, starts
from bench.report.data import BASELINE, Report, Row, bounds
from zoo.machine.formatting import significant

NOTHING_COMPILED = "compiles nothing"
TOO_LOW = "the ceiling was measured too low"
MARGIN = 0.03
"""Deployments that differ by less than this share are the same: that of `bench compare`."""


@dataclass(frozen=True)
class Cell:
    """The text of a row in a column of a table, and the number to sort it by."""

    text: str
    remark: str = ""
    """smaller: an interval, a verdict"""
    number: float | None = None
    """to sort by; None: no number"""

    @property
    def is_missing(self) -> bool:
        """Return whether a word stands where a number would."""
        return self.number is None


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, its title, and the cell of each row."""

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
        """Without the columns that no row has a number for; rows without a number come last."""
        rows = sorted(rows, key=lambda row: all(each.cell(row).is_missing for each in columns))
        filled = tuple(
            column for column in columns if any(not column.cell(row).is_missing for row in rows)
        )
        empty = tuple(column.title.partition(",")[0] for column in columns if column not in filled)
        return cls(name, title, filled, tuple(rows), empty)


def without_number(row: Row, columns: Sequence[Column]) -> str | None:
    """Return why a row has no number in any of some columns; None where it has one."""
    if not columns or any(not column.cell(row).is_missing for column in columns):
        return None
    reasons = (each.found.reason for each in row.found.values() if each.found.status != "ok")
    return "; ".join(dict.fromkeys(filter(None, reasons))) or row.status


def tables(report: Report) -> dict[str, Table]:
    """By name: cases, starts, training, graphs, devices. Those without any number are left out, but
    for the first."""
    rows = report.rows
    found = {
        "cases": Table.of("cases", "All cases", _cases(rows), rows),
        "starts": _measured("starts", "Cold start", _starts(rows), rows, "cold_start"),
        "training": _measured("training", "A training step in parts", _parts(), rows, "parts"),
        "graphs": _measured("graphs", "Compiled programs", _graphs(rows), rows, "graph"),
        "devices": _measured("devices", "Host and device", _devices(), rows, "device_time"),
        "loads": Table.of("loads", "What services hold", _loads(), report.loads),
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


def _count(name: str, title: str, help_: str, measure: str) -> Column:
    """A whole number of things."""

    def cell(row: Row) -> Cell:
        value = row.value(measure, name)
        if value is None:
            return Cell(row.said(measure))
        return Cell(f"{value.value:,.0f}", "", value.value)

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


def _work(row: Row) -> Cell:
    rate = row.rate()
    cell = _number(rate, row.said("throughput"), 1.0)
    return cell if rate is None else Cell(f"{cell.text} {rate.unit}", cell.remark, cell.number)


def _ceiling(row: Row) -> Cell:
    median, least = row.value("latency", "median"), row.value("work", "least_seconds")
    if least is None:  # of a token that is written
        median = row.value("generation", "further_token")
        least = row.value("work", "least_token_seconds")
    if median is None or least is None:
        return Cell(row.said("work"))
    share = least.value / median.value
    reason = row.found["work"].found.reason if share <= 1 else TOO_LOW
    return Cell(f"{share:.0%}", reason, share)


def _lost(row: Row) -> Cell:
    share = losses.share(row)
    if share is None:
        return Cell(row.said(FIRST))
    if losses.is_rounding(row):
        return Cell("rounding", "", 0.0)
    return Cell(f"{significant(100 * share, 2)}%", "", share)


def _utilization(of: str) -> Callable[[Row], Cell]:
    """FLOPs of a call in its median seconds, over a peak (MFU)."""

    def cell(row: Row) -> Cell:
        median, flops = row.value("latency", "median"), row.value("work", "flops")
        peak = row.value("work", of)
        if median is None or flops is None or peak is None or not peak.value > 0:
            return Cell(row.said("work"))
        share = flops.value / median.value / peak.value
        slow, fast = (flops.value / end / peak.value for end in reversed(bounds(median)))
        remark = f"{slow:.1%} to {fast:.1%}" if median.interval else ""
        return Cell(f"{share:.1%}", remark, share)

    return cell


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

    return [
        _plain("latency", "latency, ms", "Median of a call", "latency", "median", 1e3),
        Column("eager", "times as fast as eager", "By the two medians", against_eager),
        _plain("ttft", "TTFT, ms", "Time to first token", "generation", "first_token", 1e3),
        _plain("tpot", "TPOT, ms", "Time per output token", "generation", "further_token", 1e3),
        _plain("p95", "p95, ms", "95 of 100 calls take at most so long", "latency", "p95", 1e3),
        _plain("p99", "p99, ms", "99 of 100 calls take at most so long", "latency", "p99", 1e3),
        _plain("samples", "samples/s", "Calls without a pause", "throughput", "samples"),
        Column("work", "work/s", "The same in units of length; padding is no work", _work),
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
        Column("lost", "error of outputs", "Share of their root mean square", _lost),
        Column("ceiling", "of ceiling", "Of what this machine allows for the work", _ceiling),
        Column(
            "mfu",
            "MFU",
            "FLOPs over the rate of matrix products that was measured here",
            _utilization("ceiling_flops"),
        ),
        *_of_gpus(rows),
        _plain("energy", "J/sample", "All that the device takes meanwhile", "energy", "sample"),
        _plain(
            "energy_above",
            "J/sample above rest",
            "Without what the device takes while nothing runs",
            "energy",
            "sample_above_idle",
        ),
    ]


def _loads() -> list[Column]:
    columns = (
        ("requests_per_s", "requests/s", "Within the limit at p99, the highest rate kept", 1.0),
        ("times_as_many", "times as many", "As the first service of the same command", 1.0),
        ("p50", "p50, ms", "At that rate, from the intended start", 1e3),
        ("p99", "p99, ms", "At that rate, from the intended start", 1e3),
        ("service_cpu", "CPU, ms", "Of the service's processes, for a request", 1e3),
        ("client_cpu", "client's CPU, ms", "For a request", 1e3),
        ("memory_start", "memory at start, MiB", "PSS of all its processes", 2**-20),
        ("memory_peak", "peak memory, MiB", "PSS of all its processes", 2**-20),
        ("start", "start, s", "Until the first answer", 1.0),
        ("energy", "J/request", "All that the device takes meanwhile", 1.0),
    )
    return [
        _plain(name, title, help_, "load", name, scale) for name, title, help_, scale in columns
    ]


def _of_gpus(rows: Sequence[Row]) -> list[Column]:
    """What is measured of GPUs only; nothing where no case ran on one."""
    if not any(row.case.device.startswith("cuda") for row in rows):
        return []
    return [
        Column(
            "mfu_sheet",
            "MFU of data sheet",
            "FLOPs over the peak that the vendor's data sheet promises",
            _utilization("sheet_flops"),
        ),
        _plain(
            "waited",
            "device waits, %",
            "Share of the time in which no kernel ran",
            "device_time",
            "waited",
            100,
            3,
        ),
        _plain("clock", "clock, MHz", "Of the GPU while calls ran", "device_time", "sm_clock"),
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
"""The numbers to sort a break-even by: the sooner the better."""


def _parts() -> list[Column]:
    return [
        _plain(name, f"{name}, ms", "Waited for", "parts", name, 1e3)
        for name in ("forward", "backward", "optimizer")
    ]


def _graphs(rows: Sequence[Row]) -> list[Column]:
    titles = {"graphs": "graphs", "graph_breaks": "graph breaks", "recompiles": "recompiles"}
    if any(row.case.device.startswith("cuda") for row in rows):
        titles["cuda_graphs_skipped"] = "CUDA graphs skipped"
    return [_count(name, title, "In two calls", "graph") for name, title in titles.items()]


def _devices() -> list[Column]:
    help_ = {
        "host": "Until the call comes back",
        "device": "Between two CUDA events around it",
        "busy": "Of a call without a pause, in which a kernel or copy ran",
        "do_bench": "The median of triton.testing.do_bench",
    }
    times = [
        _plain(name, f"{name}, ms", text, "device_time", name, 1e3) for name, text in help_.items()
    ]
    over = "Our median of the same calls over it"
    return [*times, _plain("over", "ours over do_bench", over, "device_time", "over_do_bench")]
