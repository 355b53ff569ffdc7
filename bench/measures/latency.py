"""Seconds of a call: the median with its interval, and the percentiles that the samples carry."""

from typing import Any

from bench.cases.job import Launcher, MeasureJob
from bench.record.results import MeasureResult, Value
from zoo.measure import ArmFailed, ArmTimes, Plan, Recording
from zoo.measure import measure as measure_arms
from zoo.measure.process import WorkerFailed

SHARE = 0.6  # of the budget


def measure(job: MeasureJob) -> MeasureResult:
    """Measure the latency of a case in several processes, by `zoo.measure.measure`."""
    settings = job.settings
    plan = Plan(
        launches=settings.launches,
        budget_s=SHARE * settings.budget_s,
        timeout_s=settings.timeout_s,
        deadline_s=settings.deadline.left() if settings.deadline.is_set else None,
    )
    outcome = measure_arms([job.arm], plan, start=job.launch)
    found = outcome.times(job.arm.name)
    if isinstance(found, ArmFailed):
        raise WorkerFailed(found)
    values = {"median": Value.of(found.median, "s")}
    values |= {name: Value.of(each, "s") for name, each in found.percentiles.items()}
    values["first_call"] = Value(found.first_call, "s", found.launches)
    began = launcher(outcome.recording)
    if began == "fresh":  # a fork has not imported the libraries itself
        values["load"] = Value(found.load_seconds, "s", found.launches)
    return MeasureResult(
        values,
        reason="; ".join(notes(found)),
        violations=found.violations,
        samples={"launcher": began, "recording": raw(outcome.recording)},
    )


def launcher(recording: Recording) -> Launcher:
    """Return how the processes of a recording began: "preloaded" if any was a fork, else
    "fresh"."""
    forked = any(launch.loaded.preloaded for launch in recording.launches)
    return "preloaded" if forked else "fresh"


def notes(times: ArmTimes) -> list[str]:
    """Return remarks on an arm's times."""
    said = []
    if not times.stationary:
        said.append("a process was not warm when the time for that was up")
    if times.disturbed:
        said.append(f"others disturbed {times.disturbed} of {times.blocks} blocks")
    if times.restless:
        said.append("its threads computed while they should have slept")
    return said


def raw(recording: Recording) -> dict[str, Any]:
    """Return a recording as JSON-ready data, seconds rounded to the clock's nanoseconds."""
    content = recording.as_json()
    for block in content["blocks"]:
        block["ran"]["seconds"] = [round(taken, 9) for taken in block["ran"]["seconds"]]
    for arm in content["arms"]:
        arm["kwargs"] = {}  # folders of this machine; the case says what was measured
    return content
