"""Results as a table for people: a row a case."""

from collections.abc import Mapping, Sequence

from bench.cases.case import Case
from bench.measures import FIRST
from bench.record.results import Result, Value
from zoo.machine import formatting, terminal
from zoo.measure.workload import Forward, Generate

HEADER = (
    "model",
    "deployment",
    "batch",
    "length",
    "status",
    "latency [99%]",
    "p95",
    "throughput",
    "peak memory",
    "size",
    "cold start",
    "of ceiling",
    "MFU",
)
TELLING = (FIRST, "latency", "cold_start", "device_time")
"""Measures whose remark is to be known with their numbers."""
IN_PARTS = ("parts", "generation", "device_time")
"""Measures of which all numbers are told, in a line of their own."""


def show(cases: Sequence[Case], results: Sequence[Result]) -> None:
    """Print the table, and below it failures and remarks."""
    by_case: dict[Case, dict[str, Result]] = {}
    for result in results:
        by_case.setdefault(result.case, {})[result.measure] = result
    rows, notes = [], []
    for case in dict.fromkeys(cases):
        found = by_case.get(case, {})
        rows.append(row(case, found))
        notes += notes_of(case, found)
    used = [i for i in range(len(HEADER)) if any(each[i] != formatting.NOTHING for each in rows)]
    terminal.table([HEADER[i] for i in used], [[each[i] for i in used] for each in rows])
    if notes:
        terminal.lines("", *notes)


def row(case: Case, results: Mapping[str, Result]) -> tuple[str, ...]:
    """Return the cells of a case; what was not measured is a dash."""

    def value(measure: str, name: str) -> Value | None:
        return results[measure].found.values.get(name) if measure in results else None

    work = case.workload
    median, least = value("latency", "median"), value("work", "least_seconds")
    taken = median
    if isinstance(work, Generate):
        taken, least = value("generation", "further_token"), value("work", "least_token_seconds")
    flops, peak = value("work", "flops"), value("work", "ceiling_flops")
    rates = dict(results["throughput"].found.values) if "throughput" in results else {}
    rate = rates.get("new_tokens") or rates.get("samples") or next(iter(rates.values()), None)
    return (
        case.model + ("" if isinstance(work, Forward) else f" ({work.title})"),
        case.deployment + ("" if case.device == "cpu" else f" ({case.device})"),
        str(work.batch),
        formatting.NOTHING if work.length is None else f"{work.length:g}",
        status(results),
        formatting.seconds(median),
        formatting.seconds(value("latency", "p95"), bare=True),
        formatting.NOTHING if rate is None else f"{rate.value:,.4g} {rate.unit}",
        _megabytes(value("memory", "peak")),
        _megabytes(value("memory", "size_on_disk")),
        formatting.seconds(value("cold_start", "total"), bare=True),
        formatting.NOTHING if not (taken and least) else f"{least.value / taken.value:.0%}",
        formatting.NOTHING
        if not (median and flops and peak)
        else f"{flops.value / median.value / peak.value:.1%}",
    )


def status(results: Mapping[str, Result]) -> str:
    """Return the status of a case: that of its parity, or of the first measure that failed."""
    if FIRST not in results:
        return formatting.NOT_MEASURED
    if results[FIRST].found.status == "left_out":
        return "left out"
    for result in results.values():
        if result.found.status not in ("ok", "not_measured", "left_out"):
            return result.found.status
    violated = any(result.found.violations for result in results.values())
    return "ok, violations" if violated else "ok"


def notes_of(case: Case, results: Mapping[str, Result]) -> list[str]:
    """Return the remarks on a case, as lines."""
    lines = []
    for measure in IN_PARTS:
        parts = results[measure].found.values if measure in results else {}
        if parts:
            said = [f"{name.replace('_', ' ')} {_in_unit(v)}" for name, v in parts.items()]
            lines.append(f"{case}: {', '.join(said)}")
    for name, result in results.items():
        if result.found.status == "left_out":  # one line says it of all
            continue
        doubtful = result.found.status != "ok" or name in TELLING
        said = [result.found.reason] if doubtful else []
        lines += [f"{case}: {name}: {text}" for text in (*said, *result.found.violations) if text]
    return lines


def _in_unit(value: Value) -> str:
    """Format a value: seconds as a duration, a share in percent, bytes in a unit of their size, all
    else with its unit."""
    if value.unit == "s":
        return formatting.seconds(value)
    if value.unit == "1":
        return f"{value.value:.1%}"
    if value.unit == "bytes":
        return formatting.size(value.value)
    return f"{value.value:,.4g} {value.unit}"


def _megabytes(value: Value | None) -> str:
    return formatting.size(None if value is None else value.value, "MiB")
