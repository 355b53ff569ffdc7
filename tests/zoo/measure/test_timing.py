"""How many calls make a block, and warming up, on a machine that does not exist."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.zoo.measure.machine import CALL_S, Machine, Noise
from zoo.measure.arms import Arm
from zoo.measure.stationary import WINDOW
from zoo.measure.timing import MAX_SAMPLES, Size, size_of, warm_up


@pytest.mark.parametrize(
    ("call_s", "size"),
    [
        (0.01, Size(10, 1, 1)),
        (0.001, Size(100, 1, 10)),
        (3e-6, Size(981, 34, 3334)),
        (0.3, Size(1, 1, 1)),
        (2.0, Size(1, 1, 0)),
        (0.0, Size(1000, 10_000, 1_000_000)),
    ],
)
def test_sizes(call_s: float, size: Size) -> None:
    assert size_of(call_s, 0.1) == size


@given(st.floats(1e-7, 100), st.floats(0.03, 1))
def test_a_block_lasts_as_long_as_it_should(call_s: float, block_s: float) -> None:
    size = size_of(call_s, block_s)
    lasts = size.samples * size.group * call_s
    assert lasts >= min(block_s, MAX_SAMPLES * 1e-4) * 0.999
    assert lasts <= block_s * 1.01 + call_s + 1e-3 * block_s + 2e-4
    assert size.group == 1 or size.group * call_s <= 2.1e-4, "no longer than the clock needs"


def warmed(machine: Machine, cap_s: float = 10.0, **kwargs: float):
    return warm_up(machine.start(Arm("a", "m:f", kwargs)), 0.1, cap_s, machine.now)


def test_it_warms_up_until_it_is_warm() -> None:
    calm, cold = warmed(Machine(0, Noise())), warmed(Machine(0, Noise()), cold=1.0)
    assert calm.stationary and cold.stationary
    assert calm.blocks >= WINDOW
    assert cold.blocks > calm.blocks
    assert cold.first_call > 1.8 * calm.first_call
    assert calm.size.samples * CALL_S == pytest.approx(0.1, rel=0.3)


def test_there_is_an_end_to_it() -> None:
    found = warmed(Machine(0, Noise()), cap_s=0.3, cold=3.0)
    assert not found.stationary
    assert found.seconds < 1
    assert warmed(Machine(0, Noise()), cap_s=0.0).blocks == 0
