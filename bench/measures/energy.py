"""Joules of a call: what the processor's or the GPU's own counter grows by, over many calls.

All that the machine does meanwhile is in it. What it takes while the model is loaded and nothing
runs is measured before, and told apart: a call's own share is what lies above. Intel's and AMD's
counters (RAPL) are readable by root only on most systems; a GPU's is NVML's.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.cases import child
from bench.cases.job import MeasureJob
from bench.record.results import MeasureResult, Value
from zoo.machine import nvml

POWERCAP = Path("/sys/class/powercap")
SHARE = 0.2  # of the budget
LEAST_S = 2.0  # counters grow every millisecond to some hundred
REST_S, IDLE_S = 0.5, 1.5  # until a device that was loaded is at rest; that its power is taken of
WARM_UP = 5

Counter = Callable[[], float]
"""Joules since some moment."""


class NoCounter(Exception):
    """No energy counter is available; the message says why."""


def measure(job: MeasureJob) -> MeasureResult:
    """Return the energy of a case; status not_measured if no energy counter can be read."""
    try:
        counter_of(job.case.device)
    except NoCounter as reason:
        return MeasureResult(status="not_measured", reason=str(reason))
    seconds = max(LEAST_S, SHARE * job.settings.budget_s)
    told = job.ask("bench.measures.energy:run", seconds=seconds)
    return MeasureResult(values_of(told, job.work["samples"]), samples=told)


def values_of(told: Mapping[str, float], samples: float) -> dict[str, Value]:
    """Return the values computed from what `run` returned, for `samples` samples per call."""
    calls, seconds = int(told["calls"]), told["seconds"]
    each = told["joules"] / calls
    idle = told["idle_joules"] / told["idle_seconds"]
    above = max(0.0, each - idle * seconds / calls)
    return {
        "call": Value(each, "J", calls),
        "sample": Value(each / samples, "J", calls),
        "power": Value(told["joules"] / seconds, "W"),
        "idle_power": Value(idle, "W"),
        "call_above_idle": Value(above, "J", calls),
        "sample_above_idle": Value(above / samples, "J", calls),
    }


def run(target: str, kwargs: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """In a process of its own: return the energy used at rest with the model loaded, and then that
    of calls for some seconds."""
    _, call, wait = child.load(target, kwargs)
    counter = counter_of(str(kwargs.get("device", "cpu")))
    idle = at_rest(counter)
    for _ in range(WARM_UP):
        call()
    wait()
    calls, joules, begin = 0, counter(), time.perf_counter()
    while time.perf_counter() - begin < seconds:
        call()
        calls += 1
    wait()
    taken = time.perf_counter() - begin
    return {"calls": calls, "seconds": taken, "joules": counter() - joules, **idle}


def at_rest(
    counter: Counter,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Return the length in seconds of an idle interval, and the joules used in it."""
    sleep(REST_S)
    joules, began = counter(), clock()
    sleep(IDLE_S)
    taken = counter() - joules  # read before the clock, as it was at the beginning
    return {"idle_joules": taken, "idle_seconds": clock() - began}


def counter_of(device: str) -> Counter:
    """Return the energy counter of a device. Raises `NoCounter`."""
    return _gpu(device) if device.startswith("cuda") else packages(POWERCAP)


def packages(root: Path) -> Counter:
    """Return a counter of the sum over all processors, from RAPL. Raises `NoCounter`."""
    zones = [
        zone
        for zone in sorted(root.glob("*-rapl:*"))
        if zone.name.count(":") == 1  # a whole processor; what has two is a part of one
    ]
    if not zones:
        raise NoCounter("this machine shows no energy counter (RAPL)")
    try:
        ranges = [int((zone / "max_energy_range_uj").read_text()) for zone in zones]
        last = [int((zone / "energy_uj").read_text()) for zone in zones]
    except PermissionError:
        raise NoCounter(f"only root may read {zones[0] / 'energy_uj'}") from None
    except (OSError, ValueError) as error:
        raise NoCounter(f"{zones[0] / 'energy_uj'} can't be read: {error}") from None
    total = 0

    def joules() -> float:
        nonlocal total
        for i, zone in enumerate(zones):
            now = int((zone / "energy_uj").read_text())
            total += (now - last[i]) % (ranges[i] + 1)  # it begins anew now and then
            last[i] = now
        return total / 1e6

    return joules


def _gpu(device: str) -> Counter:
    try:
        gpu = nvml.open_gpu(device)
        gpu.energy()
    except nvml.NvmlError as error:
        raise NoCounter(f"NVML tells no energy: {error}") from None
    return gpu.energy
