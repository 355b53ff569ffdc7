"""Log-mel features of speech, in numpy alone.

A frame of 25 ms every 10 ms, Hann window, power spectrum, triangular filters on Slaney's mel scale
(Slaney 1998), natural logarithm, and per utterance and mel bin mean and variance normalisation
(Viikki & Laurila 1998), which takes away loudness and the line's colour.

Frames lie within the samples: nothing is padded at the ends, and each utterance is computed by
itself, so that its features are the same to the last bit whatever comes with it in a batch.

Features are causal where the normalization is "none" or "fixed" and `block_frames` is not 0: then a
frame depends on its own samples alone, to the last bit, and a stream has the features of the whole
recording. A matrix product of another size may round otherwise, which is why blocks have one size.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

NORMALIZATIONS = ("none", "mean", "mean_std", "fixed")

# Added to the energies: some 20 dB above what rounding to 16 bits adds, so that digital silence and
# the quietest of rooms look alike.
FLOOR = 2.0**-24
# A bin's standard deviation is taken as at least this, in nats (speech has 2 to 4), so that a bin
# where nothing is heard (above 4 kHz in a telephone's recording) isn't blown up to full scale.
LEAST_STD = 0.5
# Of log-mel features of the embedded speech, over all frames and bins: what "fixed" takes away and
# divides by, so that 0 is a usual value for a mask to put in place of others.
FIXED_MEAN, FIXED_STD = -8.0, 4.0
_BLOCK = 4096  # frames whose spectra are held at once: 24 MB


@dataclass(frozen=True)
class LogMel:
    """Settings of log-mel features; reads sounds instead of transformers' extractor.

    Raises ValueError where the numbers make no features.
    """

    feature_size: int = 80
    """mel bins"""
    sampling_rate: int = 16_000
    """of the samples it takes, in Hz"""
    win_length: int = 400
    """samples in a frame"""
    hop_length: int = 160
    """samples from one frame to the next"""
    n_fft: int = 512
    """samples the frame is extended to with zeros"""
    min_frequency: float = 20.0
    """where the lowest filter begins, in Hz"""
    max_frequency: float | None = None
    """where the highest ends, in Hz; None: half the sampling rate"""
    normalize: str = "mean_std"
    """per utterance and bin, over its frames: "none", "mean", or "mean_std"; "fixed": by two
    constants, whatever the utterance"""
    block_frames: int = 0
    """frames that are computed together, the last of them filled up with silence, so that no frame
    depends on how many there are; 0: as many as there are"""
    tail_samples: int = 0
    """silence that is heard behind an utterance, in samples: a causal network answers late"""
    padding_value: float = 0.0
    """of frames behind the end of an utterance"""
    return_attention_mask: bool = True

    model_input_names: ClassVar[tuple[str, ...]] = ("input_features", "attention_mask")

    def __post_init__(self) -> None:
        if self.normalize not in NORMALIZATIONS:
            raise ValueError(
                f"normalize is {self.normalize!r}, and none of {', '.join(NORMALIZATIONS)}"
            )
        if not 0 < self.hop_length <= self.win_length <= self.n_fft:
            raise ValueError(
                f"hop_length {self.hop_length}, win_length {self.win_length} and n_fft {self.n_fft}"
                " must be above 0 and in this order"
            )
        if self.block_frames < 0 or self.tail_samples < 0:
            raise ValueError(
                f"block_frames {self.block_frames} and tail_samples {self.tail_samples} must be 0 "
                "or more"
            )

    @classmethod
    def of_settings(cls, settings: Mapping[str, Any]) -> "LogMel":
        """Return the settings of a checkpoint, from its preprocessor_config.json."""
        return cls(**{one.name: settings[one.name] for one in fields(cls) if one.name in settings})

    def __call__(
        self, waves: Sequence[Floats], sampling_rate: int, **kwargs: Any
    ) -> dict[str, npt.NDArray[Any]]:
        """Return what `LogMelFeatureExtractor` gives with padding=True and return_tensors="np":
        features float32 [utterances, frames, mel bins], and attention_mask int64 [utterances,
        frames].

        Args:
            waves: float32 [samples] each, in [-1, 1].
            sampling_rate: of the samples; a ValueError where it isn't `sampling_rate`.
            kwargs: other arguments of transformers' extractors, which say nothing here.
        """
        if sampling_rate != self.sampling_rate:
            raise ValueError(other_rate(sampling_rate, self.sampling_rate))
        found = [self.features(wave) for wave in waves]
        longest = max(map(len, found))
        shape = (len(found), longest, self.feature_size)
        features = np.full(shape, self.padding_value, np.float32)
        mask = np.zeros(shape[:2], np.int64)
        for i, one in enumerate(found):
            features[i, : len(one)] = one
            mask[i, : len(one)] = 1
        return {"input_features": features, "attention_mask": mask}

    def features(self, waveform: Floats) -> Floats:
        """Return log-mel features float32 [frames, mel bins] of a waveform float32 [samples].

        In numpy: a batch of short clips is hundreds of small operations, which torch would hand to
        all threads, one by one.
        """
        if self.tail_samples:
            waveform = np.pad(waveform, (0, self.tail_samples))
        if len(waveform) < self.win_length:
            waveform = np.pad(waveform, (0, self.win_length - len(waveform)))
        framed = np.lib.stride_tricks.sliding_window_view(waveform, self.win_length)
        framed = framed[:: self.hop_length]
        features = np.empty((len(framed), self.feature_size), np.float32)
        size = self.block_frames or _BLOCK
        for start in range(0, len(framed), size):
            features[start : start + size] = self.log_energies(framed[start : start + size])
        if self.normalize in ("mean", "mean_std"):
            features -= features.mean(0, dtype=np.float64).astype(np.float32)
        if self.normalize == "mean_std":
            features /= np.maximum(np.sqrt(np.square(features).mean(0)), np.float32(LEAST_STD))
        return features

    def log_energies(self, framed: Floats) -> Floats:
        """Return the features float32 [frames, mel bins] of frames [frames, win_length], before
        what is normalized over an utterance; at most `block_frames`, where that is not 0."""
        window, filters = _tables(
            self.win_length,
            self.n_fft,
            self.feature_size,
            self.sampling_rate,
            self.min_frequency,
            self.sampling_rate / 2 if self.max_frequency is None else self.max_frequency,
        )
        count = len(framed)
        if count < self.block_frames:
            framed = np.pad(framed, ((0, self.block_frames - count), (0, 0)))
        spectrum = np.fft.rfft(framed * window, self.n_fft)
        power = spectrum.real**2 + spectrum.imag**2
        found: Floats = np.log(power @ filters + np.float32(FLOOR))
        if self.normalize == "fixed":
            found = (found - np.float32(FIXED_MEAN)) / np.float32(FIXED_STD)
        return found[:count]


def other_rate(rate: int, wanted: int) -> str:
    """Return the error message for sound whose sampling rate differs from that of the features."""
    return (
        f"the features are of sound with {wanted} samples a second, and this has {rate}: resample "
        "it before"
    )


@functools.lru_cache(maxsize=8)
def _tables(
    win_length: int, n_fft: int, bins: int, rate: int, low: float, high: float
) -> tuple[Floats, Floats]:
    """Return the window [win_length] and the filters [n_fft // 2 + 1, bins], float32."""
    window = np.hanning(win_length + 1)[:-1]  # periodic, as torch.hann_window
    filters = filter_bank(n_fft // 2 + 1, bins, low, high, rate)
    return window.astype(np.float32), filters.astype(np.float32)


def filter_bank(
    frequencies: int, bins: int, low: float, high: float, rate: int
) -> npt.NDArray[np.float64]:
    """Return triangular filters on Slaney's mel scale, each of area one, float64 [frequencies,
    bins].

    The numbers are those of `transformers.audio_utils.mel_filter_bank` with norm="slaney" and
    mel_scale="slaney", to the last bit.

    Args:
        frequencies: of the spectrum, from 0 to half the sampling rate.
        low: where the lowest filter begins, in Hz.
        high: where the highest ends, in Hz.
        rate: samples a second.

    Raises ValueError where `low` is above `high`, or there is but one frequency.
    """
    if frequencies < 2 or low > high:
        raise ValueError(f"no filters go from {low} to {high} Hz over {frequencies} frequencies")
    edges = _mel_to_hertz(np.linspace(_hertz_to_mel(low), _hertz_to_mel(high), bins + 2))
    widths = np.diff(edges)
    slopes = edges[None, :] - np.linspace(0, rate // 2, frequencies)[:, None]
    rising, falling = -slopes[:, :-2] / widths[:-1], slopes[:, 2:] / widths[1:]
    filters: npt.NDArray[np.float64] = np.maximum(np.zeros(1), np.minimum(rising, falling))
    return filters * (2.0 / (edges[2:] - edges[:-2]))


# Slaney's scale: linear below 1000 Hz, which are 15 mel, and logarithmic above.


def _hertz_to_mel(hertz: float) -> float:
    if hertz < 1000.0:
        return 3.0 * hertz / 200.0
    return float(15.0 + np.log(hertz / 1000.0) * (27.0 / np.log(6.4)))


def _mel_to_hertz(mels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    hertz = 200.0 * mels / 3.0
    above = mels >= 15.0
    hertz[above] = 1000.0 * np.exp(np.log(6.4) / 27.0 * (mels[above] - 15.0))
    return hertz
