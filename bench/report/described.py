"""Cases, machines and files in words, for the page and for Markdown alike."""

from collections.abc import Mapping
from typing import Any

from bench.measures import data_sheets
from bench.report.data import Environment, Report, Row
from zoo.machine.formatting import size
from zoo.measure.workload import Forward

TELLING_VERSIONS = ("python", "torch", "transformers", "onnxruntime", "openvino", "torchao")


def title(row: Row) -> str:
    """Return a case in one line."""
    return f"{row.label}, {row.scenario}"


def subject(row: Row) -> str:
    """Return the model of a case, and what is not as usual (phase, device, machine), without its
    deployment."""
    case = row.case
    phase = "" if isinstance(case.workload, Forward) else case.workload.title
    device = "" if case.device == "cpu" else case.device
    where = f"machine {row.environment}" if row.environment else ""
    return ", ".join(text for text in (case.model, phase, device, where) if text)


def length(row: Row) -> str:
    """Return the length of a case's samples; a dash where none is known."""
    found = row.length()
    return "-" if found is None else f"{found:g}"


def words(row: Row) -> str:
    """Return the words of a case that the filter of the page looks through, in small letters."""
    case = row.case
    said = [
        case.model,
        row.label,
        case.workload.phase,
        case.device,
        f"batch-{case.workload.batch}",
        f"length-{length(row)}",
        f"machine-{row.environment}" if row.environment else "",
        row.status,
    ]
    return " ".join(text for text in said if text).lower()


def summary(report: Report) -> list[str]:
    """Return what the report is about, in sentences."""
    cases, results = len(report.all), sum(len(row.found) for row in report.all)
    models = len({row.case.model for row in report.all})
    lines = [
        f"{count(cases, 'case')} of {count(models, 'model')}, {count(results, 'measurement')}, "
        f"from {', '.join(report.sources)}.",
        f"Beside a value, and as a bar in charts, stands {_levels(report)}.",
    ]
    if report.outdated:
        lines.append(
            f"{count(report.outdated, 'older measurement')} of the same cases, made with other "
            "code or weights, left out."
        )
    if len(report.environments) > 1:
        lines.append(
            "They come from several machines or versions: what is not the same there may be why "
            "numbers differ."
        )
    return lines


def count(number: int, what: str) -> str:
    """A number of things: "1 case", "2 cases"."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def _levels(report: Report) -> str:
    found = {
        float(value.interval["level"])
        for row in report.all
        for result in row.found.values()
        for value in result.found.values.values()
        if value.interval and "level" in value.interval
    }
    if not found:
        return "its interval, where it has one"
    return f"its {' or '.join(f'{level:.0%}' for level in sorted(found))} interval"


def _gpu_limits(machine: Mapping[str, Any]) -> str:
    """The highest clocks and the power limit; what is not told is left out."""
    parts = (
        ("gpu_clock_mhz", "SM clock up to {:,} MHz"),
        ("gpu_memory_clock_mhz", "memory up to {:,} MHz"),
        ("gpu_power_limit_w", "power limit {:,} W"),
    )
    return ", ".join(form.format(machine[name]) for name, form in parts if machine.get(name))


def facts(environment: Environment) -> list[tuple[str, str]]:
    """A machine and what ran there: name and text of each."""
    machine = environment.machine
    found = [
        ("processor", str(machine.get("cpu") or "not told")),
        ("cores granted", str(machine.get("cores") or "not told")),
    ]
    if machine.get("isa"):
        found.append(("instructions", ", ".join(map(str, machine["isa"]))))
    if machine.get("memory_bytes"):
        found.append(("memory", size(machine["memory_bytes"], "GiB")))
    if machine.get("gpu"):
        driver = f", driver {machine['gpu_driver']}" if machine.get("gpu_driver") else ""
        found.append(("GPU", f"{machine['gpu']}{driver}"))
        if limits := _gpu_limits(machine):
            found.append(("GPU limits", limits))
        if (sheet := data_sheets.sheet_of(str(machine["gpu"]))) is not None:
            found.append(("peaks", f"of the {sheet.name}, dense"))
    if machine.get("os"):
        found.append(("system", f"{machine['os']} {machine.get('arch', '')}".strip()))
    telling = [
        f"{name} {environment.versions[name]}"
        for name in TELLING_VERSIONS
        if name in environment.versions
    ]
    found.append(("versions", ", ".join(telling) or "not told"))
    if environment.commits:
        found.append(("commit", "; ".join(sorted(environment.commits))))
    if environment.times:
        first, last = min(environment.times)[:10], max(environment.times)[:10]
        found.append(("measured", first if first == last else f"{first} to {last}"))
    return found
