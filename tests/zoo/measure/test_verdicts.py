"""What may be said of a ratio, and what not."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.measure.intervals import Estimate, Interval, estimate
from zoo.measure.verdicts import Floor, floor_of, floor_of_comparison, judge

QUIET = Floor(0.001, 5)
SWAPPED = {"faster": "slower", "slower": "faster"}


def ratio(value: float, half: float = 0.005) -> Estimate:
    """An estimate whose interval reaches `half` to both sides."""
    return Estimate(value, Interval(value / (1 + half), value * (1 + half), 0.99, "made up"), 50)


@pytest.mark.parametrize(
    ("value", "half", "floor", "word"),
    [
        (1.20, 0.005, QUIET, "faster"),
        (0.97, 0.005, QUIET, "slower"),
        (1.001, 0.005, QUIET, "same"),
        (1.02, 0.05, QUIET, "can't tell"),
        (1.20, 0.005, None, "can't tell"),
        (1.00, 0.005, None, "same"),
        (1.20, 0.005, Floor(0.2, 5), "can't tell"),
        (1.012, 0.005, Floor(0.02, 5), "same"),
    ],
)
def test_verdicts(value: float, half: float, floor: Floor | None, word: str) -> None:
    assert judge(ratio(value, half), 5, floor, 60.0).word == word


def test_what_would_be_needed() -> None:
    """Half the width takes four times the launches, about; far from the margin, fewer."""
    near, far = (judge(ratio(v, 0.05), 5, QUIET, 60.0) for v in (1.015, 1.04))
    assert near.more_seconds is not None and far.more_seconds is not None
    assert 0 < far.more_seconds < 60 < near.more_seconds < 1000
    hopeless = judge(ratio(1.015, 3.0), 5, QUIET, 60.0)
    assert (hopeless.word, hopeless.more_seconds) == ("can't tell", None)
    assert judge(ratio(1.2), 1, QUIET, 60.0).more_seconds == 60.0


@given(st.floats(0.5, 2), st.floats(0.0001, 0.2), st.floats(0, 0.05), st.integers(2, 9))
def test_swapping_the_arms_inverts_the_verdict(
    value: float, half: float, spread: float, launches: int
) -> None:
    floor = Floor(spread, launches)
    there = judge(ratio(value, half), launches, floor, 1.0)
    back = judge(ratio(1 / value, half), launches, floor, 1.0)
    # The margin and the floor are cut at the same logarithms on both sides.
    assert back.word == SWAPPED.get(there.word, there.word)


@given(st.floats(0.5, 2), st.floats(0.0001, 0.2), st.floats(0, 0.05), st.integers(2, 9))
def test_a_claim_is_beyond_the_floor_and_points_the_right_way(
    value: float, half: float, spread: float, launches: int
) -> None:
    floor = Floor(spread, launches)
    said = judge(ratio(value, half), launches, floor, 1.0).word
    if said in SWAPPED:
        assert (said == "faster") == (value > 1)
        assert math.expm1(abs(math.log(value))) >= floor.claim(launches)
        assert abs(math.log(value)) > math.log1p(half)
    if said == "same":
        assert abs(math.log(value)) + math.log1p(half) < math.log1p(0.03)


def test_the_floor_of_the_same_arm_twice() -> None:
    floor = floor_of([0.003, -0.004])
    assert floor.spread == pytest.approx(math.sqrt((9 + 16) / 2) / 1000)
    assert floor.launches == 2
    assert json.loads(json.dumps(floor.as_json()))["floor"] == floor.found(2)
    with pytest.raises(ValueError, match="at least one launch"):
        floor_of([])


@given(st.floats(0.0001, 0.1), st.integers(2, 20))
def test_what_is_found_is_more_than_what_may_be_claimed(spread: float, launches: int) -> None:
    floor = Floor(spread, launches)
    assert 0 < floor.claim(launches) < floor.found(launches)
    assert floor.found(launches + 1) <= floor.found(launches)


def test_the_floor_is_found_in_95_of_100() -> None:
    """A difference as large as the floor of the true scatter, by the interval's test."""
    rng, launches, spread = np.random.default_rng(0), 5, 0.01
    size = math.log1p(Floor(spread, launches - 1).found(launches))
    drawn = size + spread * rng.normal(size=(2000, launches, 1))
    found = sum(estimate(list(each), 1, resamples=0).interval.low > 1 for each in drawn)
    assert found / 2000 == pytest.approx(0.95, abs=0.02)


def test_a_noisy_comparison_has_a_floor_of_its_own() -> None:
    floor = Floor(0.001, 5)
    assert floor_of_comparison(ratio(1.1, 1e-6), 5, floor) == floor.found(5)
    noisy = floor_of_comparison(ratio(1.1, 0.02), 5, floor)
    assert 0.02 < noisy < 0.04, "more than half of the width of its interval"


def test_identical_arms_are_beyond_the_least_claim_in_1_of_100() -> None:
    rng, launches = np.random.default_rng(1), 5
    beyond = 0
    for twins, others in rng.normal(size=(4000, 2, launches)) * 0.01:
        beyond += math.expm1(abs(others.mean())) > floor_of(list(twins)).claim(launches)
    assert beyond / 4000 == pytest.approx(0.01, abs=0.006)
