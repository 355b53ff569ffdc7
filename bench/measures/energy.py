"""Joules of a call: what the processor's or the GPU's own counter grows by, over many calls.

All that the machine does meanwhile is in it, idle power too. Intel's and AMD's counters (RAPL) are
readable by root only on most systems.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.cases import child
from bench.cases.job import MeasureJob
from bench.record.results import MeasureResult, Value

POWERCAP = Path("/sys/class/powercap")
SHARE = 0.2  # of the budget
LEAST_S = 2.0  # counters grow every millisecond to some hundred
WARM_UP = 5

Counter = Callable[[], float]
"""Joules since some moment."""


class NoCounter(Exception):
    """Why there is none."""


def measure(job: MeasureJob) -> MeasureResult:
    """Status not_measured where there is no counter that can be read."""
    try:
        counter_of(job.case.device)
    except NoCounter as reason:
        return MeasureResult(status="not_measured", reason=str(reason))
    seconds = max(LEAST_S, SHARE * job.settings.budget_s)
    timeout = job.settings.timeout_s
    told = child.ask("bench.measures.energy:run", job.arm, timeout, seconds=seconds)
    each = told["joules"] / told["calls"]
    values = {
        "call": Value(each, "J", told["calls"]),
        "sample": Value(each / job.work["samples"], "J", told["calls"]),
        "power": Value(told["joules"] / told["seconds"], "W"),
    }
    return MeasureResult(values, samples=told)


def run(target: str, kwargs: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """In a process of its own: calls for some seconds, and what they took."""
    _, call, wait = child.load(target, kwargs)
    counter = counter_of(str(kwargs.get("device", "cpu")))
    for _ in range(WARM_UP):
        call()
    wait()
    calls, joules, begin = 0, counter(), time.perf_counter()
    while time.perf_counter() - begin < seconds:
        call()
        calls += 1
    wait()
    taken = time.perf_counter() - begin
    return {"calls": calls, "seconds": taken, "joules": counter() - joules}


def counter_of(device: str) -> Counter:
    """The counter of a device. Raises `NoCounter`."""
    return _gpu(device) if device.startswith("cuda") else packages(POWERCAP)


def packages(root: Path) -> Counter:
    """The sum over all processors of the machine, from RAPL. Raises `NoCounter`."""
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
        import pynvml

        pynvml.nvmlInit()
        index = int(device.partition(":")[2] or 0)
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except ImportError:
        raise NoCounter("nvidia-ml-py is not installed: pip install nvidia-ml-py") from None
    except Exception as error:  # NVMLError, which is not there where the import failed
        raise NoCounter(f"NVML tells no energy: {error}") from None

    def joules() -> float:
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3

    return joules
