"""Percentiles, and when there are too few samples for them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.measure.percentiles import percentile


@pytest.mark.parametrize(("share", "least"), [(0.9, 36), (0.95, 72), (0.99, 368)])
def test_the_least_n(share: float, least: int) -> None:
    assert percentile(range(least - 1), share) is None
    found = percentile(range(least), share)
    assert found is not None
    assert found.n == least
    assert found.interval.high == least - 1, "the largest of them bounds it"


def test_none_of_nothing() -> None:
    assert percentile([], 0.9) is None


@given(st.lists(st.floats(0.001, 1), min_size=40, max_size=500))
def test_it_lies_in_its_interval(seconds: list[float]) -> None:
    found = percentile(seconds, 0.9)
    assert found is not None
    assert found.interval.low <= found.value <= found.interval.high
    assert sum(s <= found.value for s in seconds) >= 0.9 * len(seconds)


def test_the_interval_holds_its_level() -> None:
    rng = np.random.default_rng(0)
    truth = -np.log(0.05)  # p95 of the exponential distribution
    found = [percentile(rng.exponential(size=200), 0.95) for _ in range(1000)]
    held = sum(f.interval.low <= truth <= f.interval.high for f in found if f is not None)
    assert 0.95 <= held / 1000 < 0.99
