"""The accumulator of documents that are read piece by piece: a sample is a piece, and an interval
is over whole documents, since pieces of one are alike."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.metrics.accumulator import by_id, checked_ids
from tasks.metrics.arithmetic import Floats, Ints
from tasks.metrics.ratios import Ratio, RatioMetric

_Array = npt.NDArray[Any]


class DocumentMetric(RatioMetric):
    """Ratios of sums over pieces of documents, with intervals over the documents."""

    def __init__(self, ratios: Sequence[Ratio]) -> None:
        """Start with no pieces; there are as many columns as the ratios name."""
        super().__init__(ratios)
        self._chunks = [(*self._chunks[0], np.empty(0, np.int64))]

    def __len__(self) -> int:
        """The number of distinct documents."""
        return len(np.unique(self._columns()[2]))

    def count(self, ids: _Array, sums: _Array, documents: _Array) -> None:
        """Count a batch of pieces.

        Args:
            ids: of the pieces, integers [b].
            sums: [b, columns].
            documents: the document of each piece, integers [b].
        """
        columns = self._checked(ids, sums)
        numbers = checked_ids(documents)
        if len(numbers) != len(columns[0]):
            raise ValueError(f"{len(columns[0])} ids and {len(numbers)} documents")
        self._append((*columns, numbers))

    def _resampled(self) -> tuple[Ints, Floats]:
        """Return the documents and the sums of each."""
        _, sums, documents = self._columns()
        numbers, places = np.unique(documents, return_inverse=True)
        totals = np.zeros((len(numbers), self.columns))
        np.add.at(totals, places, sums)
        return numbers, totals

    def _distinct(self, chunks: Sequence[Any]) -> tuple[Any, ...]:
        ids, sums, documents = (np.concatenate(column) for column in zip(*chunks, strict=True))
        order = by_id(ids, [sums[:, ::-1]], documents[:, None])
        return ids[order], sums[order], documents[order]

    def _packed(self, columns: Any) -> dict[str, _Array]:
        return dict(zip(("ids", "sums", "documents"), columns, strict=True))

    def _unpacked(self, state: Mapping[str, _Array]) -> tuple[Any, ...]:
        return state["ids"], state["sums"], state["documents"]
