"""A contract for the metric: what its samples can show, and what becomes of the candidate that was
chosen under it: it is confirmed on samples that chose nothing, and its times are recorded."""

import contextlib
import math
import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError, spelled
from zoo.deploy.export import ContractNotMet, EvalSplit, ExportSource
from zoo.evaluation.paired_test import MetricDrop, drop, most_unseen, rows_to_show
from zoo.machine import terminal
from zoo.measure.workload import Workload
from zoo.runtimes.deployment import Deployment
from zoo.store import evidence

if TYPE_CHECKING:
    from tasks.metrics.spec import MetricSpec
    from zoo.measure import Estimate
    from zoo.runtimes.runner import Runner


def say_what_rows_show(metric: "MetricSpec", rows: int, max_drop: float) -> None:
    """Print a warning if so few samples can't show that a metric drops by no more than `max_drop`.

    Only of metrics that are the share of right answers: what others need depends on the answers.
    """
    is_share = metric.is_mean and metric.greater_is_better
    if not is_share or rows_to_show(max_drop) <= rows:
        return
    needed = rows_to_show(max_drop)
    more = f"needs about {needed:,} rows" if needed < math.inf else "no number of rows can"
    terminal.lines(
        f"warning: a drop of at most {max_drop:g} cannot be shown with {rows:,} rows: {more}. "
        f"Where not one answer differs, {metric.name} may still have dropped by "
        f"{most_unseen(rows):.2g} (95%); it goes on with what these rows say"
    )


@contextlib.contextmanager
def stop_after(stopped: bool, best: str | None, look: str = "") -> Iterator[None]:
    """Context manager of what is done with the chosen deployment; after a search that Ctrl-C
    stopped it says so, and raises KeyboardInterrupt at its end.

    Args:
        stopped: whether the search was.
        best: name of the chosen deployment; None if there is none.
        look: what is known where none could be chosen yet.
    """
    if not stopped:
        yield
        return
    so_far = f"{best}, which is confirmed now (Ctrl-C again ends at once)" if best else look
    terminal.lines(f"stopped; the best so far: {so_far or 'none that meets the contract'}")
    try:
        yield
    except ContractNotMet as refused:
        if best is not None:
            terminal.lines(str(refused))
    raise KeyboardInterrupt


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
    return {"run": run, "device": device, "threads": threads, "workload": workload.record()}


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
