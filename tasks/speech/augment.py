"""Variations of sound, one sample at a time: a pure function of (seed, epoch, sample).

The waveform is varied before features are made of it, and SpecAugment (Park et al. 2019,
https://arxiv.org/abs/1904.08779) masks the features: with 0, their mean after normalization.
Speed follows Ko et al. 2015 ("Audio Augmentation for Speech Recognition"): resampling, so that
pitch and formants move with it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.randomness import AugmentStrength, SampleRandom
from tasks.speech.augment_args import QUIETEST_NOISE, AugmentArgs
from tasks.speech.sound import noise

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

NOISY_PAUSES = 0.75  # share of the pauses that are no digital silence
SPEED_STEPS = 100  # a speed is a whole number of hundredths, so that few filters serve them all


@dataclass(frozen=True)
class _Dose:
    """The strength of each variation in a view, as a multiple of what was asked for."""

    speed: float
    gain: float
    shift: float
    noisy: float
    """probability of noise"""
    masks: int


_DOSES = {
    "weak": _Dose(speed=0.5, gain=1, shift=1, noisy=0, masks=0),
    "standard": _Dose(speed=1, gain=1, shift=1, noisy=0.5, masks=1),
    "strong": _Dose(speed=1.5, gain=1, shift=1, noisy=1, masks=2),
}


def waveform(
    x: "npt.NDArray[np.float32]",
    draws: SampleRandom,
    i: int,
    args: AugmentArgs,
    strength: AugmentStrength = "standard",
    rate: int = 16_000,
) -> "npt.NDArray[np.float32]":
    """A varied copy of the i-th of the draws' samples, float32 [samples]; another length by speed
    and pauses.

    Args:
        x: float32 [samples].
        rate: samples a second.
        strength: the view's. none leaves x as it is; weak changes speed (half as much), loudness
            and place; strong adds noise to every sample and changes speed half as much again.
    """
    import numpy as np

    if strength == "none" or args.augment == "none" or not len(x):
        return x
    from tasks.speech.sound.audio import resample

    dose = _DOSES[strength]
    speed = 1 + _signed(draws, i, "speed") * min(0.5, args.speed * dose.speed)
    x = resample(x, round(SPEED_STEPS * speed), SPEED_STEPS)
    x = _shifted(x, round(_signed(draws, i, "time_shift") * args.time_shift * dose.shift * len(x)))
    if args.pauses:
        x = _between_pauses(x, draws, i, args.pauses * rate)
    if args.noise_db < QUIETEST_NOISE and _unit(draws, i, "noisy") < dose.noisy:
        snr = args.noise_db + _unit(draws, i, "noise_db") * (QUIETEST_NOISE - args.noise_db)
        made = noise.coloured(len(x), 2 * _unit(draws, i, "colour"), draws.generator(i, "noise"))
        x = noise.mixed(x, made, snr)
    gain = 10 ** (_signed(draws, i, "gain") * args.gain_db * dose.gain / 20)
    return x * np.float32(gain)


def spec_augment(
    features: "npt.NDArray[np.float32]",
    draws: SampleRandom,
    i: int,
    args: AugmentArgs,
    strength: AugmentStrength = "standard",
) -> "npt.NDArray[np.float32]":
    """A copy of normalized features with masks of 0, [frames, mels].

    Each mask is uniform in width from 0 to the largest asked for and then in place, as in the
    paper; the largest over time is a share of the frames, so that short words keep some. Masks may
    overlap. weak masks nothing, strong has twice as many.
    """
    if strength == "none" or args.augment == "none":
        return features
    features = features.copy()
    frames, mels = features.shape
    dose = _DOSES[strength]
    for mask in range(args.freq_masks * dose.masks):
        start, end = _span(draws, i, f"freq_mask {mask}", mels, min(args.freq_mask, mels))
        features[:, start:end] = 0
    for mask in range(args.time_masks * dose.masks):
        start, end = _span(draws, i, f"time_mask {mask}", frames, int(args.time_mask * frames))
        features[start:end] = 0
    return features


def _span(draws: SampleRandom, i: int, name: str, size: int, widest: int) -> tuple[int, int]:
    width = int(draws.integers(name, widest + 1)[i])
    start = int(draws.integers(name + " start", size - width + 1)[i])
    return start, start + width


def _between_pauses(
    x: "npt.NDArray[np.float32]", draws: SampleRandom, i: int, most: float
) -> "npt.NDArray[np.float32]":
    """A sound with a pause at each end of up to `most` samples, short ones more often: silence, or
    noise that is 20 to 80 dB below the sound."""
    import numpy as np

    parts = [x]
    for end in ("before", "behind"):
        size = round(most * _unit(draws, i, f"pause {end}") ** 2)
        pause = np.zeros(size, np.float32)
        if size and _unit(draws, i, f"pause {end} is noisy") < NOISY_PAUSES:
            colour = 2 * _unit(draws, i, f"pause {end} colour")
            made = noise.coloured(size, colour, draws.generator(i, f"pause {end}"))
            below = 20 + 60 * _unit(draws, i, f"pause {end} level")
            pause = made * np.float32(noise.rms(x) * 10 ** (-below / 20))
        parts = [pause, *parts] if end == "before" else [*parts, pause]
    return np.concatenate(parts)


def _shifted(x: "npt.NDArray[np.float32]", by: int) -> "npt.NDArray[np.float32]":
    import numpy as np

    if by == 0:
        return x
    out = np.zeros_like(x)
    if by > 0:
        out[by:] = x[:-by]
    else:
        out[:by] = x[-by:]
    return out


def _unit(draws: SampleRandom, i: int, name: str) -> float:
    return float(draws.uniform(name)[i])


def _signed(draws: SampleRandom, i: int, name: str) -> float:
    return 2 * _unit(draws, i, name) - 1
