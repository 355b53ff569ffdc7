"""Resampling as sound comes: the bits of the whole sound, however it is cut."""

import itertools
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.speech.sound.audio import resample
from tasks.speech.sound.resampler import Resampler

RATES = [(48_000, 16_000), (8_000, 16_000), (44_100, 16_000), (11_025, 16_000), (16_000, 8_000)]


@cache
def sound(rate: int) -> np.ndarray:
    return np.random.default_rng(rate).normal(0, 0.1, rate // 3).astype(np.float32)


@settings(max_examples=40)
@given(
    rates=st.sampled_from([*RATES, (44_101, 16_000), (16_000, 16_000)]),
    length=st.integers(0, 5_000),
    cuts=st.lists(st.integers(0, 5_000), max_size=8),
)
def test_the_bits_are_those_of_the_whole(
    rates: tuple[int, int], length: int, cuts: list[int]
) -> None:
    wave, found = sound(rates[0])[:length], []
    resampler = Resampler(*rates)
    edges = [0, *sorted(min(cut, len(wave)) for cut in cuts), len(wave)]
    for begin, end in itertools.pairwise(edges):
        found.append(resampler.push(wave[begin:end]))
    found.append(resampler.finish())
    whole = np.concatenate(found)
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(whole, resample(wave, *rates))


@pytest.mark.parametrize("rates", RATES)
def test_little_is_held_back(rates: tuple[int, int]) -> None:
    """Ten samples of the lower rate, and one or two that are not complete."""
    resampler = Resampler(*rates)
    wave = sound(rates[0])
    seconds = len(resampler.push(wave)) / rates[1]
    assert 0 <= len(wave) / rates[0] - seconds < 13 / min(rates)
    assert len(resampler._waiting) < 0.12 * rates[0]
