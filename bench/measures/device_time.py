"""Seconds of a call on the host and on the device, apart, and the share of the time in which the
device waits.

The host's end when the call comes back, the device's are between two CUDA events around it. A call
whose host time is the longer is bound by what launches its kernels.

The device's kernels and copies are taken by torch.profiler (CUPTI), in calls of their own:
profiling makes the host slower and leaves a kernel as it is. What they take of the time of calls
without a pause, which are not profiled, is what the device is busy; for the rest it waits. The
clock is read while calls run.

A stopwatch that is not ours, `triton.testing.do_bench`, times the same calls where it is installed,
and stands beside the time of calls without a pause.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from bench.cases import child
from bench.cases.job import MeasureJob
from bench.measures import clocks
from bench.record.results import MeasureResult, Value
from zoo.machine import nvml
from zoo.measure.intervals import estimate

LEAST = 20  # calls
SHARE = 0.1  # of the budget
PROFILED_S, MOST_PROFILED = 0.3, 20  # seconds and number of calls without a pause
CLOCK_LOOKS = 5


DO_BENCH_MS = {"warmup": 25, "rep": 100}  # triton's own defaults


class NoOtherStopwatch(Exception):
    """No other stopwatch is available; the message says why."""


class Event(Protocol):
    """A moment in a device's queue, with the interface of `torch.cuda.Event`."""

    def record(self) -> None: ...
    def synchronize(self) -> None: ...
    def elapsed_time(self, end: Any) -> float: ...


def measure(job: MeasureJob) -> MeasureResult:
    """Return medians of host time and device time; n counts calls of one process."""
    settings = job.settings
    asked = {"seconds": SHARE * settings.budget_s}
    told = job.ask("bench.measures.device_time:run", **asked)
    return found(told)


def found(told: Mapping[str, Any]) -> MeasureResult:
    """Return the values and remarks computed from what `run` returned."""
    values = {
        name: Value.of(estimate([[math.log(t) for t in told[name]]], len(told[name])), "s")
        for name in ("host", "device")
    }
    reason = ""
    if told["do_bench"]:
        values["do_bench"] = Value(told["do_bench"], "s")
        # neither waits between calls: what launches a call is done while the one before computes
        ratio = told["without_pause"] / told["do_bench"]
        values["over_do_bench"] = Value(ratio, "1", told["profiled"])
    if told["busy"]:
        values["busy"] = Value(told["busy"], "s", told["profiled"])
        share = max(0.0, 1 - told["busy"] / told["without_pause"])
        values["waited"] = Value(share, "1", told["profiled"])
    else:
        reason = "torch.profiler saw no kernel of it"
    if told["clock"]:
        clock = max(told["clock"])
        values["sm_clock"] = Value(clock, "MHz", len(told["clock"]))
        if told["held_down"]:
            by = " and ".join(told["held_down"])
            reason = f"its clock was held down by {by}: {clock:,} of {told['highest']:,} MHz"
    return MeasureResult(values, reason=reason, samples=dict(told))


def run(target: str, kwargs: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """In a process of its own: return seconds on "host" and "device" of each call, and of the whole
    "call"; the median by "do_bench"; seconds of calls "without_pause", and of each the seconds that
    the device is "busy", the mean of as many calls as were "profiled"; "clock" in MHz under load,
    the "highest" clock, and what has "held_down" the clock."""
    import torch

    _, call, wait = child.load(target, kwargs)
    gpu = clocks.gpu_of(str(kwargs.get("device", "cuda")))
    call()
    clocks.warm(call, wait, gpu.clock if gpu else None)
    times: dict[str, Any] = time_calls(call, lambda: torch.cuda.Event(enable_timing=True), seconds)
    try:
        times["do_bench"] = do_bench(call)()
    except NoOtherStopwatch:
        times["do_bench"] = None
    count, taken = without_pause(call, wait)
    clock = look(gpu, call, wait) if gpu else {"clock": [], "highest": 0, "held_down": []}
    busy = profile(call, wait, count)
    return {**times, "without_pause": taken, "busy": busy, "profiled": count, **clock}


def time_calls(
    call: Callable[[], Any], event: Callable[[], Event], seconds: float
) -> dict[str, list[float]]:
    """Return seconds on "host" and "device" of each call, and of the whole "call" until the host
    knows that it has ended. Each call starts after the one before has ended."""
    taken: dict[str, list[float]] = {"host": [], "device": [], "call": []}
    until = time.perf_counter() + seconds
    while len(taken["host"]) < LEAST or time.perf_counter() < until:
        begin, end = event(), event()
        begin.record()
        came = time.perf_counter()
        call()
        taken["host"].append(round(time.perf_counter() - came, 9))
        end.record()
        end.synchronize()
        taken["call"].append(round(time.perf_counter() - came, 9))
        taken["device"].append(round(1e-3 * begin.elapsed_time(end), 9))
    return taken


def do_bench(call: Callable[[], Any]) -> Callable[[], float]:
    """Return a function that measures the median seconds of a call by `triton.testing.do_bench`.
    That times by CUDA events, and empties the L2 cache before each call: both matter for short
    calls only.

    Raises `NoOtherStopwatch` where triton is not installed.
    """
    try:
        from triton import testing
    except ImportError:
        raise NoOtherStopwatch("triton is not installed: it comes with PyTorch for CUDA") from None
    return lambda: 1e-3 * float(testing.do_bench(call, **DO_BENCH_MS, return_mode="median"))


def without_pause(
    call: Callable[[], Any],
    wait: Callable[[], Any],
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[int, float]:
    """Return the count of calls that take about PROFILED_S, and the seconds per call when only the
    last is waited for."""
    wait()
    began = clock()
    call()
    wait()
    once = max(clock() - began, 1e-9)
    count = max(1, min(MOST_PROFILED, math.ceil(PROFILED_S / once)))
    began = clock()
    for _ in range(count):
        call()
    wait()
    return count, (clock() - began) / count


def profile(call: Callable[[], Any], wait: Callable[[], Any], count: int) -> float:
    """Return the mean seconds per call that the device is busy, over `count` calls without a pause;
    0 if no kernel was seen."""
    import torch
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler_of

    # the host's operators are not asked for: there are many more of them
    kind = ProfilerActivity.CUDA if torch.cuda.is_available() else ProfilerActivity.CPU
    with profiler_of(activities=[kind]) as profiler:
        for _ in range(count):
            call()
        wait()
    return union(spans(profiler.events() or [])) / count


def spans(events: Iterable[Any]) -> list[tuple[float, float]]:
    """Return begin and end, in seconds, of the kernels and copies that ran on a GPU, without the
    ranges that torch.compile marks around them."""
    from torch._C._autograd import DeviceType

    return [
        (1e-6 * event.time_range.start, 1e-6 * event.time_range.end)
        for event in events
        if event.device_type == DeviceType.CUDA and not getattr(event, "is_user_annotation", False)
    ]


def union(times: Iterable[tuple[float, float]]) -> float:
    """Return the total time that spans cover; time covered by several of them counts once."""
    total, until = 0.0, -math.inf
    for begin, end in sorted(times):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def look(gpu: nvml.Gpu, call: Callable[[], Any], wait: Callable[[], Any]) -> dict[str, Any]:
    """Return the clock in MHz while calls run, the highest clock, and what held it down."""
    try:
        seen = [clocks.under_load(gpu, call, wait) for _ in range(CLOCK_LOOKS)]
        highest = gpu.highest_clock()
    except nvml.NvmlError:
        return {"clock": [], "highest": 0, "held_down": []}
    reasons = sorted({reason for _, each in seen for reason in each})
    return {"clock": [mhz for mhz, _ in seen], "highest": highest, "held_down": reasons}
