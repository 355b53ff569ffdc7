"""What becomes of the candidate that was chosen: it is confirmed on samples that chose nothing, and
its times are recorded."""

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError, spelled
from zoo.deploy.export import ContractNotMet, EvalSplit, ExportSource
from zoo.evaluation.paired_test import MetricDrop, drop
from zoo.machine import terminal
from zoo.measure.workload import Workload
from zoo.runtimes.deployment import Deployment
from zoo.store import evidence

if TYPE_CHECKING:
    from zoo.measure import Estimate
    from zoo.runtimes.runner import Runner


def confirm(
    original: ExportSource, runner: "Runner", data: str | None, limit: int | None, max_drop: float
) -> tuple[EvalSplit, MetricDrop] | None:
    """Return what the chosen deployment loses on the test split; None, after a line that says so,
    where there is no such split.

    Raises `ContractNotMet` where it surely loses too much there.
    """
    try:
        test = original.samples("test", data, limit)
    except UserError as error:
        terminal.lines(spelled(f"not confirmed on a test split: {error}"))
        return None
    metric = original.task.primary
    source, ours = original.measured(test.features), original.measured(test.features, runner)
    lost = drop(source.accumulator, ours.accumulator, metric)
    terminal.lines(
        f"on the test split {metric.name} is {ours.value(metric.name):.4f}, in fp32 "
        f"{source.value(metric.name):.4f}: lost {lost}, n = {lost.n:,}"
    )
    if lost.value > max_drop and not lost.low <= max_drop:
        raise ContractNotMet(
            f"{runner.deployment} keeps to the contract on the validation split, and loses {lost} "
            "on the test split; nothing was put in place"
        )
    return test, lost


def measured_where(device: str, threads: int, workload: Workload) -> dict[str, Any]:
    """Return what the facts of one timing share."""
    run = uuid.uuid4().hex
    return {"run": run, "device": device, "threads": threads, "workload": dict(workload.sizes)}


def speed_fact(
    name: str,
    estimate: "Estimate",
    subject: str,
    deployment: Deployment,
    common: Mapping[str, Any],
    baseline: evidence.Fact | None = None,
) -> evidence.Fact:
    """Seconds of a call, or, with a baseline's fact, how many times as fast as that it is.

    Args:
        subject: digest of what was timed.
        common: see `measured_where`.
    """
    return evidence.fact(
        "latency",
        name,
        unit="1" if baseline else "s",
        baseline=baseline.id if baseline else None,
        subject=subject,
        deployment=str(deployment),
        **estimate.as_json(),
        **common,
    )
