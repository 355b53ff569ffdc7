"""Seconds of a call on the host and on the device, apart: which of the two the other waits for.

The host's end when the call comes back, the device's are between two CUDA events around it. A call
whose host time is the longer is bound by what launches its kernels.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bench.cases import child
from bench.cases.job import MeasureJob
from bench.measures import lists
from bench.record.results import MeasureResult

WARM_UP = 10
LEAST = 20  # calls
SHARE = 0.1  # of the budget


class Event(Protocol):
    """A moment of a device, as `torch.cuda.Event`."""

    def record(self) -> None: ...
    def synchronize(self) -> None: ...
    def elapsed_time(self, end: Any) -> float: ...


def measure(job: MeasureJob) -> MeasureResult:
    """Medians of both; n counts calls of one process."""
    return lists.told_by("bench.measures.device_time:run", job, SHARE)


def run(target: str, kwargs: Mapping[str, Any], seconds: float) -> dict[str, list[float]]:
    """In a process of its own."""
    import torch

    _, call, _ = child.load(target, kwargs)
    for _ in range(WARM_UP):
        call()
    torch.cuda.synchronize()
    return time_calls(call, lambda: torch.cuda.Event(enable_timing=True), seconds)


def time_calls(
    call: Callable[[], Any], event: Callable[[], Event], seconds: float
) -> dict[str, list[float]]:
    """Seconds on "host" and "device" of each call, one after the other has ended."""
    taken: dict[str, list[float]] = {"host": [], "device": []}
    until = time.perf_counter() + seconds
    while len(taken["host"]) < LEAST or time.perf_counter() < until:
        begin, end = event(), event()
        begin.record()
        came = time.perf_counter()
        call()
        taken["host"].append(round(time.perf_counter() - came, 9))
        end.record()
        end.synchronize()
        taken["device"].append(round(1e-3 * begin.elapsed_time(end), 9))
    return taken
