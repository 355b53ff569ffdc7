"""Random numbers that are a pure function of (seed, epoch, sample, name).

Nothing is drawn from a stream, so nothing random need be saved: a sample is augmented alike in
whatever batch, process or resumed run it comes. Counter-based, after Salmon et al. 2011 ("Parallel
Random Numbers: As Easy as 1, 2, 3"); the mixing function is SplitMix64's (Steele et al. 2014).
"""

import copy
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

_MOST_OF_SAMPLE = 1 << 24  # numbers of a sample that have an id of their own
AugmentStrength = Literal["none", "weak", "standard", "strong"]


@dataclass(frozen=True)
class EpochView:
    """How training sees its samples in one epoch; all randomness of a sample is derived from it."""

    seed: int
    epoch: int
    strength: AugmentStrength = "standard"
    """weak and strong are the two views of semi-supervised learning"""


class SampleRandom:
    """Random numbers for some samples under one view: one number per sample for every name."""

    def __init__(
        self, view: EpochView | Sequence[EpochView], ids: Sequence[int] | npt.NDArray[np.int64]
    ) -> None:
        """Make the random numbers of samples by their ids; `view` is one for all samples, or one
        per sample."""
        self.ids = np.asarray(ids, np.uint64)
        views = [view] if isinstance(view, EpochView) else view
        if views and all(one is views[0] for one in views):  # as nearly always; hashing takes long
            views = views[:1]
        keys = {one: _key(one) for one in set(views)}
        self._key = np.array([keys[one] for one in views], np.uint64)  # [1] or [samples]
        with np.errstate(over="ignore"):
            self._mixed_ids = _mix(self.ids + self._key)
        self._drawn: dict[str, npt.NDArray[np.uint64]] = {}

    def part(self, places: Sequence[int]) -> "SampleRandom":
        """Return the same random numbers of some of the samples, by their places."""
        found = copy.copy(self)
        found.ids, found._mixed_ids = self.ids[places], self._mixed_ids[places]
        found._key = self._key if len(self._key) == 1 else self._key[places]
        found._drawn = {}
        return found

    def bits(self, name: str) -> npt.NDArray[np.uint64]:
        """Return random integers, uniform over all of uint64: uint64 [samples]."""
        if name not in self._drawn:  # who goes sample by sample asks for each name many times
            with np.errstate(over="ignore"):
                salt = np.uint64(zlib.crc32(name.encode())) * np.uint64(0x9E3779B97F4A7C15)
                self._drawn[name] = _mix(self._mixed_ids ^ _mix(salt + self._key))
        return self._drawn[name]

    def uniform(
        self, name: str, low: float | npt.NDArray[np.float64] = 0.0, high: float = 1.0
    ) -> npt.NDArray[np.float64]:
        """Return random numbers, uniform in [low, high): float64 [samples]; `low` is one for all,
        or one per sample."""
        return low + (high - low) * (self.bits(name) >> np.uint64(11)).astype(np.float64) / 2**53

    def integers(self, name: str, high: int) -> npt.NDArray[np.int64]:
        """Return random integers, uniform over 0 .. high - 1: int64 [samples]."""
        return np.minimum((self.uniform(name) * high).astype(np.int64), high - 1)

    def generator(self, i: int, name: str) -> np.random.Generator:
        """Return a random generator of its own for the i-th sample, if one number is not enough."""
        return np.random.Generator(np.random.Philox(key=int(self.bits(name)[i])))


def normal_rows(
    views: EpochView | Sequence[EpochView], ids: Sequence[int], count: int, name: str
) -> npt.NDArray[np.float32]:
    """Return `count` standard normal numbers for each sample, float32 [samples, count]: a function
    of its id and its view alone (Box & Muller 1958).

    Args:
        views: one for all samples, or one per sample.
        ids: below 2**39.
        count: at most 2**24.
    """
    each = [views] * len(ids) if isinstance(views, EpochView) else views
    numbers = np.asarray(ids, np.int64)[:, None] * _MOST_OF_SAMPLE + np.arange(count)
    rows = np.empty((len(ids), count), np.float32)
    for view in set(each):
        own = [i for i, other in enumerate(each) if other == view]
        random = SampleRandom(view, numbers[own].ravel())
        radius = np.sqrt(-2 * np.log1p(-random.uniform(f"{name} radius")))
        found = radius * np.cos(2 * np.pi * random.uniform(f"{name} angle"))
        rows[own] = found.reshape(len(own), count)
    return rows


def _key(view: EpochView) -> np.uint64:
    entropy = [view.seed, view.epoch, zlib.crc32(view.strength.encode())]
    return np.uint64(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])


def _mix(x: npt.NDArray[np.uint64] | np.uint64) -> npt.NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        x = np.asarray(x + np.uint64(0x9E3779B97F4A7C15), np.uint64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))
