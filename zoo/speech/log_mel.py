"""Log-mel features of speech, as a feature extractor that transformers saves, loads and pipes.

A frame of 25 ms every 10 ms, Hann window, power spectrum, triangular filters on Slaney's mel scale
(Slaney 1998), natural logarithm, and per utterance and mel bin mean and variance normalisation
(Viikki & Laurila 1998), which takes away loudness and the line's colour.

Frames lie within the samples: nothing is padded at the ends, and each utterance is computed by
itself, so that its features are the same to the last bit whatever comes with it in a batch.
"""

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor
from transformers import BatchFeature, SequenceFeatureExtractor
from transformers.audio_utils import mel_filter_bank
from transformers.utils import logging

_Floats = npt.NDArray[np.float32]

NORMALIZATIONS = ("none", "mean", "mean_std")

# Added to the energies: some 20 dB above what rounding to 16 bits adds, so that digital silence and
# the quietest of rooms look alike.
FLOOR = 2.0**-24
# A bin's standard deviation is taken as at least this, in nats (speech has 2 to 4), so that a bin
# where nothing is heard (above 4 kHz in a telephone's recording) isn't blown up to full scale.
LEAST_STD = 0.5
_BLOCK = 4096  # frames whose spectra are held at once: 24 MB

logger = logging.get_logger(__name__)


class LogMelFeatureExtractor(SequenceFeatureExtractor):  # type: ignore[misc]
    """Samples to `input_features` [batch, frames, mel bins] and `attention_mask` [batch, frames].

    Args:
        feature_size: mel bins.
        sampling_rate: of the samples it takes, in Hz.
        win_length: samples in a frame.
        hop_length: samples from one frame to the next.
        n_fft: samples the frame is extended to with zeros.
        min_frequency: where the lowest filter begins, in Hz.
        max_frequency: where the highest ends, in Hz; None: half the sampling rate.
        normalize: per utterance and bin, over its frames: "none", "mean", or "mean_std".
    """

    model_input_names = ["input_features", "attention_mask"]  # noqa: RUF012

    def __init__(
        self,
        feature_size: int = 80,
        sampling_rate: int = 16_000,
        win_length: int = 400,
        hop_length: int = 160,
        n_fft: int = 512,
        min_frequency: float = 20.0,
        max_frequency: float | None = None,
        normalize: str = "mean_std",
        padding_value: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if normalize not in NORMALIZATIONS:
            raise ValueError(f"normalize is {normalize!r}, and none of {', '.join(NORMALIZATIONS)}")
        if not 0 < hop_length <= win_length <= n_fft:
            raise ValueError(
                f"hop_length {hop_length}, win_length {win_length} and n_fft {n_fft} must be above"
                " 0 and in this order"
            )
        super().__init__(feature_size, sampling_rate, padding_value, **kwargs)
        self.win_length = win_length
        self.hop_length = hop_length
        self.n_fft = n_fft
        self.min_frequency = min_frequency
        self.max_frequency = max_frequency
        self.normalize = normalize

    def __call__(
        self,
        raw_speech: "npt.ArrayLike | Tensor | list[Any]",
        sampling_rate: int | None = None,
        padding: bool | str = True,
        max_length: int | None = None,
        truncation: bool = False,
        pad_to_multiple_of: int | None = None,
        return_tensors: str | None = None,
        return_attention_mask: bool | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Features float32 and mask int64; frames of padding are `padding_value` (0).

        `padding`, `max_length` (in frames) and the rest are as in `SequenceFeatureExtractor.pad`.

        Args:
            raw_speech: one utterance [samples], or several, each [samples], in [-1, 1].
            sampling_rate: of the samples; a ValueError where it isn't the extractor's.
        """
        if sampling_rate is None:
            logger.warning_once(
                f"pass sampling_rate to {type(self).__name__}: without it a wrong one goes unseen"
            )
        elif sampling_rate != self.sampling_rate:
            raise ValueError(
                f"the features are of sound with {self.sampling_rate} samples a second, and this"
                f" has {sampling_rate}: resample it before"
            )
        features = [self._features(waveform) for waveform in _utterances(raw_speech)]
        batch = self.pad(
            BatchFeature({"input_features": features}),
            padding=padding,
            max_length=max_length,
            truncation=truncation,
            pad_to_multiple_of=pad_to_multiple_of,
            return_attention_mask=return_attention_mask,
        )
        if "attention_mask" in batch:
            batch["attention_mask"] = [mask.astype(np.int64) for mask in batch["attention_mask"]]
        return batch if return_tensors is None else batch.convert_to_tensors(return_tensors)

    def frames(self, samples: "int | npt.NDArray[np.int64]") -> Any:
        """How many frames so many samples make: at least one."""
        return np.maximum(samples - self.win_length, 0) // self.hop_length + 1

    def _features(self, waveform: _Floats) -> _Floats:
        """float32 [samples] to float32 [frames, mel bins].

        In numpy: a batch of short clips is hundreds of small operations, which torch would hand to
        all threads, one by one.
        """
        if len(waveform) < self.win_length:
            waveform = np.pad(waveform, (0, self.win_length - len(waveform)))
        window, filters = _tables(
            self.win_length,
            self.n_fft,
            self.feature_size,
            self.sampling_rate,
            self.min_frequency,
            self.sampling_rate / 2 if self.max_frequency is None else self.max_frequency,
        )
        framed = np.lib.stride_tricks.sliding_window_view(waveform, self.win_length)
        framed = framed[:: self.hop_length]
        features = np.empty((len(framed), self.feature_size), np.float32)
        for start in range(0, len(framed), _BLOCK):
            spectrum = np.fft.rfft(framed[start : start + _BLOCK] * window, self.n_fft)
            power = spectrum.real**2 + spectrum.imag**2
            features[start : start + _BLOCK] = np.log(power @ filters + np.float32(FLOOR))
        if self.normalize != "none":
            features -= features.mean(0, dtype=np.float64).astype(np.float32)
        if self.normalize == "mean_std":
            features /= np.maximum(np.sqrt(np.square(features).mean(0)), np.float32(LEAST_STD))
        return features


def _utterances(raw_speech: Any) -> list[_Floats]:
    """One utterance or several as float32 [samples]."""
    several = isinstance(raw_speech, list | tuple) and (
        len(raw_speech) == 0 or np.ndim(raw_speech[0]) > 0
    )
    if isinstance(raw_speech, np.ndarray | Tensor) and raw_speech.ndim == 2:
        several = True
    waveforms = [
        np.asarray(one.detach().cpu() if isinstance(one, Tensor) else one, np.float32)
        for one in (raw_speech if several else [raw_speech])
    ]
    for waveform in waveforms:
        if waveform.ndim != 1:
            raise ValueError(
                f"an utterance is one channel [samples], not {list(waveform.shape)}: mix it down"
            )
    return waveforms


@functools.lru_cache(maxsize=8)
def _tables(
    win_length: int, n_fft: int, bins: int, rate: int, low: float, high: float
) -> tuple[_Floats, _Floats]:
    """The window [win_length] and the filters [n_fft // 2 + 1, bins], float32."""
    filters = mel_filter_bank(
        num_frequency_bins=n_fft // 2 + 1,
        num_mel_filters=bins,
        min_frequency=low,
        max_frequency=high,
        sampling_rate=rate,
        norm="slaney",
        mel_scale="slaney",
    )
    window = np.hanning(win_length + 1)[:-1]  # periodic, as torch.hann_window
    return window.astype(np.float32), filters.astype(np.float32)
