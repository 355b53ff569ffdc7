"""Noise and rooms, made on the spot."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

QUIET = 1e-5
"""Root mean square below which a sound is silence: nobody could hear it, -100 dB of full scale."""


def rms(x: "npt.NDArray[np.float32]") -> float:
    """Root mean square, in the samples' unit; 0 for none."""
    import numpy as np

    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))) if len(x) else 0.0


def coloured(
    samples: int, exponent: float, random: "np.random.Generator"
) -> "npt.NDArray[np.float32]":
    """Noise with a power of 1/f^exponent, rms 1: 0 is white, 1 pink, 2 brown; float32 [samples]."""
    import numpy as np
    from scipy import fft

    size = fft.next_fast_len(max(samples, 2), real=True)
    spectrum = fft.rfft(random.standard_normal(size, np.float32))
    shape = np.arange(1, len(spectrum) + 1, dtype=np.float32) ** np.float32(-exponent / 2)
    shape[0] = 0  # nothing at 0 Hz
    made = fft.irfft(spectrum * shape, size)[:samples]
    return np.asarray(made / max(rms(made), 1e-12), np.float32)


def hum(samples: int, rate: int, random: "np.random.Generator") -> "npt.NDArray[np.float32]":
    """A mains hum with its first harmonics, rms 1, float32 [samples]."""
    import numpy as np

    base = random.choice([50.0, 60.0])
    time = np.arange(samples) / rate
    made = sum(
        random.uniform(0.2, 1)
        / order
        * np.sin(2 * np.pi * (base * order * time + random.uniform()))
        for order in range(1, 7)
    )
    return np.asarray(made / max(rms(made), 1e-12), np.float32)


def mixed(
    x: "npt.NDArray[np.float32]", made: "npt.NDArray[np.float32]", snr_db: float
) -> "npt.NDArray[np.float32]":
    """Sound with noise of rms 1 at a signal-to-noise ratio in dB; silence stays silence."""
    import numpy as np

    level = rms(x)
    if level < QUIET:
        return x
    return x + made * np.float32(level / 10 ** (snr_db / 20))


def room(
    x: "npt.NDArray[np.float32]",
    rate: int,
    decay: float,
    direct_db: float,
    random: "np.random.Generator",
) -> "npt.NDArray[np.float32]":
    """Sound with a room around it, as long as it was.

    The room's response is white noise that falls by 60 dB in `decay` seconds (Polack's model)
    behind the direct sound, which has `direct_db` more energy than all of it.
    """
    import numpy as np
    from scipy.signal import fftconvolve

    time = np.arange(1, max(2, round(decay * rate)), dtype=np.float32) / rate
    tail = random.standard_normal(len(time), np.float32) * np.exp(-6.91 * time / decay)
    tail *= 10 ** (-direct_db / 20) / np.sqrt(np.square(tail).sum())
    response = np.concatenate([np.ones(1, np.float32), tail.astype(np.float32)])
    return np.asarray(fftconvolve(x, response)[: len(x)], np.float32)
