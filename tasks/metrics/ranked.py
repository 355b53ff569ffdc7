"""A metric of single labels that also knows how high the true label was ranked."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.metrics import intervals
from tasks.metrics.accumulator import Answer, by_id
from tasks.metrics.classification import ClassificationMetric
from tasks.metrics.intervals import DRAWS, MetricEstimate, SampleStatistics

_Array = npt.NDArray[Any]


class TopKMetric(ClassificationMetric):
    """`ClassificationMetric` for single labels with top-k accuracy: the true label is among the k
    best."""

    def __init__(self, num_labels: int, k: int) -> None:
        super().__init__("single_label_classification", num_labels, k)
        self.k = k
        self._chunks = [(*self._chunks[0], np.empty(0, np.int64))]

    def update_ranked(
        self, ids: _Array, predictions: _Array, references: _Array, ranks: _Array
    ) -> None:
        """`update`, with the number of labels ranked above the true one, integers [b]."""
        columns = self._checked(ids, predictions, references)
        self._append((*columns, np.asarray(ranks, np.int64)))

    def _distinct(self, chunks: Sequence[Any]) -> tuple[_Array, ...]:
        """As `ClassificationMetric` has it; of repeats the lowest rank counts, whichever came
        first."""
        ids, ranks = (np.concatenate([chunk[i] for chunk in chunks]) for i in (0, 3))
        return (*super()._distinct([chunk[:3] for chunk in chunks]), ranks[by_id(ids, [ranks])])

    def _packed(self, columns: tuple[_Array, ...]) -> dict[str, _Array]:
        return super()._packed(columns[:3]) | {"ranks": columns[3]}

    def _unpacked(self, state: Mapping[str, _Array]) -> tuple[_Array, ...]:
        return (*super()._unpacked(state), state["ranks"])

    def compute(self, level: float = 0.95, draws: int = DRAWS) -> list[MetricEstimate]:
        """Return the metrics of `ClassificationMetric`, with top-k accuracy behind accuracy
        (Wilson)."""
        accuracy, *others = super().compute(level, draws)
        *_, ranks = self._columns()
        share = float((ranks < self.k).mean()) if len(ranks) else float("nan")
        top = intervals.wilson(f"top{self.k}_accuracy", share, len(ranks), level)
        return [accuracy, top, *others]

    def _constant(self) -> tuple[Answer, tuple[_Array, ...]] | None:
        """As `ClassificationMetric` has it; the other labels are ranked by how common they are."""
        found = super()._constant()
        if found is None:
            return None
        answer, (ids, predictions, references, _) = found
        places = np.empty(self.num_labels, np.int64)
        places[np.argsort(-self.by_class().actual, kind="stable")] = np.arange(self.num_labels)
        return answer, (ids, predictions, references, places[references])

    def sample_statistics(self, metric: str) -> SampleStatistics:
        """Return what one of the metrics of `compute` is computed from, sample by sample."""
        if metric != f"top{self.k}_accuracy":
            return super().sample_statistics(metric)
        ids, *_, ranks = self._columns()
        return SampleStatistics.of_mean(ids, ranks < self.k)
