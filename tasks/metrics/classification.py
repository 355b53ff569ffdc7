"""The accumulator of the evaluation loop: predictions and references by id, never logits."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.errors import UserError
from tasks.metrics import arithmetic, intervals
from tasks.metrics.accumulator import Answer, MetricAccumulator, by_id, checked_ids
from tasks.metrics.arithmetic import Counts, Floats, Ints
from tasks.metrics.intervals import DRAWS, MetricEstimate, SampleStatistics

PROBLEM_TYPES = ("single_label_classification", "multi_label_classification", "regression")

_NAMES = ("ids", "predictions", "references")  # of the columns
_CHUNK = 2**20  # unpacked multi-label values held at once
ALIKE = 0.01
"""Share of the references' standard deviation: numbers predicted within it are one answer."""

_Array = npt.NDArray[Any]
_Scores = Mapping[str, Callable[[Counts], Any]]

_SINGLE: _Scores = {
    "f1_macro": lambda counts: arithmetic.f1(counts, "macro"),
    "precision_macro": lambda counts: arithmetic.precision(counts, "macro"),
    "recall_macro": lambda counts: arithmetic.recall(counts, "macro"),
    "f1_weighted": lambda counts: arithmetic.f1(counts, "weighted"),
    "precision_weighted": lambda counts: arithmetic.precision(counts, "weighted"),
    "recall_weighted": lambda counts: arithmetic.recall(counts, "weighted"),
    "matthews_correlation": arithmetic.matthews_correlation,
}
_MULTI: _Scores = {
    "f1_micro": lambda counts: arithmetic.f1(counts, "micro"),
    "f1_macro": lambda counts: arithmetic.f1(counts, "macro"),
    "precision_micro": lambda counts: arithmetic.precision(counts, "micro"),
    "recall_micro": lambda counts: arithmetic.recall(counts, "micro"),
    "f1_weighted": lambda counts: arithmetic.f1(counts, "weighted"),
    "precision_weighted": lambda counts: arithmetic.precision(counts, "weighted"),
    "recall_weighted": lambda counts: arithmetic.recall(counts, "weighted"),
}
_CORRELATIONS: Mapping[str, Callable[[_Array, Ints], Floats]] = {
    "pearsonr": lambda rows, n: arithmetic.resampled_pearsonr(rows[:, 0], rows[:, 1], n),
    "spearmanr": lambda rows, n: arithmetic.resampled_spearmanr(rows[:, 0], rows[:, 1], n),
}


class ClassificationMetric(MetricAccumulator):
    """Predictions and references of one evaluation, and what is computed from them.

    Memory a sample: 8 bytes for the id, and twice the smallest unsigned integer for a label, one
    bit a label (multi-label), or a float64.
    """

    def __init__(self, problem_type: str, num_labels: int = 1, *kind: int) -> None:
        """Unknown problem type, or fewer labels than 1: UserError. Regression ignores labels."""
        if problem_type not in PROBLEM_TYPES:
            raise UserError(
                f"unknown problem type {problem_type!r}; it is one of {', '.join(PROBLEM_TYPES)}"
            )
        if num_labels < 1:
            raise UserError(f"num_labels is {num_labels}; it must be at least 1")
        self.problem_type = problem_type
        self.num_labels = num_labels
        empty = (np.empty(0, np.int64), self._empty(), self._empty())
        super().__init__(empty, PROBLEM_TYPES.index(problem_type), num_labels, *kind)

    def update(self, ids: _Array, predictions: _Array, references: _Array) -> None:
        """Count a batch. Keeps copies, so the caller may reuse its arrays.

        ids are integers [b]. Predictions and references are labels, integers [b] in [0,
        num_labels); or 0/1 [b, num_labels] of any type; or numbers [b]. A wrong shape or kind is a
        ValueError, a label that does not exist a UserError.
        """
        self._append(self._checked(ids, predictions, references))

    def compute(self, level: float = 0.95, draws: int = DRAWS) -> list[MetricEstimate]:
        """Every metric of this problem type with its interval.

        single_label: accuracy (Wilson), f1, precision and recall as macro and as weighted average,
        matthews_correlation (bootstrap). multi_label: accuracy of whole rows (Wilson), f1_micro,
        f1_macro, precision_micro, recall_micro and weighted averages (bootstrap). regression:
        pearsonr, spearmanr (Fisher z), mse (Student t). A single-label macro average goes over the
        labels that occur, a multi-label one over all, and a weighted one counts a label as often as
        it is true, as in scikit-learn: recall_weighted of single labels is the accuracy. The same
        samples give the same bits; nothing raises or warns for want of samples.

        Args:
            draws: resamples of a bootstrap; 0 leaves out the intervals that need one, and costs no
                more than the values.
        """
        ids, predictions, references, *_ = self._columns()
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
        _, predictions, references, *_ = self._columns()
        return arithmetic.confusion(predictions, references, self.num_labels)

    def by_class(self) -> Counts:
        """Counts int64 [labels]: hits, predicted, actual. ValueError for regression."""
        if self.problem_type == "regression":
            raise ValueError("regression has no classes")
        _, predictions, references, *_ = self._columns()
        n = len(predictions)
        width = predictions.shape[1] if predictions.ndim == 2 else 1
        counts = self._count(
            predictions.reshape(n, width), references.reshape(n, width), np.ones((1, n), np.int64)
        )
        return Counts(counts.hits[0], counts.predicted[0], counts.actual[0])

    def class_estimates(
        self, level: float = 0.95, draws: int = DRAWS
    ) -> list[dict[str, MetricEstimate]]:
        """Return precision and recall (Wilson) and f1 (bootstrap over samples) of each label, in
        their order; n is how many samples have it. Precision is left out where the label was never
        predicted, and all of a label that no sample has. ValueError for regression."""
        counts = self.by_class()
        _, predictions, references, *_ = self._columns()
        scores = {str(i): partial(_f1_of, i) for i in range(self.num_labels)}
        f1 = self._bootstrap(scores, predictions, references, level, draws)
        found = []
        for i, (hits, predicted, actual) in enumerate(zip(*counts[:3], strict=True)):
            row: dict[str, MetricEstimate] = {}
            if actual and predicted:
                one = intervals.wilson("precision", hits / predicted, int(predicted), level)
                row["precision"] = replace(one, n=int(actual))
            if actual:
                row["recall"] = intervals.wilson("recall", hits / actual, int(actual), level)
                row["f1"] = replace(f1[i], name="f1", n=int(actual))
            found.append(row)
        return found

    def only_answer(self) -> Answer | None:
        """Return the label, labels or number that every sample got, where they are several whose
        references differ; else None. Numbers that hardly differ are one."""
        _, predictions, references, *_ = self._columns()
        if len(references) < 2 or (references == references[0]).all():
            return None
        if self.problem_type == "regression":
            spread = np.ptp(predictions) if np.isfinite(predictions).all() else np.inf
            is_one = spread < ALIKE * np.std(references)
            return float(predictions.mean()) if is_one else None
        if not (predictions == predictions[0]).all():
            return None
        if self.problem_type == "single_label_classification":
            return int(predictions[0])
        return tuple(np.flatnonzero(self._unpack(predictions[:1])[0]).tolist())

    def _constant(self) -> tuple[Answer, tuple[_Array, ...]] | None:
        """Return the commonest label or the mean, and the columns with it as every prediction."""
        ids, _, references, *more = self._columns()
        if self.problem_type == "regression":
            mean = float(references.mean())
            return mean, (ids, np.full_like(references, mean), references, *more)
        actual = self.by_class().actual
        answer = int(actual.argmax())
        if not actual[answer]:
            return None  # nothing has any label
        one: _Array = np.array(answer, references.dtype)
        if self.problem_type == "multi_label_classification":
            one = np.packbits(np.arange(self.num_labels) == answer)
        return answer, (ids, np.broadcast_to(one, references.shape), references, *more)

    def sample_statistics(self, metric: str) -> SampleStatistics:
        """What one of the metrics of `compute` is computed from, sample by sample."""
        ids, predictions, references, *_ = self._columns()
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

    def _checked(self, ids: _Array, predictions: _Array, references: _Array) -> tuple[_Array, ...]:
        """Checked copies of a batch's columns."""
        ids = checked_ids(ids)
        return (
            ids,
            self._compact(predictions, ids, "prediction"),
            self._compact(references, ids, "reference"),
        )

    def _distinct(self, chunks: Sequence[Any]) -> tuple[_Array, ...]:
        ids, predictions, references = (
            np.concatenate(column) for column in zip(*chunks, strict=True)
        )
        bits = _bits(references)
        order = by_id(ids, [_bits(predictions), bits], bits)
        return ids[order], predictions[order], references[order]

    def _packed(self, columns: tuple[_Array, ...]) -> dict[str, _Array]:
        return dict(zip(_NAMES, columns, strict=True))

    def _unpacked(self, state: Mapping[str, _Array]) -> tuple[_Array, ...]:
        return tuple(state[name] for name in _NAMES)

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
        values = {name: float(score(found)[0]) for name, score in scores.items()}

        def resampled(weights: Ints) -> dict[str, Floats]:
            drawn = self._count(cells[:, :width], cells[:, width:], weights)
            return {name: score(drawn) for name, score in scores.items()}

        return intervals.bootstrap(values, resampled, counts, level, draws)

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


def _f1_of(label: int, counts: Counts) -> Any:
    """F1 of one label: float64 [...] of counts [..., labels]."""
    return arithmetic.f1(counts, None)[..., label]


def _bits(values: _Array) -> _Array:
    """Values [n] or [n, columns] as integers [n, columns] that differ where any bit does."""
    integers = values.view(np.int64) if values.dtype.kind == "f" else values
    return integers if integers.ndim == 2 else integers[:, None]


def _slices(n: int, size: int) -> Iterator[slice]:
    for start in range(0, n, size):
        yield slice(start, start + size)
