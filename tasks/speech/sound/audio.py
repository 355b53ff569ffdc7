"""Sound files to samples: one channel, one rate, and bounded before anything is decoded.

libsndfile (through soundfile) reads wav, flac, mp3, ogg and their kin. What a file claims in its
header is held against the limits first, so that an hour of silence in 100 kB costs nothing; what it
then gives is held against its claim. Ogg claims no length: of a file cut short, what is there is
taken for all of it.
"""

import functools
import io
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.media.source import BadFile, MediaKind
from tasks.speech.sound import riff

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import soundfile

AUDIO = MediaKind(
    name="audio",
    suffixes=frozenset(
        {".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".au", ".caf"}
    ),
    columns=("audio", "file", "file_name", "path", "wav", "sound", "speech", "clip", "recording"),
)

MOST_CHANNELS = 8
RATES = (1_000, 400_000)
"""Lowest and highest samples a second that are believed."""
ENOUGH = 0.9
"""A file cut short is used as it is when so much of its claim is there, and is bad below."""
BLOCK = 8_192  # frames read at once: what is lost of a broken file, at most
LONGEST_PATH = 1_000  # bytes; libsndfile's own limit is 1,024
FINEST_RATIO = 20_000  # largest factor of a resampling: its filter has 20 coefficients for each
REACH = 10
"""Samples of the lower of two rates that a resampled one depends on, on each side."""

Media = Mapping[str, Any]
"""`bytes` (the file's content) or `path`, as of `datasets.Audio(decode=False)`."""


@dataclass(frozen=True)
class Info:
    """The rate and length of a sound, as its file's header says."""

    rate: int
    """samples a second"""
    channels: int
    seconds: float


def info(media: Media) -> Info:
    """Read the header of a sound and nothing else. Raises `BadFile` where it is none, or claims the
    impossible."""
    with _open(media) as file:
        return _info(file)


def seconds(media: Media) -> float:
    """Return the length of a sound in seconds, by its header. Raises `BadFile` as `info` does."""
    return info(media).seconds


def decode(
    media: Media, *, rate: int, max_seconds: float, min_seconds: float = 0.0
) -> "npt.NDArray[np.float32]":
    """The samples, float32 [samples] in [-1, 1], channels averaged, at `rate` a second.

    A file of one channel at `rate` gives soundfile's samples to the last bit. Raises `BadFile` for
    what is no sound file, has nothing in it, is longer or shorter than asked, lacks more than a
    tenth of what its header claims, or holds values that are no numbers.
    """
    import numpy as np

    with _open(media) as file:
        own = _info(file)
        if own.seconds > max_seconds:
            raise BadFile(too_long(own.seconds, max_seconds))
        claimed = max(file.frames, riff.claimed_frames(_source(media)) or 0)
        mono = _read(file, most=int(max_seconds * own.rate) + 1)
    there = len(mono) / own.rate
    if not len(mono):
        raise BadFile("no samples in it")
    if there > max_seconds:
        raise BadFile(too_long(there, max_seconds, "at least "))
    if len(mono) < ENOUGH * claimed:
        raise BadFile(f"truncated: {there:,.3g} of {claimed / own.rate:,.3g} s")
    if there < min_seconds:
        raise BadFile(f"{there:,.3g} s, shorter than `min_seconds` {min_seconds:g}")
    if not np.isfinite(mono).all():
        raise BadFile("samples that are no finite numbers")
    return resample(mono, own.rate, rate)


def resample(samples: "npt.NDArray[np.float32]", rate: int, to: int) -> "npt.NDArray[np.float32]":
    """Samples at another rate, float32 [ceil(samples * to / rate), or nearly].

    Polyphase filtering with scipy's Kaiser window (beta 5). A ratio of large factors, 44,101 to
    16,000, is taken as the nearest of factors to 20,000, which is off by at most 1 in 20,000.
    """
    if rate == to or not len(samples):
        return samples
    import numpy as np
    from scipy.signal import resample_poly

    up, down = ratio(rate, to)
    done = resample_poly(samples, up, down, window=_filter(max(up, down)))
    return np.asarray(done, np.float32)


def ratio(rate: int, to: int) -> tuple[int, int]:
    """Return by which factors `resample` goes up and down from one rate to another."""
    exact = Fraction(to, rate)
    largest = max(exact.numerator, exact.denominator)
    if largest > FINEST_RATIO:
        exact = exact.limit_denominator(max(1, FINEST_RATIO * exact.denominator // largest))
    return exact.numerator, exact.denominator


@functools.lru_cache(maxsize=8)
def _filter(factor: int) -> "npt.NDArray[np.float32]":
    """Return the filter of `scipy.signal.resample_poly`, designed once and not for each file."""
    import numpy as np
    from scipy.signal import firwin

    return np.asarray(
        firwin(2 * REACH * factor + 1, 1 / factor, window=("kaiser", 5.0)), np.float32
    )


def _read(file: "soundfile.SoundFile", most: int) -> "npt.NDArray[np.float32]":
    """Return at most so many frames, or what there is before the place where a file breaks."""
    import numpy as np
    import soundfile

    parts: list[npt.NDArray[np.float32]] = []
    left = most
    while left > 0:
        try:
            block = file.read(min(left, BLOCK), dtype="float32", always_2d=True)
        except soundfile.LibsndfileError:
            break
        if not len(block):
            break
        left -= len(block)
        parts.append(block[:, 0] if block.shape[1] == 1 else block.mean(axis=1))
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _info(file: "soundfile.SoundFile") -> Info:
    if not RATES[0] <= file.samplerate <= RATES[1]:
        raise BadFile(f"{file.samplerate:,} samples a second, outside {RATES[0]:,} to {RATES[1]:,}")
    if file.channels > MOST_CHANNELS:
        raise BadFile(f"{file.channels} channels, more than the limit of {MOST_CHANNELS}")
    if file.frames <= 0:
        raise BadFile("no samples in it")
    return Info(file.samplerate, file.channels, file.frames / file.samplerate)


def _source(media: Media) -> bytes | Path:
    content = media.get("bytes")
    if content is not None:
        return bytes(content)
    if not media.get("path"):
        raise BadFile("neither bytes nor a path")
    return Path(media["path"])


def _open(media: Media) -> "soundfile.SoundFile":
    import soundfile

    source = _source(media)
    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the name
        reason = getattr(problem, "strerror", None) or str(problem)
        raise BadFile(f"can't be opened: {reason}") from None
    if size == 0:
        raise BadFile("empty: 0 bytes")
    if isinstance(source, Path) and source.suffix.lower() == ".raw":
        raise BadFile("raw samples, whose rate and type nothing tells")
    name: io.BytesIO | bytes | int
    if isinstance(source, bytes):
        name = io.BytesIO(source)
    else:
        name = os.fsencode(source)
        if len(name) > LONGEST_PATH:
            name = os.open(name, os.O_RDONLY)  # libsndfile closes it
    try:
        return soundfile.SoundFile(name)
    except soundfile.LibsndfileError as problem:
        reason = problem.error_string.rstrip(".")
        raise BadFile(f"not a sound file that can be read: {reason}") from None


def too_long(found: float, limit: float, prefix: str = "") -> str:
    """Return what is wrong with a sound that lasts longer than it may, in seconds."""
    shown = math.floor(found * 10) / 10
    return f"{prefix}{shown:,g} s, longer than `max_seconds` {limit:g}"
