"""When a process is warm."""

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from zoo.measure.stationary import WINDOW, is_stationary, trend


def noisy(seed: int, cold: float, n: int, noise: float = 0.03, tau: float = 5.0) -> list[float]:
    """Times that begin `cold` too long and lose that over `tau` blocks."""
    rng = random.Random(seed)
    return [1 + cold * math.exp(-i / tau) + noise * rng.gauss(0, 1) for i in range(n)]


def test_too_few_are_not_stationary() -> None:
    assert not is_stationary([1.0] * (WINDOW - 1))
    assert is_stationary([1.0] * WINDOW)


def test_noise_is_stationary_and_warming_up_is_not() -> None:
    calm = sum(is_stationary(noisy(seed, 0.0, WINDOW)) for seed in range(400))
    cold = sum(is_stationary(noisy(seed, 0.5, WINDOW)) for seed in range(400))
    assert calm > 0.92 * 400
    assert cold < 0.02 * 400


def test_a_trend_that_is_too_small_to_matter() -> None:
    assert is_stationary([1 - 0.001 * i for i in range(WINDOW)])
    assert not is_stationary([1 - 0.01 * i for i in range(WINDOW)])


def test_only_the_last_count() -> None:
    assert is_stationary([10.0 - i for i in range(9)] + noisy(0, 0.0, WINDOW))


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=30))
def test_the_trend_turns_with_time(values: list[float]) -> None:
    assert trend(values) == -trend(values[::-1])
    assert trend(sorted(values)) >= abs(trend(values))


def test_the_statistic() -> None:
    """Of ten rising values: S = 45, its variance 125."""
    assert trend(list(range(10))) == 44 / math.sqrt(125)
