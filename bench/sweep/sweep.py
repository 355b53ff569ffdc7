"""A sweep: every case, every measure, one after the other; what the file has is not done again.

With a deadline the most valuable comes first, and what does not fit into the time is left out: it
is a line of the file, by which the same command goes on later.
"""

import dataclasses
import importlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bench.cases import child, models
from bench.cases.case import Case, source_digest
from bench.cases.child import Shared, Start
from bench.cases.job import MeasureJob, Settings
from bench.cases.prepare import Preparation, Prepared
from bench.measures import COMPILED, FIRST, MEASURES
from bench.record import store
from bench.record.results import MeasureResult, Result, Status
from zoo.machine import environment
from zoo.measure.deadline import Deadline
from zoo.measure.preloaded import Preloader
from zoo.measure.process import Worker, WorkerFailed
from zoo.measure.workload import TrainStep
from zoo.runtimes.deployment import Deployment
from zoo.store import evidence

NOTHING_HANDLED: Mapping[str, float] = {}
LEFT_OUT: Status = "left_out"

SHARING = (FIRST, "parts", "generation", "device_time", "throughput", "graph", "energy")
"""Measures that do not disturb each other: they share a process of the case."""
LATE = ("device_time",)
"""The last of those: a profiler that was on once stays in its process."""
ALONE = ("memory", "cold_start")
"""Measures that no other process of the case may stand beside: it would share its pages, or keep
its files open. They come last of a case."""

Perform = Callable[[Case, str], tuple[MeasureResult, Mapping[str, float]]]
"""What a measure finds of a case, and the work of a call."""


class SweepWatcher(Protocol):
    """The interface of an observer that is told the progress of a sweep."""

    def begin(self, total: int) -> None: ...
    def step(self, case: Case, measure: str) -> None: ...
    def done(self, result: Result | None, steps: int) -> None: ...


@dataclass(frozen=True)
class SweepStep:
    """One measure of one case, with the case's key and subject."""

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
    deadline: Deadline | None = None,
    is_outdated: Callable[[Result], bool] = lambda _: False,
) -> list[Result]:
    """Return the results of all cases in their order, including those already in the file.

    Args:
        measures: names in `bench.measures.MEASURES`; parity is always measured.
        path: the file of results; each is added as soon as it is measured.
        deadline: the time limit. What is left out by then is one result of status "left_out" per
            case, whose reason names the measures.
        is_outdated: whether a result of the file is to be measured again.

    Raises `UserError` for a file that can't be read, OSError for one that can't be written.
    """
    deadline = deadline or Deadline()
    kept = [each for each in store.read(path) if not is_outdated(each)]
    found = {(each.key, each.measure): each for each in kept}
    steps = plan(cases, measures)
    left = [step for step in steps if not _is_done(step, found)]
    left_out: list[SweepStep] = []
    cost = _Cost()
    watcher.begin(len(left))
    for number, step in enumerate(left):
        if _is_done(step, found):  # parity has failed since
            watcher.done(None, 1)
            continue
        deadline.cases = len({each.key for each in left[number:]})
        unproven = step.measure != FIRST and (step.key, FIRST) not in found
        if unproven or cost.of(step) >= deadline.left():
            left_out.append(step)
            watcher.done(None, 1)
            continue
        watcher.step(step.case, step.measure)
        result = _take(step, perform, deadline.clock)
        cost.add(step, result)
        if not deadline.left() and result.found.status in ("error", "oom"):
            left_out.append(step)  # it was ended, as the time was
            watcher.done(None, 1)
            continue
        store.append(path, result)
        found[result.key, result.measure] = result
        watcher.done(result, 1)
    for result in _all_left_out(left_out, deadline):
        if (result.key, result.measure) not in found:  # it was before
            store.append(path, result)
        found[result.key, result.measure] = result
    wanted = dict.fromkeys((step.key, step.measure) for step in steps)
    return [found[each] for each in wanted if each in found]


class _Cost:
    """Estimates the seconds of a step: what the same measure last took for the same model, else for
    any model, else 0."""

    def __init__(self) -> None:
        self._of_measure: dict[str, float] = {}
        self._of_model: dict[tuple[str, str, str], float] = {}

    def of(self, step: SweepStep) -> float:
        """Return the estimated seconds of a step."""
        usual = self._of_measure.get(step.measure, 0.0)
        return self._of_model.get(self._name(step), usual)

    def add(self, step: SweepStep, result: Result) -> None:
        """Record the seconds that a finished step took."""
        self._of_measure[step.measure] = self._of_model[self._name(step)] = result.seconds

    @staticmethod
    def _name(step: SweepStep) -> tuple[str, str, str]:
        return step.measure, step.case.model, step.case.workload.phase


def plan(cases: Sequence[Case], measures: Sequence[str]) -> list[SweepStep]:
    """Return all steps. Each case begins with parity and ends with the measures during which no
    other process may run."""
    described: dict[str, dict[str, Any]] = {}
    subjects: dict[tuple[str, str], str] = {}
    steps = []
    chosen = sorted(dict.fromkeys((FIRST, *measures)), key=_place)
    for case in dict.fromkeys(cases):
        kind = case.device.partition(":")[0]
        if kind not in described:
            machine = environment.machine(gpu=kind == "cuda")
            described[kind] = {"machine": machine, "versions": environment.versions()}
        named = (case.model, case.deployment)
        if named not in subjects:
            subjects[named] = models.subject(*named)
        key = case.key(subjects[named], described[kind])
        steps += [
            SweepStep(case, name, key, subjects[named])
            for name in chosen
            if MEASURES[name].fits(case)
        ]
    return steps


def _place(measure: str) -> int:
    """Return the sort key of a measure within a case; equal keys keep their given order."""
    return 2 if measure in ALONE else int(measure in LATE)


def _is_done(step: SweepStep, found: Mapping[tuple[str, str], Result]) -> bool:
    """Return whether a step has its result, or cannot have one because parity failed."""

    def status(measure: str) -> str | None:
        return found[step.key, measure].found.status if (step.key, measure) in found else None

    refused = status(FIRST) not in (None, "ok", LEFT_OUT)
    return refused or status(step.measure) not in (None, LEFT_OUT)


def _take(step: SweepStep, perform: Perform, clock: Callable[[], float]) -> Result:
    begin = clock()
    try:
        found, work = perform(step.case, step.measure)
    except WorkerFailed as error:
        found, work = (
            MeasureResult(status=error.failed.status, reason=error.failed.reason),
            NOTHING_HANDLED,
        )
    return _result(step, found, round(clock() - begin, 3), work)


def _all_left_out(steps: Sequence[SweepStep], deadline: Deadline) -> list[Result]:
    """Return a result of status "left_out" for each case of the steps."""
    by_case: dict[str, list[SweepStep]] = {}
    for step in steps:
        by_case.setdefault(step.key, []).append(step)
    results = []
    for mine in by_case.values():
        names = ", ".join(step.measure for step in mine)
        found = MeasureResult(status=LEFT_OUT, reason=f"not within {deadline}: {names}")
        results.append(_result(mine[0], found, 0.0, NOTHING_HANDLED))
    return results


def _result(
    step: SweepStep, found: MeasureResult, seconds: float, work: Mapping[str, float]
) -> Result:
    origin = {
        "subject": step.subject,
        "source": source_digest(),
        **evidence.origin(gpu=step.case.device.startswith("cuda")),
    }
    return Result(step.key, step.case, step.measure, found, seconds, work, origin)


class Performer:
    """Runs the measures of a sweep; as a context manager it ends its processes and removes its
    folder of inputs."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._shared: tuple[Case, Shared] | None = None

    def __enter__(self) -> "Performer":
        deadline = self.settings.deadline
        self._folder = tempfile.TemporaryDirectory(prefix="zoo-bench-")
        self._preloader: Preloader = child.preloader(deadline.left)
        self._start: Start = deadline.bound(self._preloader)
        self._fresh: Start = deadline.bound(Worker)
        timeout = self.settings.timeout_s
        self._preparation = Preparation(Path(self._folder.name), timeout, self._start)
        self._counted: dict[str, Any] = {}
        return self

    def expect(self, cases: Sequence[Case]) -> None:
        """Announce the cases to be measured, in their order, so that they can be prepared ahead."""
        self._preparation.upcoming = tuple(cases)

    def __exit__(self, *_: object) -> None:
        self._close_shared()
        self._preloader.close()
        self._folder.cleanup()

    def __call__(self, case: Case, measure: str) -> tuple[MeasureResult, Mapping[str, float]]:
        """Run one measure of a case; return its result and what a call handles. Raises
        `WorkerFailed`."""
        prepared = self._preparation.of(case)
        job = self._job(case, measure, prepared)
        module = importlib.import_module(MEASURES[measure].module)
        found: MeasureResult = module.measure(job)
        return found, prepared.work

    def _job(self, case: Case, measure: str, prepared: Prepared) -> MeasureJob:
        settings = self.settings.for_step()
        is_preloaded = settings.launcher == "preloaded"
        job = prepared.job(
            case,
            settings,
            start=self._start,
            launch=self._start if is_preloaded else self._fresh,
            counted=self._counted,
        )
        if self._shared is not None and (self._shared[0] != case or measure in ALONE):
            self._close_shared()
        if not shares(case, measure):
            return job
        if self._shared is None:
            self._shared = case, Shared(job.arm, self._start)
        return dataclasses.replace(job, shared=self._shared[1])

    def _close_shared(self) -> None:
        if self._shared is not None:
            self._shared[1].close()
            self._shared = None


def shares(case: Case, measure: str) -> bool:
    """Return whether a measure of a case may share a process with other measures.

    The outputs of a training step are compared in a pass without dropout, which a compiler turns
    into another program: other measures would count it, and wait for its guards.
    """
    compiles = Deployment.parse(case.deployment).runtime in COMPILED
    if measure == FIRST and compiles and isinstance(case.workload, TrainStep):
        return False
    return measure in SHARING
