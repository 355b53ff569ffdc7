"""A sweep: every case, every measure, one after the other; what the file has is not done again."""

import importlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bench.cases import models
from bench.cases.case import Case, source_digest
from bench.cases.job import Settings
from bench.cases.prepare import Preparation
from bench.measures import FIRST, MEASURES
from bench.record import store
from bench.record.results import MeasureResult, Result
from zoo.machine import environment
from zoo.measure.process import WorkerFailed
from zoo.store import evidence

NOTHING_HANDLED: Mapping[str, float] = {}

Perform = Callable[[Case, str], tuple[MeasureResult, Mapping[str, float]]]
"""What a measure finds of a case, and the work of a call."""


class SweepWatcher(Protocol):
    """Who is told how far a sweep has come."""

    def begin(self, total: int) -> None: ...
    def step(self, case: Case, measure: str) -> None: ...
    def done(self, result: Result | None, steps: int) -> None: ...


@dataclass(frozen=True)
class SweepStep:
    """A measure of a case, with the case's key and subject."""

    case: Case
    measure: str
    key: str
    subject: str


def sweep(
    cases: Sequence[Case],
    measures: Sequence[str],
    path: Path,
    perform: Perform,
    watcher: SweepWatcher,
) -> list[Result]:
    """The results of all cases, those that lay in the file already included, in the cases' order.

    Args:
        measures: names in `bench.measures.MEASURES`; parity is taken in any case.
        path: of the results; each is added as soon as it is there.

    Raises `UserError` for a file that can't be read, OSError for one that can't be written.
    """
    found = {(each.key, each.measure): each for each in store.read(path)}
    steps = plan(cases, measures)
    left = [step for step in steps if not _is_done(step, found)]
    watcher.begin(len(left))
    for step in left:
        if _is_done(step, found):  # parity has failed since
            watcher.done(None, 1)
            continue
        watcher.step(step.case, step.measure)
        result = _take(step, perform)
        store.append(path, result)
        found[result.key, result.measure] = result
        watcher.done(result, 1)
    wanted = dict.fromkeys((step.key, step.measure) for step in steps)
    return [found[each] for each in wanted if each in found]


def plan(cases: Sequence[Case], measures: Sequence[str]) -> list[SweepStep]:
    """All steps. Parity comes first of each case."""
    described: dict[str, dict[str, Any]] = {}
    subjects: dict[tuple[str, str], str] = {}
    steps = []
    for case in dict.fromkeys(cases):
        kind = case.device.partition(":")[0]
        if kind not in described:
            machine = environment.machine(gpu=kind == "cuda")
            described[kind] = {"machine": machine, "versions": environment.versions()}
        named = (case.model, case.deployment)
        if named not in subjects:
            subjects[named] = models.subject(*named)
        key = case.key(subjects[named], described[kind])
        chosen = dict.fromkeys((FIRST, *measures))
        steps += [
            SweepStep(case, name, key, subjects[named])
            for name in chosen
            if MEASURES[name].fits(case)
        ]
    return steps


def _is_done(step: SweepStep, found: Mapping[tuple[str, str], Result]) -> bool:
    """Whether it is there, or never will be: correct or no number."""
    parity = found.get((step.key, FIRST))
    refused = parity is not None and parity.found.status != "ok"
    return refused or (step.key, step.measure) in found


def _take(step: SweepStep, perform: Perform) -> Result:
    begin = time.monotonic()
    try:
        found, work = perform(step.case, step.measure)
    except WorkerFailed as error:
        found, work = (
            MeasureResult(status=error.failed.status, reason=error.failed.reason),
            NOTHING_HANDLED,
        )
    origin = {
        "subject": step.subject,
        "source": source_digest(),
        **evidence.origin(gpu=step.case.device.startswith("cuda")),
    }
    taken = round(time.monotonic() - begin, 3)
    return Result(step.key, step.case, step.measure, found, taken, work, origin)


class Performer:
    """Measures for real; use it in a `with`: inputs lie in a folder that goes away."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __enter__(self) -> "Performer":
        self._folder = tempfile.TemporaryDirectory(prefix="zoo-bench-")
        self._preparation = Preparation(Path(self._folder.name), self.settings.timeout_s)
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def __call__(self, case: Case, measure: str) -> tuple[MeasureResult, Mapping[str, float]]:
        """Raises `WorkerFailed`."""
        prepared = self._preparation.of(case)
        job = prepared.job(case, self.settings)
        module = importlib.import_module(MEASURES[measure].module)
        found: MeasureResult = module.measure(job)
        return found, prepared.work
