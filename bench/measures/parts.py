"""A training step in its parts: forward, backward, optimizer, each waited for."""

import time
from collections.abc import Mapping
from typing import Any

from bench.cases import child
from bench.cases.job import MeasureJob
from bench.cases.targets import replays
from bench.measures import lists
from bench.record.results import MeasureResult
from zoo.runtimes.deployment import Deployment

PARTS = ("forward", "backward", "optimizer")
WARM_UP = 5
LEAST = 10
SHARE = 0.2  # of the budget


def measure(job: MeasureJob) -> MeasureResult:
    """Return the median of each part of a training step; n counts steps of one process. A replayed
    step has no parts."""
    if replays(Deployment.parse(job.case.deployment), job.case.device):
        reason = "a replayed step is one, without parts"
        return MeasureResult(status="not_measured", reason=reason)
    return lists.told_by("bench.measures.parts:run", job, SHARE)


def run(target: str, kwargs: Mapping[str, Any], seconds: float) -> dict[str, list[float]]:
    """In a process of its own: return the seconds of each part of each step."""
    step, call, wait = child.load(target, kwargs)
    for _ in range(WARM_UP):
        call()
    wait()
    taken: dict[str, list[float]] = {part: [] for part in PARTS}
    until = time.perf_counter() + seconds
    while len(taken["forward"]) < LEAST or time.perf_counter() < until:
        begin = time.perf_counter()
        loss = step.forward()
        wait()
        forward = time.perf_counter()
        step.backward(loss)
        wait()
        backward = time.perf_counter()
        step.optimize()
        wait()
        moments = (begin, forward, backward, time.perf_counter())
        for i, part in enumerate(PARTS):
            taken[part].append(round(moments[i + 1] - moments[i], 9))
    return taken
