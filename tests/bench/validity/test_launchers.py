"""The scatter of launches is found, on machines whose scatter is known."""

import math

import pytest

from bench.validity.launchers import both
from tests.zoo.measure.machine import Machine, Noise
from zoo.measure import Arm
from zoo.measure.process import WorkerFailed

ARM = Arm("a", "m:f")


def test_launches_that_scatter_less_are_told_from_those_that_scatter_more() -> None:
    quiet = Noise(drift=0.0, block=0.0005, sample=0.001, spikes=0.0, launch=0.002)
    loud = Noise(drift=0.0, block=0.0005, sample=0.001, spikes=0.0, launch=0.02)
    found = both(ARM, 60, {"fresh": Machine(0, loud).start, "preloaded": Machine(1, quiet).start})
    for name, launch in (("fresh", 0.02), ("preloaded", 0.002)):
        assert found[name].launches == 60  # type: ignore[index]
        assert found[name].median == pytest.approx(launch, rel=0.5)  # type: ignore[index]
        assert found[name].ratio == pytest.approx(math.sqrt(2) * launch, rel=0.5)  # type: ignore[index]
    assert found["fresh"].floor > 5 * found["preloaded"].floor
    assert found["fresh"].start_s == 1.0


def test_an_arm_that_fails_is_told() -> None:
    start = Machine(0, Noise()).start
    with pytest.raises(WorkerFailed, match="no memory"):
        both(Arm("a", "m:f", {"dies_at": 2}), 4, {"fresh": start, "preloaded": start})
