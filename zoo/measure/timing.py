"""How a block of calls is made: how many calls it holds, and when a process is warm enough for it.

A block lasts some tens of milliseconds at least, so that what surrounds it (the pipe, the counters,
waking up) is outside of the timed calls and small. A sample is one call, between two readings of
the clock, which together cost some 0.2 us: nothing is subtracted. Calls too short for that are
timed in groups, and the sample is their mean.
"""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from zoo.measure.process import Ran, Runs
from zoo.measure.stationary import WINDOW, is_stationary

MIN_SAMPLE_S = 1e-4  # the clock is less than 1% of it
LEAD_S = 0.01  # untimed calls before a block: the caches belonged to another process
MAX_LEAD_CALL_S = 0.5  # a call that is longer than this warms its caches by itself
MAX_SAMPLES = 1000


@dataclass(frozen=True)
class Size:
    """The size of a block of calls."""

    samples: int
    group: int
    """calls a sample"""
    lead: int
    """calls before, not timed"""


def size_of(call_s: float, block_s: float) -> Size:
    """Return the size of a block that lasts about `block_s` seconds, or one call if longer."""
    call_s = max(call_s, 1e-8)
    group = 1 if call_s >= MIN_SAMPLE_S else math.ceil(MIN_SAMPLE_S / call_s)
    samples = min(MAX_SAMPLES, max(1, math.ceil(block_s / (call_s * group))))
    lead = 0 if call_s > MAX_LEAD_CALL_S else math.ceil(LEAD_S / call_s)
    return Size(samples, group, lead)


@dataclass(frozen=True)
class Warmed:
    """What warming up a process took and how it ended."""

    first_call: float
    """seconds of the very first call, compiling included"""
    seconds: float
    """that warming up took"""
    blocks: int
    stationary: bool
    """False: the time was up before the times were stationary"""
    size: Size
    """of the blocks to come"""


def warm_up(
    worker: Runs, block_s: float, cap_s: float, clock: Callable[[], float] = time.monotonic
) -> Warmed:
    """Run blocks until their times are stationary (`is_stationary`) or `cap_s` seconds have passed.

    Blocks are half as long as the measured ones. Raises `WorkerFailed`.
    """
    began = clock()
    first = worker.run(1).seconds[0]
    size = Size(1, 1, 0)
    medians: list[float] = []
    while clock() - began < cap_s:
        ran = worker.run(size.samples, size.group)
        medians.append(statistics.median(ran.seconds))
        if _fits(ran, size, block_s / 2) and is_stationary(medians[-WINDOW:]):
            break
        size = size_of(medians[-1], block_s / 2)
    last = statistics.median(medians[-WINDOW:]) if medians else first
    return Warmed(
        first_call=first,
        seconds=clock() - began,
        blocks=len(medians),
        stationary=is_stationary(medians),
        size=size_of(last, block_s),
    )


def _fits(ran: Ran, size: Size, block_s: float) -> bool:
    """Return whether a block lasted about as long as it should; the first ones are too short."""
    return size.samples > 1 or sum(ran.seconds) * ran.group >= block_s / 2
