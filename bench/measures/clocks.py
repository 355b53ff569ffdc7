"""Clocks of a GPU: it is given work until they are steady, before anything is timed.

An idle GPU runs at a fraction of its clock (345 of 1,980 MHz, say) and takes some tenths of a
second of work to reach it; under a heavy load it falls again to what the power limit allows.
NVIDIA's nvbench waits for the clock, too, and drops what was measured below a share of it.
"""

import time
from collections.abc import Callable
from typing import Any

from zoo.machine import nvml

LEAST_S, MOST_S = 0.3, 2.0
EVERY_S = 0.05  # between two looks; a driver takes 20 to 100 ms to tell another clock
LOOKS = 5
APART = 0.02  # relative: clocks move in steps of 15 MHz

Clock = Callable[[], int]
"""MHz of the multiprocessors now."""


def gpu_of(device: str) -> nvml.Gpu | None:
    """Return the GPU whose clocks NVML reads for a device; None on a processor or without NVML."""
    if not device.startswith("cuda"):
        return None
    try:
        gpu = nvml.open_gpu(device)
        gpu.clock()
    except nvml.NvmlError:
        return None
    return gpu


def warm(
    call: Callable[[], Any],
    wait: Callable[[], Any],
    clock: Clock | None,
    now: Callable[[], float] = time.perf_counter,
) -> list[int]:
    """Call until the clock is steady: for LEAST_S at least, for MOST_S at most.

    Args:
        wait: waits until the device is done; each call is waited for, as a queue of them would take
            minutes.
        clock: reads the clock in MHz; None: stop after LEAST_S.

    Returns the clock readings, in MHz.
    """
    began = look = now()
    seen: list[int] = []
    while True:
        call()
        if clock is not None and now() - look >= EVERY_S:
            seen.append(clock())  # while the device is at work
            look = now()
        wait()
        taken = now() - began
        enough = clock is None or is_steady(seen)
        if (taken >= LEAST_S and enough) or taken >= MOST_S:
            return seen


def is_steady(seen: list[int]) -> bool:
    """Return whether the last LOOKS readings in MHz are nearly equal."""
    last = seen[-LOOKS:]
    return len(last) == LOOKS and max(last) - min(last) <= APART * max(last)


def under_load(
    gpu: nvml.Gpu, call: Callable[[], Any], wait: Callable[[], Any]
) -> tuple[int, tuple[str, ...]]:
    """Return the clock in MHz and what holds it down, read while a call runs.

    Raises `zoo.machine.nvml.NvmlError`.
    """
    call()
    found = gpu.clock(), gpu.held_down_by()
    wait()
    return found
