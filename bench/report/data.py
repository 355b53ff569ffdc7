"""Results as a report shows them: a row a case, and the environments they were taken in."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.cases.case import Case
from bench.load.arms import LoadArm
from bench.measures import FIRST
from bench.record.results import Result, Value
from bench.sweep import table
from zoo.machine.formatting import NOT_MEASURED
from zoo.measure.workload import Forward, Serve

BASELINE = "eager"
SAMPLES = "samples"


@dataclass
class Environment:
    """A machine with its versions, and what was taken there."""

    name: str
    """A, B, ...; empty where it is the only one"""
    machine: dict[str, Any]
    versions: Mapping[str, Any]
    commits: set[str] = field(default_factory=set)
    times: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """Return the heading of a machine."""
        return f"Machine {self.name}".strip()


@dataclass(frozen=True, order=True)
class Scenario:
    """The model, the work and the machine that deployments are compared on."""

    model: str
    phase: str
    device: str
    threads: int
    batch_size: int
    length: float
    """0: the model's usual one"""
    environment: str

    def __str__(self) -> str:
        return self.title()

    def title(self, *without: str) -> str:
        """Return the scenario in words, without the fields named: a chart is drawn along these."""
        parts = {
            "model": self.model,
            "phase": "" if self.phase == Forward.phase else self.phase,
            "batch_size": f"batch {self.batch_size}",
            "length": f"length {self.length:g}" if self.length else "",
            "device": "" if self.device == "cpu" else self.device,
            "threads": f"{self.threads} thread{'s' * (self.threads > 1)}",
            "environment": f"machine {self.environment}" if self.environment else "",
        }
        return ", ".join(text for name, text in parts.items() if text and name not in without)


@dataclass(frozen=True)
class Row:
    """A case with all that was found of it."""

    name: str
    """r1, r2, ...: how a page refers to it"""
    case: Case
    environment: str
    """its name"""
    found: Mapping[str, Result]
    """by measure"""

    @property
    def scenario(self) -> Scenario:
        """Return the scenario that the row is compared on."""
        case, work = self.case, self.case.workload
        where = (case.device, case.threads)
        return Scenario(
            case.model, work.title, *where, work.batch, work.length or 0, self.environment
        )

    @property
    def label(self) -> str:
        """Return what runs the model: its deployment, or of a load the service."""
        return service_of(self.case) if is_load(self.case) else self.case.deployment

    @property
    def is_proven(self) -> bool:
        """Return whether the outputs are right: what is not proven has no number. A load compares
        the answers itself."""
        if is_load(self.case):
            return True
        return FIRST in self.found and self.found[FIRST].found.status == "ok"

    @property
    def status(self) -> str:
        """Return the status of the row in a word or two, as `bench.sweep.table` says it."""
        if is_load(self.case):
            statuses = [each.found.status for each in self.found.values()]
            return next((one for one in statuses if one != "ok"), "ok").replace("_", " ")
        return table.status(self.found).replace("_", " ")

    def value(self, measure: str, name: str) -> Value | None:
        """A number; None where there is none to be believed."""
        result = self.found.get(measure)
        if not self.is_proven or result is None or result.found.status != "ok":
            return None
        found = result.found.values.get(name)
        return found if found is not None and math.isfinite(found.value) else None

    def said(self, measure: str) -> str:
        """Return the word that stands in the place of a number, and says why there is none."""
        if not self.is_proven:
            return self.status
        result = self.found.get(measure)
        if result is None or result.found.status == "ok":
            return NOT_MEASURED
        return result.found.status.replace("_", " ")

    def rate(self) -> Value | None:
        """Work a second: tokens, pixels or seconds of sound; samples where nothing else is told."""
        names = self.found["throughput"].found.values if "throughput" in self.found else {}
        name = next((name for name in names if name != SAMPLES), SAMPLES)
        return self.value("throughput", name)

    def length(self) -> float | None:
        """Return the length of a sample in tokens, pixels of a side, or seconds of sound; None
        where none is known.

        Of a case with its model's usual length: what its work says.
        """
        if self.case.workload.length is not None:
            return self.case.workload.length
        for result in self.found.values():
            for name, amount in result.work.items():
                if name != SAMPLES and result.work.get(SAMPLES):
                    each = amount / result.work[SAMPLES]
                    return math.sqrt(each) if name == "pixels" else each
        return None

    def unit(self) -> str:
        """Return the unit of a sample's length: "tokens", "pixels of a side", "seconds"."""
        names = (name for result in self.found.values() for name in result.work)
        name = next((name for name in names if name != SAMPLES), "")
        return "pixels of a side" if name == "pixels" else name


@dataclass(frozen=True)
class Report:
    """The results that a report shows, with their machines and files."""

    sources: tuple[str, ...]
    """names of the files"""
    environments: tuple[Environment, ...]
    rows: tuple[Row, ...]
    """of a workload side by side"""
    outdated: int
    """results left out, as newer ones of the same case are there"""
    loads: tuple[Row, ...] = ()
    """services that were loaded, which no other measure is taken of"""

    @property
    def deployments(self) -> list[str]:
        """Return the deployments, each once, eager first, and behind them the services."""
        named = {row.case.deployment for row in self.rows}
        services = {row.label for row in self.loads} - named
        return [*sorted(named, key=lambda d: (d != BASELINE, d)), *sorted(services)]

    @property
    def all(self) -> tuple[Row, ...]:
        """Return the rows of all workloads."""
        return (*self.rows, *self.loads)

    def notes(self) -> list[str]:
        """Return what is wrong or worth knowing, a line each."""
        lines = []
        for row in self.all:
            lines += table.notes_of(row.case, row.found)
        return list(dict.fromkeys(lines))


def gather(sources: Sequence[str], results: Iterable[Result]) -> Report:
    """The rows of results, in the order of their workloads.

    Of a case that one machine has measured again, with other code or weights, the newest counts.
    """
    environments: list[Environment] = []
    newest: dict[tuple[Case, str], str] = {}
    kept: dict[tuple[Case, str, str], dict[str, Result]] = {}
    total = 0
    for result in results:
        where = _place(result.origin, environments)
        newest[result.case, where] = result.key
        kept.setdefault((result.case, where, result.key), {})[result.measure] = result
        total += 1
    if len(environments) == 1:
        environments[0].name = ""
    names = {_letters(i): one.name for i, one in enumerate(environments)}
    chosen = [
        Row("", case, names[where], kept[case, where, key]) for (case, where), key in newest.items()
    ]
    chosen.sort(key=lambda row: (row.scenario, row.case.deployment != BASELINE))
    rows = [Row(f"r{i}", row.case, row.environment, row.found) for i, row in enumerate(chosen, 1)]
    shown = sum(len(row.found) for row in rows)
    loads = tuple(row for row in rows if is_load(row.case))
    others = tuple(row for row in rows if not is_load(row.case))
    return Report(tuple(sources), tuple(environments), others, total - shown, loads)


def is_load(case: Case) -> bool:
    """Return whether a case is a service that is loaded."""
    return isinstance(case.workload, Serve)


def service_of(case: Case) -> str:
    """Return the service of a load as tables name it."""
    work = case.workload
    assert isinstance(work, Serve)
    return LoadArm(
        work.server, case.model, case.deployment, case.threads, tuple(work.options.split())
    ).name


def _place(origin: Mapping[str, Any], environments: list[Environment]) -> str:
    """The name of the environment of a result, which is added where it is new.

    The GPU is only told where a case ran on it: machines are the same that agree in what both tell.
    """
    machine, versions = origin.get("machine") or {}, origin.get("versions") or {}
    for one in environments:
        shared = one.machine.keys() & machine.keys()
        if one.versions == versions and all(one.machine[key] == machine[key] for key in shared):
            one.machine.update(machine)
            break
    else:
        one = Environment(_letters(len(environments)), dict(machine), versions)
        environments.append(one)
    if origin.get("commit"):
        changed = ", with changes" if origin.get("dirty") else ""
        one.commits.add(f"{str(origin['commit'])[:10]}{changed}")
    if origin.get("time"):
        one.times.append(str(origin["time"]))
    return one.name


def _letters(number: int) -> str:
    """Return the name of a number in letters: A to Z, then AA to AZ, ..."""
    first, last = divmod(number, 26)
    return (_letters(first - 1) if first else "") + chr(ord("A") + last)


def bounds(value: Value) -> tuple[float, float]:
    """Return the ends of a value's interval; the value itself, twice, where it has none."""
    if value.interval is None:
        return value.value, value.value
    return float(value.interval["low"]), float(value.interval["high"])


def groups(rows: Iterable[Row], *along: str) -> dict[Scenario, list[Row]]:
    """Rows by their workload, but for the fields named, which count as one."""
    blank: dict[str, Any] = {"batch_size": 0, "length": 0}
    found: dict[Scenario, list[Row]] = {}
    for row in rows:
        shared = {name: getattr(row.scenario, name) for name in Scenario.__dataclass_fields__}
        shared |= {name: blank[name] for name in along}
        found.setdefault(Scenario(**shared), []).append(row)
    return found
