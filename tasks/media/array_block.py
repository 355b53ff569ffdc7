"""Many arrays in one piece of memory, so that processes forked from this one share it."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class ArrayBlock:
    """Arrays end to end: a few large buffers, whatever their number.

    They may differ in shape; those that differ in dtype or rank from the first are kept apart.
    """

    def __init__(self, expected: int, most_bytes: int) -> None:
        """`expected`: about how many arrays there will be; `most_bytes`: of all together."""
        self._expected = expected
        self._most_bytes = most_bytes
        self._rank = 0
        self._flat: npt.NDArray[Any] | None = None
        self._end = 0
        self._ends: list[int] = []
        self._shapes: list[tuple[int, ...]] = []
        self._odd: dict[int, npt.NDArray[Any]] = {}
        self._offsets = np.zeros(1, np.int64)
        self._shape_table = np.zeros((0, 0), np.int64)
        self.uniform = False

    def extend(self, arrays: Iterable[npt.NDArray[Any]]) -> None:
        for array in arrays:
            if self._flat is None:
                # Pages are taken only when written to: too large a guess costs nothing.
                most = self._most_bytes // max(array.itemsize, 1)
                self._flat = np.empty(min(array.size * self._expected, most), array.dtype)
                self._rank = array.ndim
            if array.dtype != self._flat.dtype or array.ndim != self._rank:
                self._odd[len(self._ends)] = np.array(array)
                self._shapes.append((0,) * self._rank)
            else:
                self._reserve(self._end + array.size)
                self._flat[self._end : self._end + array.size] = array.reshape(-1)
                self._end += array.size
                self._shapes.append(array.shape)
            self._ends.append(self._end)

    def _reserve(self, size: int) -> None:
        assert self._flat is not None
        if size > len(self._flat):
            # resize() moves pages and does not copy them, but writes to all that are new
            self._flat.resize(max(size, len(self._flat) * 5 // 4), refcheck=False)

    def seal(self) -> None:
        """Give back the memory that is not needed, and make the arrays readable: no more will be
        added."""
        if self._flat is None:
            return
        self._flat.resize(self._end, refcheck=False)
        self._offsets = np.array([0, *self._ends], np.int64)
        self._shape_table = np.array(self._shapes, np.int64).reshape(len(self._ends), self._rank)
        self.uniform = not self._odd and bool((self._shape_table == self._shape_table[:1]).all())
        self._ends, self._shapes = [], []

    def __getitem__(self, i: int) -> npt.NDArray[Any]:
        """Return a copy of the `i`-th array."""
        if i in self._odd:
            return self._odd[i].copy()
        assert self._flat is not None
        part = self._flat[self._offsets[i] : self._offsets[i + 1]]
        return part.reshape(tuple(self._shape_table[i])).copy()

    def many(self, indices: Sequence[int] | npt.NDArray[np.integer[Any]]) -> npt.NDArray[Any]:
        """Copies of several, stacked; only where all are of one shape (`uniform`)."""
        assert self._flat is not None
        stacked = self._flat.reshape(self._shape_table.shape[:1] + tuple(self._shape_table[0]))
        return np.asarray(stacked[np.asarray(indices, np.int64)])
