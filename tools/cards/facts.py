"""Which facts of a record belong on its card, and how they hang together.

A fact belongs where it is about the weights that lie in the folder, about an artifact that lies in
`artifacts/`, or about a program that was timed against these weights and not kept.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tools.cards.record import Record
from tools.cards.settings import TimingSetting, as_json
from zoo.store.evidence import Fact

EAGER = "eager"
TIMED = (
    "latency",
    "throughput",
    "energy",
    "cold_start",
    "memory",
    "load",
)  # kinds that a machine decides


@dataclass(frozen=True)
class Program:
    """Something that runs a checkpoint: its weights, an artifact, or a program that was measured
    and not kept."""

    deployment: str
    subject: str
    is_kept: bool


@dataclass(frozen=True)
class Facts:
    """The facts of a record that belong on its card: of each, the newest."""

    record: Record

    @cached_property
    def programs(self) -> Mapping[tuple[str, str], Program]:
        """Return the programs by deployment and subject: the weights under each deployment without
        an artifact, the artifacts, and those that were timed against the weights and not kept."""
        record = self.record
        kept = {one.digest: str(one.deployment) for one in record.artifacts}
        baselines = {fact.id for fact in record.facts if fact.subject == record.subject}
        timed = {fact.subject for fact in record.facts if fact.baseline in baselines}
        found: dict[tuple[str, str], Program] = {}
        for fact in record.facts:
            deployment, subject = fact.deployment or EAGER, fact.subject
            if subject in kept:
                deployment = kept[subject]
            if subject == record.subject or subject in kept or subject in timed:
                is_kept = subject == record.subject or subject in kept
                found.pop((deployment, subject), None)  # so that the newest come last
                found[deployment, subject] = Program(deployment, subject, is_kept)
        return found

    @cached_property
    def all(self) -> Sequence[Fact]:
        """The newest fact of each kind of thing that was measured, where the first one stood."""
        subjects = {subject for _, subject in self.programs}
        newest: dict[str, Fact] = {}
        for fact in self.record.facts:
            if fact.subject in subjects:
                newest[_key(fact)] = fact
        return list(newest.values())

    def of(self, **fields: Any) -> Iterator[Fact]:
        """Return the facts whose fields have the given values."""
        for fact in self.all:
            if all(getattr(fact, name) == value for name, value in fields.items()):
                yield fact

    def one(self, **fields: Any) -> Fact | None:
        """Return the newest of the facts whose fields have the given values; None where there is
        none."""
        return self.newest(self.of(**fields))

    def newest(self, facts: Iterable[Fact]) -> Fact | None:
        """Return the fact that was recorded last; None of none."""
        return max(facts, key=self._age, default=None)

    def _age(self, fact: Fact) -> int:
        return self._places[id(fact)]

    @cached_property
    def _places(self) -> Mapping[int, int]:
        return {id(fact): place for place, fact in enumerate(self.record.facts)}

    @property
    def metrics(self) -> list[Fact]:
        """Return the metrics of the weights, whatever they were run with."""
        return [
            fact
            for fact in self.of(kind="metric", subject=self.record.subject)
            if not fact.name.endswith("_drop") and fact.baseline is None
        ]

    @property
    def results(self) -> list[Fact]:
        """Metrics of the weights as they lie there (eager, fp32), of the test split."""
        return [fact for fact in self.metrics if is_result(fact)]

    @property
    def main(self) -> Fact | None:
        """The main metric on the test split: of the data that was trained on, else of other."""
        found = [fact for fact in self.results if fact.name == self.record.task.primary.name]
        trained_on = self.record.manifest["data"]["fingerprint"]
        same = [one for one in found if (one.dataset or {}).get("fingerprint") == trained_on]
        return self.newest(same or found)

    def size(self, name: str) -> Fact | None:
        """A size of the weights: "parameters", "weights_size", "parameters_left"."""
        return self.one(kind="size", name=name, subject=self.record.subject)

    def about(self, program: Program, kind: str, name: str, **fields: Any) -> Fact | None:
        """The newest fact of a kind and name about a program."""
        whose = {"subject": program.subject, "deployment": program.deployment}
        return self.one(kind=kind, name=name, **whose, **fields)

    def drop(self, program: Program, split: str) -> Fact | None:
        """Return how much of the task's main metric a program loses on a split; None where it was
        not measured."""
        return self.about(program, "metric", f"{self.record.task.primary.name}_drop", split=split)

    def settings(self) -> list[TimingSetting]:
        """Return the settings in which latency was measured, those with the most programs first."""
        found: dict[TimingSetting, set[str]] = {}
        for fact in self.of(kind="latency", name="latency"):
            found.setdefault(TimingSetting.of(fact), set()).add(fact.subject)
        return sorted(found, key=lambda one: (-len(found[one]), one.title))

    def timed(self, setting: TimingSetting) -> list[tuple[Program, Mapping[str, Fact]]]:
        """Return what was measured of each program in a setting, by name; eager first, then the
        fastest.

        Of several of one deployment that were not kept, the newest; none where one was kept.
        """
        rows: dict[str, tuple[Program, dict[str, Fact]]] = {}
        by_program: dict[tuple[str, str], dict[str, Fact]] = {}
        for fact in self.all:
            if fact.kind in TIMED and TimingSetting.of(fact) == setting:
                key = fact.deployment or EAGER, fact.subject
                by_program.setdefault(key, {})[fact.name] = fact
        timed = {key: facts for key, facts in by_program.items() if "latency" in facts}
        for key, facts in sorted(timed.items(), key=lambda one: self._age(one[1]["latency"])):
            program = self.programs.get(key)
            if program is None:
                continue
            before = rows.get(program.deployment)
            if before is None or program.is_kept or not before[0].is_kept:
                rows[program.deployment] = program, facts
        return sorted(rows.values(), key=lambda row: _order(row[0], row[1]["latency"]))


def is_result(fact: Fact) -> bool:
    """Return whether a fact is a result of the weights themselves: a metric in fp32 on the test
    split."""
    return (
        fact.kind == "metric"
        and fact.split == "test"
        and fact.deployment in (None, EAGER)
        and fact.status == "ok"
        and fact.value is not None
        and fact.baseline is None
        and not fact.name.endswith("_drop")
    )


def _order(program: Program, latency: Fact) -> tuple[bool, float]:
    return program.deployment != EAGER, latency.value if latency.value is not None else 1e9


def _key(fact: Fact) -> str:
    timed = fact.kind in TIMED
    return as_json(
        [
            fact.kind,
            fact.name,
            fact.split,
            fact.label,
            fact.deployment,
            fact.subject,
            (fact.dataset or {}).get("fingerprint"),
            [fact.device, fact.threads, fact.workload, fact.machine] if timed else None,
            (fact.workload or {}).get("features"),  # distances of each classifier's are others
        ]
    )
