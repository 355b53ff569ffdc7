"""How many threads compute a training on the CPU.

PyTorch takes as many as there are cores. Where they get less than that (a container with a quota, a
busy machine), its threads wait for each other in every operation, and fewer are several times as
fast. The number also decides the order of sums, and so the last bits of every result:

- `threads` N is what is taken, and nothing is measured.
- A run that goes on keeps the number of the run that was begun, which every saved state has.
- Nothing is measured, and nothing set, on a GPU, with several processes, with one core, and where
  OMP_NUM_THREADS or MKL_NUM_THREADS is set.
- Else `granted_cores` is asked. Where the threads get what they should, nothing is set either: the
  run computes what it computed without this. Where they don't, a pass of the network is timed with
  both numbers, and the faster one is taken, told, and saved.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch

from zoo.machine.cores import granted_cores
from zoo.machine.memory import out_of_memory

if TYPE_CHECKING:
    from zoo.train.methods.base import Setup

LOOK_S = 0.4
"""Seconds of the look at the cores: four periods of a quota."""
TIMED_S, LONGEST_S = 0.8, 1.5
"""Seconds of timing passes, once there were so many turns, and in any case."""
LEAST_TURNS = 3
ENOUGH = 0.8
"""Share of the cores from which on all threads are kept: what is lost to others is less than what
another thread brings."""
MARGIN = 0.95
"""Share of the time that fewer threads have to stay below, or else the usual number is kept."""
VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """Context manager after which PyTorch has as many threads as before."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


def take_known(asked: int | None, begun: int | None) -> str | None:
    """Set the number of threads if it is known before anything is computed; return a line if it is
    another one than that of the run that was begun, or than is usual here.

    Args:
        asked: `threads`, or None.
        begun: that of the run that goes on; None for a new one, or one that did not save it.
    """
    usual, known = torch.get_num_threads(), asked or begun
    if known is None:
        return None
    if not asked and known > max(usual, _cores()):
        return f"the run was begun with {known} threads, here are {usual}: the last bits may differ"
    torch.set_num_threads(known)
    if asked and begun and asked != begun:
        return f"from here on `threads` is {asked}, not {begun}: the last bits may differ"
    if not asked and known != usual:
        return f"going on with {_count(known)}, as the run was begun; usual here: {usual}"
    return None


def choose(setup: "Setup", work: Callable[[], object]) -> str | None:
    """Measure which number of threads is the better one where that is not known, and set it; return
    a line if there was a choice.

    Args:
        work: a pass of the network.
    """
    if (
        setup.args.threads is not None
        or setup.begun is not None
        or setup.device.type != "cpu"
        or setup.accelerator.num_processes > 1
        or any(os.environ.get(name) for name in VARIABLES)
    ):
        return None
    usual = torch.get_num_threads()
    cores = granted_cores(usual, LOOK_S) if usual > 1 else 1.0
    if cores >= ENOUGH * usual:
        return None
    fewer = max(1, int(cores))
    try:
        with_usual, with_fewer = seconds_with((usual, fewer), work)
    except (RuntimeError, MemoryError) as error:
        torch.set_num_threads(usual)
        if not out_of_memory(error):
            raise
        return None  # the forecast tells it
    best = fewer if with_fewer < MARGIN * with_usual else usual
    torch.set_num_threads(best)
    return (
        f"{_count(usual)} get {cores:.1f} cores here: a pass takes {_shown(with_usual)} with "
        f"{usual} and {_shown(with_fewer)} with {fewer}, so training has {best} (`threads` sets it)"
    )


def seconds_with(
    numbers: tuple[int, int],
    work: Callable[[], object],
    clock: Callable[[], float] = time.perf_counter,
    use: Callable[[int], None] = torch.set_num_threads,
) -> tuple[float, float]:
    """Return the mean seconds of `work` with each of two numbers of threads, in turns.

    The mean, and not the median: a quota stops all threads now and then, and these stops are what
    it is about. The first turn of each, which also loads kernels, does not count.
    """
    taken: dict[int, list[float]] = {number: [] for number in numbers}
    began, turns = clock(), 0
    while not (turns >= LEAST_TURNS and clock() - began > TIMED_S):
        for number in numbers if turns % 2 else reversed(numbers):
            use(number)
            start = clock()
            work()
            taken[number].append(clock() - start)
        turns += 1
        if clock() - began > LONGEST_S:
            break  # of a large network one turn tells
    first, second = (sum(taken[n][1:] or taken[n]) / max(1, turns - 1) for n in numbers)
    return first, second


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _count(threads: int) -> str:
    return f"{threads} thread{'s' * (threads != 1)}"


def _shown(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"
