"""`torch.utils.benchmark.Timer` beside the stopwatch, on the same call in the same process."""

import statistics
from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any

from zoo.measure.worker import time_samples

BLOCKS = 15
CALLS = 10  # of a block


def run(target: str, kwargs: Mapping[str, Any]) -> float:
    """In a process of its own: our median over Timer's, from blocks that take turns."""
    from torch.utils.benchmark import Timer

    call = resolve_name(target)(**kwargs)
    timer = Timer("call()", globals={"call": call})
    timer.timeit(CALLS)
    ours, theirs = [], []
    for block in range(2 * BLOCKS):
        if block % 2:
            ours.append(statistics.median(time_samples(call, None, CALLS)) / 1e9)
        else:
            theirs.append(timer.timeit(CALLS).median)
    return statistics.median(ours) / statistics.median(theirs)
