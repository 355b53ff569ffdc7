"""A stopwatch that is not ours beside ours, on the same call in the same process: on the processor
`torch.utils.benchmark.Timer`, on a GPU `triton.testing.do_bench`."""

import statistics
from collections.abc import Callable, Mapping
from typing import Any

from bench.cases import child
from bench.measures.device_time import do_bench
from zoo.measure.worker import time_samples

BLOCKS = 15
CALLS = 10  # of a block


def run(target: str, kwargs: Mapping[str, Any], device: str = "cpu") -> float:
    """In a process of its own: our median over the other's, from blocks that take turns.

    Raises `bench.measures.device_time.NoOtherStopwatch` where that is not installed.
    """
    _, call, wait = child.load(target, kwargs)
    other = do_bench(call) if device.startswith("cuda") else timer(call)
    return ratio(call, wait if device.startswith("cuda") else None, other)


def ratio(
    call: Callable[[], Any], wait: Callable[[], Any] | None, other: Callable[[], float]
) -> float:
    """Our median seconds of a call over those that another stopwatch tells."""
    other()
    ours, theirs = [], []
    for block in range(2 * BLOCKS):
        if block % 2:
            ours.append(statistics.median(time_samples(call, wait, CALLS)) / 1e9)
        else:
            theirs.append(other())
    return statistics.median(ours) / statistics.median(theirs)


def timer(call: Callable[[], Any]) -> Callable[[], float]:
    """Return what asks `torch.utils.benchmark.Timer` for the median seconds of a call."""
    from torch.utils.benchmark import Timer

    made = Timer("call()", globals={"call": call})
    return lambda: float(made.timeit(CALLS).median)
