"""The metrics of objectives without labels: sums over each sample's targets, by id.

Every metric is a ratio of two sums over all samples, perhaps the exponential of one: a loss over
its targets, hits over targets. Intervals come from resampling the samples, not the targets: those
of one text or image go together.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.metrics import intervals
from tasks.metrics.arithmetic import Floats, Ints
from tasks.metrics.intervals import DRAWS, MetricEstimate, SampleStatistics

_FORMAT = 1  # of `state()`
_NAN = float("nan")

_Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Ratio:
    """A metric: the sum of column `over` divided by that of `under`; e to that where `exp`."""

    name: str
    over: int
    under: int
    exp: bool = False

    def of(self, sums: Floats) -> Floats:
        """The values [...] of sums [..., columns]; nan where the divisor is 0."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = sums[..., self.over] / sums[..., self.under]
            ratio = np.where(sums[..., self.under] > 0, ratio, _NAN)
            values: Floats = np.exp(ratio) if self.exp else ratio
        return values


class RatioMetric:
    """Sums of each sample of one evaluation, and the ratios computed from them.

    A sample id counts once, however often and in whichever process it was seen: all results are
    functions of the set of samples, so one process and many agree bit for bit.
    """

    def __init__(self, ratios: Sequence[Ratio]) -> None:
        self.ratios = tuple(ratios)
        self.columns = 1 + max(max(ratio.over, ratio.under) for ratio in ratios)
        self._chunks: list[tuple[Ints, Floats]] = [
            (np.empty(0, np.int64), np.empty((0, self.columns)))
        ]

    def __len__(self) -> int:
        """The number of distinct samples."""
        return len(self._sums()[0])

    def update(self, ids: _Array, sums: _Array) -> None:
        """Count a batch: integers [b], and sums [b, columns]. Else: ValueError."""
        ids, sums = np.asarray(ids), np.asarray(sums)
        if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
            raise ValueError(f"ids must be integers [b], not {ids.dtype} {list(ids.shape)}")
        if sums.shape != (len(ids), self.columns):
            raise ValueError(f"{len(ids)} ids and sums of shape {list(sums.shape)}")
        self._chunks.append((ids.astype(np.int64), sums.astype(np.float64)))

    def state(self) -> dict[str, _Array]:
        """All that was counted, as plain numeric arrays to send or to save; `merge` takes it.

        header int64 [2]: format and columns; ids int64 [n]; sums float64 [n, columns].
        """
        ids, sums = self._sums()
        header = np.array([_FORMAT, self.columns], np.int64)
        return {"header": header, "ids": ids.copy(), "sums": sums.copy()}

    def merge(self, states: Iterable[Mapping[str, _Array]]) -> "RatioMetric":
        """One accumulator of the same ratios of several processes' states, in any order.

        No states, or one of another kind: ValueError.
        """
        states = list(states)
        headers = {tuple(int(number) for number in state["header"]) for state in states}
        if headers != {(_FORMAT, self.columns)}:
            raise ValueError(f"cannot merge {len(states)} states with headers {sorted(headers)}")
        accumulator = RatioMetric(self.ratios)
        for state in states:
            accumulator.update(state["ids"], state["sums"])
        return accumulator

    def compute(self, level: float = 0.95, draws: int = DRAWS) -> list[MetricEstimate]:
        """Each ratio with a bootstrap interval over samples (Efron 1979); none with 0 `draws`."""
        ids, sums = self._sums()
        n = len(ids)
        drawn: list[list[Floats]] = [[np.empty(0)] for _ in self.ratios]
        for weights in intervals.resamples(np.ones(n, np.int64), draws):
            resampled = weights @ sums  # [draws, columns]
            for ratio, values in zip(self.ratios, drawn, strict=True):
                found = ratio.of(resampled)
                values.append(found[np.isfinite(found)])
        total = sums.sum(0)
        return [
            intervals.percentile(
                ratio.name, float(ratio.of(total)), n, np.concatenate(values), level
            )
            for ratio, values in zip(self.ratios, drawn, strict=True)
        ]

    def confusion_matrix(self) -> Ints:
        """ValueError: there are no classes."""
        raise ValueError("what has no classes has no confusion matrix")

    def sample_statistics(self, metric: str) -> SampleStatistics:
        """What one of the ratios is computed from: the sums of each sample."""
        ids, sums = self._sums()
        ratio = next(ratio for ratio in self.ratios if ratio.name == metric)
        return SampleStatistics(ids, sums, lambda rows, weights: ratio.of(weights @ rows))

    def _sums(self) -> tuple[Ints, Floats]:
        """Ids and sums of the distinct samples, by id; leaves one chunk.

        A sum may differ between batches in a last bit. Which repeat counts must depend on what they
        are, not on which came first: the least.
        """
        if len(self._chunks) > 1:
            ids = np.concatenate([chunk[0] for chunk in self._chunks])
            sums = np.concatenate([chunk[1] for chunk in self._chunks])
            order = np.lexsort((*sums.T[::-1], ids))
            ids, sums = ids[order], sums[order]
            first = np.ones(len(ids), np.bool_)
            first[1:] = ids[1:] != ids[:-1]
            self._chunks = [(ids[first], sums[first])]
        return self._chunks[0]
