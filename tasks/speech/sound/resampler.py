"""Sound that comes piece by piece, at another rate."""

from typing import TYPE_CHECKING

from tasks.speech.sound.audio import REACH, ratio, resample

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Resampler:
    """Samples at another rate as they come: together they are what `resample` makes of the whole
    sound, to the last bit, however it was cut."""

    def __init__(self, rate: int, to: int) -> None:
        """Begin a sound of `rate` samples a second that is wanted at `to`."""
        import numpy as np

        self._rates = rate, to
        self._up, self._down = ratio(rate, to)
        self._reach = REACH * max(self._up, self._down)  # in samples at rate x up
        self._waiting: npt.NDArray[np.float32] = np.zeros(0, np.float32)
        self._begin = 0  # of what waits, in samples: a multiple of `down`
        self._given = 0  # samples given back so far

    def push(self, samples: "npt.NDArray[np.float32]") -> "npt.NDArray[np.float32]":
        """Return what samples float32 [samples] have completed, float32 [fewer or more]."""
        import numpy as np

        if self._rates[0] == self._rates[1]:
            return samples
        self._waiting = np.concatenate([self._waiting, samples])
        end = self._begin + len(self._waiting)
        return self._take(((end - 1) * self._up - self._reach) // self._down)

    def finish(self) -> "npt.NDArray[np.float32]":
        """Return the rest, float32 [samples]: behind the end of the sound there is silence."""
        end = self._begin + len(self._waiting)
        return self._take(-(-end * self._up // self._down))

    def _take(self, until: int) -> "npt.NDArray[np.float32]":
        """Return the samples from the last that were given up to `until`."""
        import numpy as np

        if self._rates[0] == self._rates[1] or until <= self._given:
            return np.zeros(0, np.float32)
        first = self._begin // self._down * self._up
        found = resample(self._waiting, *self._rates)[self._given - first : until - first]
        self._given = until
        # the next one reaches back to here; whole multiples of `down`, so that the phase stays
        needed = max(0, until * self._down - self._reach) // self._up // self._down * self._down
        needed = max(needed - self._down, self._begin)
        self._waiting = self._waiting[needed - self._begin :]
        self._begin = needed
        return found
