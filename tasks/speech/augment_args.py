"""What can be said about the augmentation of sounds; light, for the command line."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from tasks.bounds import Bounds, Share
from tasks.variations import Variations

QUIETEST_NOISE = 40.0  # dB below the signal: nobody hears it
STILL = {
    "speed": 0.0,
    "gain_db": 0.0,
    "noise_db": QUIETEST_NOISE,
    "time_shift": 0.0,
    "pauses": 0.0,
    "freq_mask": 0,
    "freq_masks": 0,
    "time_mask": 0.0,
    "time_masks": 0,
}
"""Values that vary nothing."""


@dataclass(frozen=True)
class AugmentArgs(Variations):
    """How training sounds are varied, anew in every epoch."""

    UNUSED: ClassVar = {"none": STILL}

    augment: Literal["default", "none"] = "default"
    """default: the variations below; none: sounds as they are"""
    speed: Annotated[float, Bounds(0, 0.5)] = 0.1
    """largest random change of speed, and of pitch with it: 0.1 is 0.9 to 1.1 times as fast"""
    gain_db: Annotated[float, Bounds(0, 60)] = 6.0
    """largest random change of loudness, in dB"""
    noise_db: Annotated[float, Bounds(-20, QUIETEST_NOISE)] = 10.0
    """lowest signal-to-noise ratio of random noise in half of the samples, in dB; 40 adds none"""
    time_shift: Annotated[float, Bounds(0, 0.9)] = 0.0
    """largest random shift, as a share of the length: silence comes in and the other end is cut"""
    pauses: Annotated[float, Bounds(0, 60)] = 0.0
    """most seconds of near silence that are put before and behind a sound, each by chance; what
    hears a stream wants 2"""
    freq_mask: Annotated[int, Bounds(0, 1000)] = 15
    """most neighbouring mel bins that one mask blanks"""
    freq_masks: Annotated[int, Bounds(0, 100)] = 2
    """masks of mel bins"""
    time_mask: Share = 0.1
    """most neighbouring frames that one mask blanks, as a share of all"""
    time_masks: Annotated[int, Bounds(0, 100)] = 2
    """masks of frames"""
