"""Intervals over launches and rounds."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.metrics.intervals import t_quantile
from zoo.measure.intervals import estimate, median_error

LOG = st.floats(-3, 3)
LAUNCHES = st.lists(st.lists(LOG, min_size=1, max_size=8), min_size=1, max_size=5)


def of(launches: list[list[float]]):
    return estimate(launches, 1, resamples=100)


@settings(max_examples=50)
@given(LAUNCHES, st.floats(-2, 2))
def test_what_holds_of_any_numbers(launches: list[list[float]], shift: float) -> None:
    made = of(launches)
    interval = made.interval
    assert interval.low <= made.value <= interval.high
    # Times in other units: the ratio of two arms does not see it, an arm's own time does.
    scaled = of([[log + shift for log in launch] for launch in launches])
    factor = math.exp(shift)
    assert scaled.value == pytest.approx(made.value * factor)
    assert scaled.interval.low == pytest.approx(interval.low * factor)
    assert scaled.interval.high == pytest.approx(interval.high * factor)
    # The other arm over this one.
    swapped = of([[-log for log in launch] for launch in launches])
    assert swapped.value == pytest.approx(1 / made.value)
    assert swapped.interval.low == pytest.approx(1 / interval.high)
    assert swapped.interval.high == pytest.approx(1 / interval.low)


def test_t_over_the_launches() -> None:
    """By hand: launches 0.01, 0.02, 0.03; their mean's error is 0.01 / sqrt(3)."""
    made = estimate([[0.0, 0.01, 9.0], [0.02], [0.03]], 5, resamples=0)
    assert made.value == pytest.approx(math.exp(0.02))
    assert made.n == 5
    assert math.log(made.interval.high) == pytest.approx(0.02 + 9.92484 * 0.01 / math.sqrt(3))
    assert made.interval.method == "t over 3 launches"


def test_launches_that_agree_by_chance() -> None:
    """t alone would be certain; their rounds are not."""
    launches = [[-0.1, 0.0, 0.1], [-0.2, 0.0, 0.1], [-0.1, 0.0, 0.3]]
    assert estimate(launches, 9, resamples=0).interval.halfwidth == 0
    made = estimate(launches, 9)
    assert made.interval.halfwidth > 0.05
    assert made.interval.method.endswith("bootstrap of launches and rounds")


def test_one_launch_says_so() -> None:
    made = estimate([[0.1, 0.2, 0.3]], 3)
    assert made.interval.method == "bootstrap of the rounds of 1 launch"
    assert made.interval.low < made.value < made.interval.high


@pytest.mark.parametrize("launches", [[], [[]], [[1.0], []]])
def test_nothing_has_no_interval(launches: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="each of them rounds"):
        estimate(launches, 1)


def test_it_holds_its_level() -> None:
    """Also where launches differ by more than their rounds show, and rounds have heavy tails."""
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(500):
        launches = 0.01 * rng.normal(size=(4, 1)) + 0.01 * rng.standard_t(3, size=(4, 12))
        interval = estimate(list(launches), 48, 0.9, seed, 100).interval
        held += interval.low <= 1 <= interval.high
    assert 0.87 < held / 500 < 0.96


def test_the_error_of_a_median() -> None:
    rng = np.random.default_rng(0)
    medians = [np.median(rng.normal(size=101)) for _ in range(500)]
    assert median_error(rng.normal(size=101)) == pytest.approx(np.std(medians), rel=0.25)
    assert median_error([1.0, 2.0]) == math.inf


def test_students_quantile() -> None:
    assert t_quantile(4, 0.99) == pytest.approx(4.6041, abs=1e-4)
