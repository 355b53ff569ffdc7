"""A metric of single labels that also knows how high the true label was ranked."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.metrics import intervals
from tasks.metrics.arithmetic import Ints
from tasks.metrics.classification import ClassificationMetric
from tasks.metrics.intervals import DRAWS, MetricEstimate, SampleStatistics

_Array = npt.NDArray[Any]


class TopKMetric(ClassificationMetric):
    """`ClassificationMetric` for single labels with top-k accuracy: the true label is among the k
    best."""

    def __init__(self, num_labels: int, k: int) -> None:
        super().__init__("single_label_classification", num_labels)
        self.k = k
        self._ranks: list[tuple[Ints, Ints]] = []

    def update_ranked(
        self, ids: _Array, predictions: _Array, references: _Array, ranks: _Array
    ) -> None:
        """`update`, with the number of labels ranked above the true one, integers [b]."""
        self.update(ids, predictions, references)
        self._ranks.append((np.asarray(ids, np.int64), np.asarray(ranks, np.int64)))

    def _ranked(self) -> tuple[Ints, Ints]:
        """Distinct ids and their ranks; of repeats the lowest counts, whichever came first."""
        if not self._ranks:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        ids, ranks = (np.concatenate(column) for column in zip(*self._ranks, strict=True))
        order = np.lexsort((ranks, ids))
        first = np.ones(len(ids), np.bool_)
        first[1:] = ids[order][1:] != ids[order][:-1]
        return ids[order][first], ranks[order][first]

    def state(self) -> dict[str, _Array]:
        """`ClassificationMetric.state`, with `ranked_ids` and `ranks` int64 [n], and `k`."""
        ids, ranks = self._ranked()
        more = {"ranked_ids": ids, "ranks": ranks, "k": np.array(self.k)}
        return super().state() | more

    @staticmethod
    def merge(states: Iterable[Mapping[str, _Array]]) -> "TopKMetric":
        """One accumulator of several processes' states; see `ClassificationMetric.merge`."""
        states = list(states)
        plain = ClassificationMetric.merge(states)
        merged = TopKMetric(plain.num_labels, int(states[0]["k"]))
        merged._chunks = plain._chunks
        merged._ranks = [(state["ranked_ids"], state["ranks"]) for state in states]
        return merged

    def compute(self, level: float = 0.95, draws: int = DRAWS) -> list[MetricEstimate]:
        """The metrics of `ClassificationMetric`, with top-k accuracy behind accuracy (Wilson)."""
        accuracy, *others = super().compute(level, draws)
        _, ranks = self._ranked()
        share = float((ranks < self.k).mean()) if len(ranks) else float("nan")
        top = intervals.wilson(f"top{self.k}_accuracy", share, len(ranks), level)
        return [accuracy, top, *others]

    def sample_statistics(self, metric: str) -> SampleStatistics:
        """See `ClassificationMetric.sample_statistics`."""
        if metric != f"top{self.k}_accuracy":
            return super().sample_statistics(metric)
        ids, ranks = self._ranked()
        return SampleStatistics.of_mean(ids, ranks < self.k)
