"""The metrics of objectives without labels: sums over each sample's targets, by id.

Every metric is a ratio of two sums over all samples, perhaps the exponential of one: a loss over
its targets, hits over targets. Intervals come from resampling the samples, not the targets: those
of one text or image go together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.metrics import intervals
from tasks.metrics.accumulator import MetricAccumulator, by_id, checked_ids
from tasks.metrics.arithmetic import Floats, Ints
from tasks.metrics.intervals import DRAWS, MetricEstimate, SampleStatistics

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


class RatioMetric(MetricAccumulator):
    """Sums of each sample of one evaluation, and the ratios computed from them."""

    def __init__(self, ratios: Sequence[Ratio], columns: int | None = None) -> None:
        """Start with no samples; there are as many columns as the ratios name, or more."""
        self.ratios = tuple(ratios)
        self.columns = columns or 1 + max(max(ratio.over, ratio.under) for ratio in ratios)
        super().__init__((np.empty(0, np.int64), np.empty((0, self.columns))), self.columns)

    def update(self, ids: _Array, sums: _Array) -> None:
        """Count a batch: integers [b], and sums [b, columns]. Else: ValueError."""
        self._append(self._checked(ids, sums))

    def _checked(self, ids: _Array, sums: _Array) -> tuple[Ints, Floats]:
        ids, sums = checked_ids(ids), np.asarray(sums)
        if sums.shape != (len(ids), self.columns):
            raise ValueError(f"{len(ids)} ids and sums of shape {list(sums.shape)}")
        return ids, sums.astype(np.float64)

    def compute(self, level: float = 0.95, draws: int = DRAWS) -> list[MetricEstimate]:
        """Each ratio with a bootstrap interval over samples (Efron 1979); none with 0 `draws`."""
        _, sums = self._resampled()
        total = sums.sum(0)
        values = {ratio.name: float(ratio.of(total)) for ratio in self.ratios}

        def scores(weights: Ints) -> dict[str, Floats]:
            resampled = weights @ sums  # [draws, columns]
            return {ratio.name: ratio.of(resampled) for ratio in self.ratios}

        return intervals.bootstrap(values, scores, np.ones(len(sums), np.int64), level, draws)

    def sample_statistics(self, metric: str) -> SampleStatistics:
        """What one of the ratios is computed from: the sums of each sample."""
        ids, sums = self._resampled()
        ratio = next(ratio for ratio in self.ratios if ratio.name == metric)
        return SampleStatistics(ids, sums, lambda rows, weights: ratio.of(weights @ rows))

    def _resampled(self) -> tuple[Ints, Floats]:
        """Return what an interval resamples, one number each and sorted, and the sums of each."""
        ids, sums, *_ = self._columns()
        return ids, sums

    def _distinct(self, chunks: Sequence[Any]) -> tuple[Any, ...]:
        ids, sums = (np.concatenate(column) for column in zip(*chunks, strict=True))
        order = by_id(ids, [sums[:, ::-1]])
        return ids[order], sums[order]

    def _packed(self, columns: Any) -> dict[str, _Array]:
        return dict(zip(("ids", "sums"), columns, strict=True))

    def _unpacked(self, state: Mapping[str, _Array]) -> tuple[Any, ...]:
        return state["ids"], state["sums"]
