"""A machine that does not exist: its clock, its noise, and processes that "run" on it.

The whole procedure is measured on it, from warming up to the verdict, in no time and from a seed.
"""

import math
from dataclasses import dataclass

import numpy as np

from zoo.measure.arms import Arm, ArmFailed
from zoo.measure.process import Loaded, Ran, WorkerFailed
from zoo.measure.usage import Usage

CALL_S = 0.01


@dataclass(frozen=True)
class Noise:
    """Standard deviations of logarithms."""

    launch: float = 0.003
    """of a process, for as long as it lives; Student's t with 4 degrees of freedom"""
    drift: float = 0.05
    """of what all have in common at a time; an Ornstein-Uhlenbeck process"""
    drift_s: float = 20.0
    """the time in which it forgets"""
    block: float = 0.01
    """of a block; Student's t with 3 degrees of freedom"""
    sample: float = 0.03
    """of a call"""
    spikes: float = 0.02
    """share of calls that are longer, by a Pareto distribution with infinite variance"""


class Machine:
    """Time and noise. `now` is its clock, `start` what starts a process."""

    def __init__(self, seed: int, noise: Noise, disturbed: float = 0.0) -> None:
        self.noise, self.disturbed = noise, disturbed
        self.rng = np.random.default_rng(seed)
        self.time = 0.0
        self._drift, self._drift_at = self.rng.normal() * noise.drift, 0.0

    def now(self) -> float:
        return self.time

    def start(self, arm: Arm, timeout_s: float = 0.0) -> "Process":
        self.time += 1.0
        return Process(self, arm)

    def drift(self) -> float:
        keep = math.exp((self._drift_at - self.time) / self.noise.drift_s)
        fresh = math.sqrt(1 - keep * keep) * self.noise.drift * self.rng.normal()
        self._drift, self._drift_at = keep * self._drift + fresh, self.time
        return self._drift


class Process:
    """An arm: `kwargs` may hold `times` (how long its calls are, 1 by default), `cold` (by what
    share the first are longer) and `dies_at`, a number of blocks."""

    def __init__(self, machine: Machine, arm: Arm) -> None:
        self.machine, self.arm, self.blocks, self.closed = machine, arm, 0, False
        self.spent = 0.0
        self.offset = _student(machine.rng, 4) * machine.noise.launch

    def ready(self) -> Loaded:
        return Loaded(0.5, 0.5)

    def run(self, samples: int, group: int = 1, lead: int = 0) -> Ran:
        machine, noise, rng = self.machine, self.machine.noise, self.machine.rng
        assert not self.closed
        self.blocks += 1
        if self.blocks == self.arm.kwargs.get("dies_at"):
            raise WorkerFailed(ArmFailed(self.arm.name, "oom", "no memory"))
        times = self.arm.kwargs.get("times", 1.0)
        logs = self.offset + machine.drift() + _student(rng, 3) * noise.block
        logs += self.arm.kwargs.get("cold", 0.0) * math.exp(-self.spent)
        seconds = CALL_S * times * np.exp(logs + noise.sample * rng.normal(size=samples))
        seconds *= 1 + rng.pareto(1.5, samples) * (rng.random(samples) < noise.spikes)
        busy = rng.random() < machine.disturbed
        if busy:
            seconds *= 1.3
        wall = float(seconds.sum()) * group
        self.spent += wall
        machine.time += wall * (1 + lead / samples)
        usage = Usage(wall, wall, 0.9 if busy else 0.02, 0.0, 1, 0)
        return Ran(tuple(seconds.tolist()), group, usage, 0.0)

    def close(self) -> None:
        self.closed = True


def _student(rng: np.random.Generator, freedom: int) -> float:
    """With variance 1."""
    return float(rng.standard_t(freedom)) / math.sqrt(freedom / (freedom - 2))
