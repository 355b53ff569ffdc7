"""What a process measures by itself: lists of seconds by name, of which the medians are told."""

import math
from collections.abc import Iterable

from bench.cases.job import MeasureJob
from bench.record.results import MeasureResult, Value
from zoo.measure.intervals import Estimate, estimate


def told_by(function: str, job: MeasureJob, share: float) -> MeasureResult:
    """Return medians of what `function(target, kwargs, seconds)` measures in a process of the case;
    n counts its samples.

    Args:
        share: the part of the job's time budget that it takes.
    """
    told = job.ask(function, seconds=share * job.settings.budget_s)
    return MeasureResult({name: median(taken, "s") for name, taken in told.items()}, samples=told)


def median(samples: Iterable[float], unit: str) -> Value:
    """Return the median of samples of one process, all above 0, with its interval."""
    return Value.of(estimated(samples), unit)


def estimated(samples: Iterable[float]) -> Estimate:
    """Return the median of samples of one process, all above 0, with its interval."""
    logarithms = [math.log(each) for each in samples]
    return estimate([logarithms], len(logarithms))
