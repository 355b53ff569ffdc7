"""Variations of sound: functions of (seed, epoch, sample) alone, and within what was asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import UserError
from tasks.randomness import AugmentStrength, EpochView, SampleRandom
from tasks.speech.augment import spec_augment, waveform
from tasks.speech.augment_args import AugmentArgs
from tasks.speech.sound import noise

X = np.asarray(0.3 * np.sin(np.arange(8_000) / 5), np.float32)
FEATURES = np.random.default_rng(0).standard_normal((100, 40)).astype(np.float32) + 10
STILL = AugmentArgs(speed=0, gain_db=0, noise_db=40, time_shift=0)


def draws(*ids: int, epoch: int = 0, seed: int = 1) -> SampleRandom:
    return SampleRandom(EpochView(seed, epoch), list(ids))


@pytest.mark.parametrize("strength", ["weak", "standard", "strong"])
def test_a_sample_is_varied_alike_in_any_batch(strength: AugmentStrength) -> None:
    args = AugmentArgs(time_shift=0.1)
    alone, among = draws(7), draws(3, 9, 7, 1)
    for vary, x in ((waveform, X), (spec_augment, FEATURES)):
        first = vary(x, alone, 0, args, strength)
        np.testing.assert_array_equal(first, vary(x, among, 2, args, strength))
        assert first.dtype == np.float32


@pytest.mark.parametrize("other", [draws(8), draws(7, epoch=1), draws(7, seed=2)])
def test_samples_epochs_and_seeds_differ(other: SampleRandom) -> None:
    args = AugmentArgs()
    first, second = (waveform(X, d, 0, args) for d in (draws(7), other))
    assert len(first) != len(second) or not np.array_equal(first, second)
    assert not np.array_equal(*(spec_augment(FEATURES, d, 0, args) for d in (draws(7), other)))


def test_off_is_off() -> None:
    off = AugmentArgs(augment="none")
    assert waveform(X, draws(1), 0, off) is X
    assert spec_augment(FEATURES, draws(1), 0, off) is FEATURES
    assert waveform(X, draws(1), 0, AugmentArgs(), "none") is X
    assert spec_augment(FEATURES, draws(1), 0, AugmentArgs(), "none") is FEATURES
    for i in range(20):
        np.testing.assert_array_equal(waveform(X, draws(i), 0, STILL), X)
    unmasked = AugmentArgs(freq_masks=0, time_masks=0)
    np.testing.assert_array_equal(spec_augment(FEATURES, draws(1), 0, unmasked), FEATURES)


def test_the_input_stays_as_it_was() -> None:
    x, features = X.copy(), FEATURES.copy()
    for i in range(20):
        waveform(x, draws(i), 0, AugmentArgs(time_shift=0.2), "strong")
        spec_augment(features, draws(i), 0, AugmentArgs(), "strong")
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(features, FEATURES)


def varied(strength: AugmentStrength = "standard", **asked: float) -> list[np.ndarray]:
    args = AugmentArgs(
        **({"speed": 0, "gain_db": 0, "noise_db": 40, "time_shift": 0} | asked)  # type: ignore
    )
    return [waveform(X, draws(i), 0, args, strength) for i in range(200)]


def test_pauses_are_put_before_and_behind() -> None:
    """The sound itself stays as it was; its pauses are quiet, and of every length."""
    rate = 8_000
    args = AugmentArgs(speed=0, gain_db=0, noise_db=40, time_shift=0, pauses=2)
    before, levels = [], []
    for i in range(200):
        found = waveform(X, draws(i), 0, args, rate=rate)
        place = (
            int(
                np.flatnonzero(
                    np.lib.stride_tricks.sliding_window_view(found, 9) @ X[1:10]
                    > 0.99 * float(X[1:10] @ X[1:10])
                )[0]
            )
            - 1
        )
        np.testing.assert_array_equal(found[place : place + len(X)], X)
        before.append(place / rate)
        levels.append(noise.rms(found[place + len(X) :]) / noise.rms(X))
        assert len(found) - place - len(X) <= 2 * rate and found.dtype == np.float32
    assert max(before) > 1.7 and np.median(before) < 0.8
    assert max(levels) < 0.11 and 0.1 < np.mean(np.array(levels) == 0) < 0.5


def test_speed_changes_length_and_pitch() -> None:
    lengths = np.array([len(x) for x in varied(speed=0.1)]) / len(X)
    assert 1 / 1.105 < lengths.min() < 0.93
    assert 1.07 < lengths.max() < 1 / 0.895
    assert abs(np.median(lengths) - 1) < 0.02
    for x in varied(speed=0.1)[:20]:
        pitch = np.abs(np.fft.rfft(x)).argmax() / len(x)
        expected = len(X) / len(x) / (2 * np.pi * 5)
        assert pitch == pytest.approx(expected, abs=1.5 / len(x))
    weak = np.array([len(x) for x in varied("weak", speed=0.1)]) / len(X)
    assert np.ptp(weak) < 0.6 * np.ptp(lengths)


def test_gain_in_decibels() -> None:
    gains = [20 * np.log10(noise.rms(x) / noise.rms(X)) for x in varied(gain_db=6)]
    assert -6 <= min(gains) < -5 and 5 < max(gains) <= 6


def test_noise_in_half_of_the_samples_at_its_ratio() -> None:
    ratios = [
        20 * np.log10(noise.rms(X) / noise.rms(x - X))
        for x in varied(noise_db=10)
        if not np.array_equal(x, X)
    ]
    assert 70 < len(ratios) < 130
    assert 10 - 0.01 <= min(ratios) < 14 and 36 < max(ratios) <= 40.01
    assert all(not np.array_equal(x, X) for x in varied("strong", noise_db=10))
    assert all(np.array_equal(x, X) for x in varied("weak", noise_db=10))
    silence = np.zeros(100, np.float32)
    assert not waveform(silence, draws(1), 0, AugmentArgs(), "strong").any()


def test_shift_brings_silence_in() -> None:
    for x in varied(time_shift=0.25):
        assert len(x) == len(X)
        at = np.flatnonzero(x)
        by = int(at[0]) - 1 if at[0] > 1 else int(at[-1]) + 1 - len(X)
        assert abs(by) <= 0.25 * len(X) + 1
        kept = x[by:] if by > 0 else x[: len(X) + by]
        np.testing.assert_array_equal(kept, X[: len(X) - by] if by > 0 else X[-by:])


@settings(max_examples=100)
@given(
    frames=st.integers(1, 60),
    mels=st.integers(1, 40),
    sample=st.integers(0, 10_000),
    freq=st.tuples(st.integers(0, 50), st.integers(0, 3)),
    time=st.tuples(st.floats(0, 1), st.integers(0, 3)),
    strength=st.sampled_from(["standard", "strong"]),
)
def test_masks_are_whole_bands_no_wider_than_asked(
    frames: int,
    mels: int,
    sample: int,
    freq: tuple[int, int],
    time: tuple[float, int],
    strength: AugmentStrength,
) -> None:
    args = AugmentArgs(freq_mask=freq[0], freq_masks=freq[1], time_mask=time[0], time_masks=time[1])
    features = np.ones((frames, mels), np.float32)
    found = spec_augment(features, draws(sample), 0, args, strength)
    assert found.shape == features.shape
    assert set(np.unique(found)) <= {0.0, 1.0}
    hidden_rows, hidden_columns = ~found.any(axis=1), ~found.any(axis=0)
    if not hidden_rows.all() and not hidden_columns.all():
        # what is left is a grid of whole rows and columns
        np.testing.assert_array_equal(found, np.outer(~hidden_rows, ~hidden_columns))
        more = 2 if strength == "strong" else 1
        assert hidden_rows.sum() <= more * time[1] * int(time[0] * frames)
        assert hidden_columns.sum() <= more * freq[1] * min(freq[0], mels)


def test_strong_masks_more() -> None:
    hidden = {
        strength: sum(
            (spec_augment(FEATURES, draws(i), 0, AugmentArgs(), strength) == 0).sum()
            for i in range(50)
        )
        for strength in ("weak", "standard", "strong")
    }
    assert hidden["weak"] == 0 < 1.3 * hidden["standard"] < hidden["strong"]


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_next_to_nothing_is_varied_too(length: int) -> None:
    args = AugmentArgs(time_shift=0.5)
    for i in range(20):
        found = waveform(np.ones(length, np.float32), draws(i), 0, args, "strong")
        assert np.isfinite(found).all() and len(found) <= 2 * length
        assert bool(len(found)) == bool(length)


@pytest.mark.parametrize(
    "asked", [{"speed": 0.6}, {"gain_db": -1.0}, {"time_mask": 1.5}, {"freq_masks": -1}]
)
def test_out_of_range(asked: dict[str, float]) -> None:
    with pytest.raises(UserError, match=f"`{next(iter(asked))}` .* is outside"):
        AugmentArgs(**asked)  # type: ignore


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_noise_has_its_colour(exponent: float) -> None:
    made = noise.coloured(2**16, exponent, np.random.default_rng(0))
    assert made.dtype == np.float32 and noise.rms(made) == pytest.approx(1)
    power = np.abs(np.fft.rfft(made)) ** 2
    octaves = [np.log2(power[2**k : 2 ** (k + 1)].mean()) for k in range(6, 15)]
    slope = np.polyfit(range(len(octaves)), octaves, 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.15)


def test_rooms_ring_and_keep_the_length() -> None:
    click = np.zeros(8_000, np.float32)
    click[0] = 1
    found = noise.room(click, 16_000, 0.2, 6.0, np.random.default_rng(0))
    assert len(found) == len(click) and found[0] == pytest.approx(1)
    assert 10 * np.log10(1 / np.square(found[1:]).sum()) == pytest.approx(6, abs=0.1)
    early, late = noise.rms(found[100:400]), noise.rms(found[1_700:2_000])
    assert 20 * np.log10(early / late) == pytest.approx(30, abs=2)  # a tenth of a second later
