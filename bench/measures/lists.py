"""What a process measures by itself: lists of seconds by name, of which the medians are told."""

import math

from bench.cases.job import Job
from bench.record.results import Found, Value
from zoo.measure.intervals import estimate


def told_by(function: str, job: Job, share: float) -> Found:
    """Calls `function(target, kwargs, seconds)` in a process of the case; n counts its samples.

    Args:
        share: of the job's budget, that it takes.
    """
    told = job.ask(function, seconds=share * job.settings.budget_s)
    values = {
        name: Value.of(estimate([[math.log(t) for t in taken]], len(taken)), "s")
        for name, taken in told.items()
    }
    return Found(values, samples=told)
