"""What all accumulators of an evaluation share: a sample counts once, by its id, whatever process
saw it and however often."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt

from tasks.errors import UserError
from tasks.metrics.arithmetic import Ints
from tasks.metrics.intervals import DRAWS, MetricEstimate, SampleStatistics

FORMAT = 1
"""Of `MetricAccumulator.state`."""

T = TypeVar("T", str, bytes)
_Array = npt.NDArray[Any]

Answer = int | tuple[int, ...] | float | tuple[float, ...] | str
"""What a sample is answered: the place of a label or tag, the places of several labels, a number,
several numbers, or a text."""


@dataclass(frozen=True)
class ConstantAnswer:
    """One answer to every sample, and what it is worth: whoever has learned something does better.

    It is the answer that suits the samples of this very evaluation best: their commonest label or
    tag, their mean (of several numbers: of each), an empty text, a flat patch, or, of hidden
    tokens, the likelihoods that they have by their frequency, named by the commonest.
    """

    answer: Answer
    values: Mapping[str, float]
    """Each metric by name; nan where it is undefined, as a correlation is."""


class MetricAccumulator(ABC):
    """Samples of one evaluation, and the metrics computed from them.

    A sample id counts once, however often and in whichever process it was seen: all results are
    functions of the set of samples, so one process and many agree bit for bit.

    Args:
        empty: the columns of no samples, ids first.
        kind: numbers that two accumulators have in common where they can be merged.
    """

    cached: ClassVar[tuple[str, ...]] = ()
    """Cached properties that depend on the samples."""

    def __init__(self, empty: tuple[Any, ...], *kind: int) -> None:
        self._header = (FORMAT, *kind)
        self._chunks = [empty]

    def __len__(self) -> int:
        """The number of distinct samples."""
        return len(self._columns()[0])

    @abstractmethod
    def compute(self, level: float = 0.95, draws: int = DRAWS) -> list[MetricEstimate]:
        """Return every metric with its interval; the same samples give the same bits.

        Args:
            draws: resamples of a bootstrap; 0 leaves out the intervals that need one.
        """

    @abstractmethod
    def sample_statistics(self, metric: str) -> SampleStatistics:
        """Return what one of the metrics is computed from, sample by sample."""

    def confusion_matrix(self) -> Ints:
        """Return int64 [references, predictions]. ValueError where there are no classes."""
        raise ValueError("what has no classes has no confusion matrix")

    def constant(self) -> ConstantAnswer | None:
        """Return the best constant answer to the counted samples, with its metrics; None without
        samples, or where no answers are counted."""
        if not len(self) or (found := self._constant()) is None:
            return None
        answer, columns = found
        other = copy.copy(self)
        for name in self.cached:
            other.__dict__.pop(name, None)
        other._chunks = [columns]
        return ConstantAnswer(answer, {one.name: one.value for one in other.compute(draws=0)})

    def only_answer(self) -> Answer | None:
        """Return the answer that every sample got, where they are several whose references differ;
        else None."""
        return None

    def _constant(self) -> tuple[Answer, Any] | None:
        """Return the best constant answer and the columns with it as every prediction; None where
        there is none."""
        return None

    def state(self) -> dict[str, _Array]:
        """Return all that was counted, as plain numeric arrays to send or to save, for `merge`.

        header int64: the format, and numbers of the accumulator's own; ids int64 [n]; more columns.
        """
        columns = {name: column.copy() for name, column in self._packed(self._columns()).items()}
        return {"header": np.array(self._header, np.int64), **columns}

    def merge(self, states: Iterable[Mapping[str, _Array]]) -> Self:
        """Count what other accumulators have counted, in any order; return this one.

        No states, or one of another kind: ValueError. One id with two references: UserError.
        """
        states = list(states)
        headers = {tuple(int(number) for number in state["header"]) for state in states}
        if headers != {self._header}:
            raise ValueError(f"cannot merge {len(states)} states with headers {sorted(headers)}")
        self._append(*map(self._unpacked, states))
        self._columns()  # contradictions show here rather than later
        return self

    @abstractmethod
    def _distinct(self, chunks: Sequence[Any]) -> tuple[Any, ...]:
        """Return the columns of the distinct samples of all chunks, by id."""

    @abstractmethod
    def _packed(self, columns: Any) -> dict[str, _Array]:
        """Return columns as numeric arrays."""

    @abstractmethod
    def _unpacked(self, state: Mapping[str, _Array]) -> tuple[Any, ...]:
        """Return columns out of what `_packed` gave."""

    def _append(self, *chunks: tuple[Any, ...]) -> None:
        self._chunks += chunks
        for name in self.cached:
            self.__dict__.pop(name, None)

    def _columns(self) -> Any:
        """Return the columns of the distinct samples, by id; leave one chunk."""
        if len(self._chunks) > 1:
            self._chunks = [self._distinct(self._chunks)]
        return self._chunks[0]


def checked_ids(ids: Any) -> Ints:
    """Return the ids of a batch as int64 [b]. ValueError where they are no integers [b]."""
    given = np.asarray(ids)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise ValueError(f"ids must be integers [b], not {given.dtype} {list(given.shape)}")
    checked: Ints = given.astype(np.int64)
    return checked


def contradiction(sample: object) -> UserError:
    """Return the error for a sample that came with two references."""
    return UserError(
        f"sample {sample} came with two different references; ids must name one sample each"
    )


def by_id(ids: Ints, keys: Sequence[_Array], references: _Array | None = None) -> Ints:
    """Return the places of the distinct ids [n], in the order of the ids.

    A prediction may differ between batches in a last bit. Which repeat counts must depend on what
    they are, not on which came first: the least.

    Args:
        keys: [n] or [n, columns] of numbers, by which repeats are ordered; the last counts most.
        references: [n, columns], in which repeats may not differ; else UserError.
    """
    order: Ints = np.argsort(ids, kind="stable")
    repeats = ids[order][1:] == ids[order][:-1]
    if repeats.any():
        order = np.lexsort((*np.column_stack(keys).T, ids))
        repeats = ids[order][1:] == ids[order][:-1]
        if references is not None:
            sorted_by_id = references[order]
            differs = repeats & (sorted_by_id[1:] != sorted_by_id[:-1]).any(axis=1)
            if differs.any():
                raise contradiction(ids[order][1:][differs][0])
        order = order[np.concatenate([[True], ~repeats])]
    return order


def rows_by_id(rows: Iterable[tuple[int, T, T]]) -> dict[int, tuple[T, T]]:
    """Return prediction and reference of each distinct id, in the order of the ids; of repeats the
    least, as in `by_id`. UserError where an id has two references."""
    kept: dict[int, tuple[T, T]] = {}
    for i, prediction, reference in sorted(rows):
        if kept.setdefault(i, (prediction, reference))[1] != reference:
            raise contradiction(i)
    return kept
