"""Flags of log-mel features, for the models that make them from scratch; imports no torch."""

from dataclasses import dataclass
from typing import Annotated

from tasks.bounds import Bounded, Bounds, Count

Samples = Annotated[int, Bounds(2, 2**16)]


@dataclass(frozen=True)
class LogMelArgs(Bounded):
    """How a sound becomes log-mel features; see `zoo.speech.mel`.

    As in torchaudio and librosa, a frame is as long as its FFT unless it is said to be shorter.
    """

    sampling_rate: Count = 16_000
    """samples a second that sounds are brought to"""
    num_mel_bins: Count = 80
    """mel bins of the features"""
    n_fft: Samples | None = None
    """samples of the Fourier transform, to which a shorter frame is extended with zeros; 512 by
    default, or what the frame needs"""
    win_length: Samples | None = None
    """samples of a frame; by default n_fft where that is given, else 400 (25 ms at 16,000 a
    second)"""
    hop_length: Samples = 160
    """samples from one frame to the next (10 ms at 16,000 a second)"""
