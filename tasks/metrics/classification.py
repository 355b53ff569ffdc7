"""The accumulator of the evaluation loop: predictions and references by id, never logits."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.errors import UserError
from tasks.metrics import arithmetic, intervals
from tasks.metrics.arithmetic import Counts, Floats, Ints
from tasks.metrics.intervals import DRAWS, MetricEstimate, SampleStatistics

PROBLEM_TYPES = ("single_label_classification", "multi_label_classification", "regression")

_FORMAT = 1  # of `state()`
_CHUNK = 2**20  # unpacked multi-label values held at once

_Array = npt.NDArray[Any]
_Scores = Mapping[str, Callable[[Counts], Any]]

_SINGLE: _Scores = {
    "f1_macro": lambda counts: arithmetic.f1(counts, "macro"),
    "precision_macro": lambda counts: arithmetic.precision(counts, "macro"),
    "recall_macro": lambda counts: arithmetic.recall(counts, "macro"),
    "matthews_correlation": arithmetic.matthews_correlation,
}
_MULTI: _Scores = {
    "f1_micro": lambda counts: arithmetic.f1(counts, "micro"),
    "f1_macro": lambda counts: arithmetic.f1(counts, "macro"),
    "precision_micro": lambda counts: arithmetic.precision(counts, "micro"),
    "recall_micro": lambda counts: arithmetic.recall(counts, "micro"),
}
_CORRELATIONS: Mapping[str, Callable[[_Array, Ints], Floats]] = {
    "pearsonr": lambda rows, n: arithmetic.resampled_pearsonr(rows[:, 0], rows[:, 1], n),
    "spearmanr": lambda rows, n: arithmetic.resampled_spearmanr(rows[:, 0], rows[:, 1], n),
}


class ClassificationMetric:
    """Predictions and references of one evaluation, and what is computed from them.

    A sample id counts once, however often and in whichever process it was seen: all results are
    functions of the set of samples, so one process and many agree bit for bit. Memory a sample: 8
    bytes for the id, and twice the smallest unsigned integer for a label, one bit a label
    (multi-label), or a float64.
    """

    def __init__(self, problem_type: str, num_labels: int = 1) -> None:
        """Unknown problem type, or fewer labels than 1: UserError. Regression ignores labels."""
        if problem_type not in PROBLEM_TYPES:
            raise UserError(
                f"unknown problem type {problem_type!r}; it is one of {', '.join(PROBLEM_TYPES)}"
            )
        if num_labels < 1:
            raise UserError(f"num_labels is {num_labels}; it must be at least 1")
        self.problem_type = problem_type
        self.num_labels = num_labels
        self._chunks: list[tuple[Ints, _Array, _Array]] = [
            (np.empty(0, np.int64), self._empty(), self._empty())
        ]

    def __len__(self) -> int:
        """The number of distinct samples."""
        return len(self._columns()[0])

    def update(self, ids: _Array, predictions: _Array, references: _Array) -> None:
        """Count a batch. Keeps copies, so the caller may reuse its arrays.

        ids are integers [b]. Predictions and references are labels, integers [b] in [0,
        num_labels); or 0/1 [b, num_labels] of any type; or numbers [b]. A wrong shape or kind is a
        ValueError, a label that does not exist a UserError.
        """
        ids = np.asarray(ids)
        if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
            raise ValueError(f"ids must be integers [b], not {ids.dtype} {list(ids.shape)}")
        self._chunks.append(
            (
                ids.astype(np.int64),
                self._compact(predictions, ids, "prediction"),
                self._compact(references, ids, "reference"),
            )
        )

    def state(self) -> dict[str, _Array]:
        """All that was counted, as plain numeric arrays to send or to save; `merge` takes it.

        header int64 [3]: format, problem type, num_labels; ids int64 [n]; predictions and
        references [n] or packed uint8 [n, bytes].
        """
        ids, predictions, references = self._columns()
        header = [_FORMAT, PROBLEM_TYPES.index(self.problem_type), self.num_labels]
        return {
            "header": np.array(header, np.int64),
            "ids": ids.copy(),
            "predictions": predictions.copy(),
            "references": references.copy(),
        }

    @staticmethod
    def merge(states: Iterable[Mapping[str, _Array]]) -> "ClassificationMetric":
        """One accumulator of several processes' states, in any order.

        No states, or states of unlike accumulators: ValueError. One id with two references:
        UserError.
        """
        states = list(states)
        headers = {tuple(int(number) for number in state["header"]) for state in states}
        if len(headers) != 1:
            raise ValueError(f"cannot merge {len(states)} states with headers {sorted(headers)}")
        version, problem, num_labels = headers.pop()
        if version != _FORMAT:
            raise ValueError(f"a state of format {version} cannot be read, only {_FORMAT}")
        accumulator = ClassificationMetric(PROBLEM_TYPES[problem], num_labels)
        accumulator._chunks += [
            (state["ids"], state["predictions"], state["references"]) for state in states
        ]
        accumulator._columns()  # contradictions show here rather than later
        return accumulator

    def compute(self, level: float = 0.95, draws: int = DRAWS) -> list[MetricEstimate]:
        """Every metric of this problem type with its interval.

        single_label: accuracy (Wilson), f1_macro, precision_macro, recall_macro,
        matthews_correlation (bootstrap). multi_label: accuracy of whole rows (Wilson), f1_micro,
        f1_macro, precision_micro, recall_micro (bootstrap). regression: pearsonr, spearmanr (Fisher
        z), mse (Student t). A single-label macro average goes over the labels that occur, a
        multi-label one over all, as in scikit-learn. The same samples give the same bits; nothing
        raises or warns for want of samples.

        Args:
            draws: resamples of a bootstrap; 0 leaves out the intervals that need one, and costs no
                more than the values.
        """
        ids, predictions, references = self._columns()
        n = len(ids)
        if self.problem_type == "regression":
            r = arithmetic.pearsonr(predictions, references)
            rho = arithmetic.spearmanr(predictions, references)
            errors = arithmetic.squared_errors(predictions, references)
            mean = arithmetic.mse(predictions, references)
            return [
                intervals.fisher_z("pearsonr", r, n, level),
                intervals.fisher_z("spearmanr", rho, n, level, scale=1 + rho**2 / 2),
                intervals.student_t("mse", mean, errors, level),
            ]
        accuracy = arithmetic.accuracy(predictions, references)
        scores = _SINGLE if self.problem_type == "single_label_classification" else _MULTI
        return [
            intervals.wilson("accuracy", accuracy, n, level),
            *self._bootstrap(scores, predictions, references, level, draws),
        ]

    def confusion_matrix(self) -> Ints:
        """int64 [references, predictions]. ValueError where the problem is not single-label."""
        if self.problem_type != "single_label_classification":
            raise ValueError(f"{self.problem_type} has no confusion matrix")
        _, predictions, references = self._columns()
        return arithmetic.confusion(predictions, references, self.num_labels)

    def by_class(self) -> Counts:
        """Counts int64 [labels]: hits, predicted, actual. ValueError for regression."""
        if self.problem_type == "regression":
            raise ValueError("regression has no classes")
        _, predictions, references = self._columns()
        n = len(predictions)
        width = predictions.shape[1] if predictions.ndim == 2 else 1
        counts = self._count(
            predictions.reshape(n, width), references.reshape(n, width), np.ones((1, n), np.int64)
        )
        return Counts(counts.hits[0], counts.predicted[0], counts.actual[0])

    def sample_statistics(self, metric: str) -> SampleStatistics:
        """What one of the metrics of `compute` is computed from, sample by sample."""
        ids, predictions, references = self._columns()
        if metric == "accuracy":
            return SampleStatistics.of_mean(ids, arithmetic.correct(predictions, references))
        if metric == "mse":
            errors = arithmetic.squared_errors(predictions, references)
            return SampleStatistics.of_mean(ids, errors)
        if metric == "spearmanr":
            predictions, references = map(arithmetic.levels, (predictions, references))
        rows = np.column_stack([predictions, references])
        if self.problem_type == "regression":
            return SampleStatistics(ids, rows, _CORRELATIONS[metric])
        scores = _SINGLE if self.problem_type == "single_label_classification" else _MULTI
        score, width = scores[metric], rows.shape[1] // 2
        return SampleStatistics(
            ids, rows, lambda cells, n: score(self._count(cells[:, :width], cells[:, width:], n))
        )

    # ---- the columns -----------------------------------------------------------------------------

    def _empty(self) -> _Array:
        if self.problem_type == "regression":
            return np.empty(0, np.float64)
        if self.problem_type == "multi_label_classification":
            return np.empty((0, (self.num_labels + 7) // 8), np.uint8)
        return np.empty(0, np.min_scalar_type(self.num_labels - 1))

    def _compact(self, values: _Array, ids: _Array, what: str) -> _Array:
        """A checked copy of a batch's values in the type they are kept in."""
        values = np.asarray(values)
        multi = self.problem_type == "multi_label_classification"
        shape = (len(ids), self.num_labels) if multi else (len(ids),)
        if values.shape != shape:
            raise ValueError(f"{what}s are {list(values.shape)}, not {list(shape)}")
        kinds = "iub" if self.problem_type == "single_label_classification" else "iubf"
        if values.size and values.dtype.kind not in kinds:
            raise ValueError(f"{what}s of type {values.dtype} are no {self.problem_type} values")
        if self.problem_type == "regression":
            return values.astype(np.float64)
        wrong = (
            (values != 0) & (values != 1) if multi else (values < 0) | (values >= self.num_labels)
        )
        if wrong.any():
            at = tuple(np.argwhere(wrong)[0])
            allowed = "0 or 1" if multi else f"from 0 to {self.num_labels - 1}"
            raise UserError(
                f"sample {ids[at[0]]} has the {what} {values[at]}, and a label must be {allowed}"
            )
        return np.packbits(values != 0, axis=1) if multi else values.astype(self._empty().dtype)

    def _columns(self) -> tuple[Ints, _Array, _Array]:
        """Ids, predictions and references of the distinct samples, by id; leaves one chunk."""
        if len(self._chunks) > 1:
            ids, predictions, references = (
                np.concatenate(column) for column in zip(*self._chunks, strict=True)
            )
            order = np.argsort(ids, kind="stable")
            repeats = ids[order][1:] == ids[order][:-1]
            if repeats.any():
                # A prediction's last bits may differ between batches. Which repeat counts must
                # depend on what they are, not on which came first: the smallest in its bit pattern.
                keys = np.column_stack([_bits(predictions), _bits(references)])
                order = np.lexsort((*keys.T, ids))
                repeats = ids[order][1:] == ids[order][:-1]
                self._refuse_contradictions(ids[order], _bits(references)[order], repeats)
                order = order[np.concatenate([[True], ~repeats])]
            self._chunks = [(ids[order], predictions[order], references[order])]
        return self._chunks[0]

    @staticmethod
    def _refuse_contradictions(ids: Ints, references: _Array, repeats: _Array) -> None:
        contradicts = repeats & (references[1:] != references[:-1]).any(axis=1)
        if contradicts.any():
            raise UserError(
                f"sample {ids[1:][contradicts][0]} came with two different references; "
                "ids must name one sample each"
            )

    # ---- the bootstrap ---------------------------------------------------------------------------

    def _bootstrap(
        self,
        scores: _Scores,
        predictions: _Array,
        references: _Array,
        level: float,
        draws: int,
    ) -> list[MetricEstimate]:
        """The scores, with intervals from resamples of the samples.

        Samples with the same prediction and reference are one cell with a count: the confusion
        matrix without its zeros, or the distinct pairs of rows.
        """
        n = len(predictions)
        if n == 0:
            return [intervals.undefined(name, float("nan"), 0, level) for name in scores]
        pairs = np.column_stack([predictions, references])
        cells, counts = np.unique(pairs, axis=0, return_counts=True)
        width = cells.shape[1] // 2
        found = self._count(cells[:, :width], cells[:, width:], counts[None])
        drawn: dict[str, list[Floats]] = {name: [np.empty(0)] for name in scores}
        for weights in intervals.resamples(counts, draws):
            resampled = self._count(cells[:, :width], cells[:, width:], weights)
            for name, score in scores.items():
                drawn[name].append(score(resampled))
        return [
            intervals.percentile(
                name, float(score(found)[0]), n, np.concatenate(drawn[name]), level
            )
            for name, score in scores.items()
        ]

    def _count(self, predictions: _Array, references: _Array, weights: Ints) -> Counts:
        """Counts [draws, labels] of cells [cells, columns as kept] weighted [draws, cells]."""
        if self.problem_type == "single_label_classification":
            return arithmetic.count_codes(
                predictions[:, 0], references[:, 0], self.num_labels, weights
            )
        parts = [
            arithmetic.count_columns(
                self._unpack(predictions[rows]), self._unpack(references[rows]), weights[:, rows]
            )
            for rows in _slices(len(predictions), max(1, _CHUNK // (3 * self.num_labels)))
        ]
        hits, predicted, actual = (sum(part[i] for part in parts) for i in range(3))
        return Counts(hits, predicted, actual, keep_absent=True)  # type: ignore[arg-type]

    def _unpack(self, packed: _Array) -> arithmetic.Bools:
        return np.unpackbits(packed, axis=1, count=self.num_labels).astype(np.bool_)


def _bits(values: _Array) -> _Array:
    """Values [n] or [n, columns] as integers [n, columns] that differ where any bit does."""
    integers = values.view(np.int64) if values.dtype.kind == "f" else values
    return integers.reshape(len(values), -1)


def _slices(n: int, size: int) -> Iterator[slice]:
    for start in range(0, n, size):
        yield slice(start, start + size)
