"""Sound as a picture."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.axes import Axes

WINDOW = 0.025  # seconds; as of the features
STEP = 0.010
DEPTH = 80.0  # dB below the loudest that are shown
WIDEST = 2_000  # columns: a long sound takes wider steps


def spectrogram(axes: "Axes", x: "npt.NDArray[np.float32]", rate: int, title: str) -> None:
    """A spectrogram in dB of the loudest, seconds over kHz, in matplotlib axes.

    Args:
        x: float32 [samples]; silence and less than a window are drawn as well.
        title: plain text; "$" starts no formula.
    """
    import numpy as np

    size = max(2, round(WINDOW * rate))
    step = max(1, round(STEP * rate), len(x) // WIDEST)
    padded = np.pad(x, (0, max(0, size - len(x))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::step]  # [frames, size]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)))  # [frames, bins]
    top = float(power.max())
    decibels = 10 * np.log10(np.maximum(power, 1e-12) / max(top, 1e-12))
    axes.imshow(
        decibels.T,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=-DEPTH,
        vmax=0,
        extent=(0, len(padded) / rate, 0, rate / 2000),
        interpolation="nearest",
    )
    axes.set_title(title, parse_math=False)
    axes.set_xlabel("s")
    axes.set_ylabel("kHz")
