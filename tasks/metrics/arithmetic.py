"""The metrics as functions of numpy arrays: the one implementation behind modules and accumulators.

Precision, recall, F1 and Matthews' coefficient are functions of three counts a label (`Counts`).
The counts may have leading dimensions, so that a thousand bootstrap resamples are one call. Where
scikit-learn has the metric, the result is scikit-learn's (with zero_division=0).
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from tasks.errors import UserError

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Average: TypeAlias = Literal["micro", "macro", "weighted"] | None
Score: TypeAlias = Callable[["Counts", Average], Any]


class Counts(NamedTuple):
    """The counts that precision, recall, F1 and Matthews' coefficient are computed from, int64
    [..., labels] each.

    `keep_absent`: whether a label found neither in the predictions nor in the references takes part
    in a macro average (with score 0). As in scikit-learn it does where the labels are given, by
    name or as columns.
    """

    hits: Ints
    predicted: Ints
    actual: Ints
    keep_absent: bool = False


# ---- counting ------------------------------------------------------------------------------------


def count_codes(
    predictions: npt.NDArray[Any], references: npt.NDArray[Any], num_labels: int, weights: Ints
) -> Counts:
    """Counts of single-label samples.

    Predictions and references are codes [n] in [0, num_labels), of any integer type; weights, int64
    [..., n], say how often each sample counts. Returns counts [..., num_labels].
    """
    same = predictions == references
    return Counts(
        hits=_sum_by(predictions[same], weights[..., same], num_labels),
        predicted=_sum_by(predictions, weights, num_labels),
        actual=_sum_by(references, weights, num_labels),
    )


def count_columns(predictions: Bools, references: Bools, weights: Ints | Floats) -> Counts:
    """Counts of multi-label samples: rows [n, labels], weights [..., n] as above."""
    columns = np.concatenate([predictions & references, predictions, references], axis=1)
    # Products and sums of integers below 2^53 are exact in float64, in whichever order BLAS takes
    # them.
    totals = weights.astype(np.float64, copy=False) @ columns.astype(np.float64)
    hits, predicted, actual = np.split(totals.astype(np.int64), 3, axis=-1)
    return Counts(hits, predicted, actual, keep_absent=True)


def confusion(predictions: npt.NDArray[Any], references: npt.NDArray[Any], num_labels: int) -> Ints:
    """Confusion matrix, int64 [references, predictions], of codes [n] in [0, num_labels)."""
    cells = references.astype(np.int64) * num_labels + predictions
    return np.bincount(cells, minlength=num_labels**2).reshape(num_labels, num_labels)


def encode(predictions: Ints, references: Ints) -> tuple[Ints, Ints, Ints]:
    """Codes of predictions and references, [n] each, and the sorted labels [labels] they index."""
    labels, codes = np.unique(np.concatenate([predictions, references]), return_inverse=True)
    return codes[: len(predictions)], codes[len(predictions) :], labels


def _sum_by(labels: npt.NDArray[Any], weights: Ints, num_labels: int) -> Ints:
    """Sums of weights [..., n] by label [n]: int64 [..., num_labels]."""
    sums = np.zeros((*weights.shape[:-1], num_labels), np.int64)
    if len(labels):
        order = np.argsort(labels, kind="stable")
        found, starts = np.unique(labels[order], return_index=True)
        sums[..., found] = np.add.reduceat(weights[..., order], starts, axis=-1)
    return sums


# ---- scores of counts ----------------------------------------------------------------------------


def precision(counts: Counts, average: Average) -> Any:
    """Return the share of the samples predicted to have a label that has it: [...] or [...,
    labels]."""
    return _average(counts.hits, counts.predicted, counts, average)


def recall(counts: Counts, average: Average) -> Any:
    """Return the share of the samples with a label that is predicted to have it: float64 [...] or
    [..., labels]."""
    return _average(counts.hits, counts.actual, counts, average)


def f1(counts: Counts, average: Average) -> Any:
    """The harmonic mean of precision and recall (van Rijsbergen 1979): [...] or [..., labels]."""
    return _average(2 * counts.hits, counts.predicted + counts.actual, counts, average)


def matthews_correlation(counts: Counts) -> Any:
    """Matthews' coefficient (1975) for any number of classes (Gorodkin 2004): float64 [...].

    In [-1, 1]; 0 where predictions or references are constant. Single-label counts only.
    """
    total = counts.actual.sum(-1)
    covariance = counts.hits.sum(-1) * total - (counts.predicted * counts.actual).sum(-1)
    # Sums of squares fit int64 up to three thousand million samples; their product would not.
    of_predicted = (total**2 - (counts.predicted**2).sum(-1)).astype(np.float64)
    of_actual = (total**2 - (counts.actual**2).sum(-1)).astype(np.float64)
    return np.clip(_ratio(covariance, np.sqrt(of_predicted * of_actual)), -1.0, 1.0)


def _average(
    numerator: Ints, denominator: Ints, counts: Counts, average: Average
) -> npt.NDArray[Any]:
    if average == "micro":
        return _ratio(numerator.sum(-1), denominator.sum(-1))
    scores = _ratio(numerator, denominator)
    if average == "macro":
        present = (counts.predicted + counts.actual > 0) | counts.keep_absent
        return _ratio(scores.sum(-1), present.sum(-1))
    if average == "weighted":
        return _ratio((scores * counts.actual).sum(-1), counts.actual.sum(-1))
    return scores


def _ratio(numerator: npt.NDArray[Any], denominator: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The quotient, and 0 where the denominator is 0."""
    quotient = np.zeros(np.shape(denominator), np.float64)
    np.divide(numerator, denominator, out=quotient, where=np.asarray(denominator) != 0)
    return quotient


# ---- metrics of samples --------------------------------------------------------------------------


def correct(predictions: npt.NDArray[Any], references: npt.NDArray[Any]) -> Bools:
    """Return which samples [n], or rows [n, labels] in every label, are right: bool [n]."""
    same: Bools = np.asarray(predictions == references)
    return same if same.ndim == 1 else np.asarray(same.all(axis=1))


def accuracy(predictions: npt.NDArray[Any], references: npt.NDArray[Any]) -> float:
    """The share of samples that are right; nan where there are none."""
    right = correct(predictions, references)
    return float(right.mean()) if len(right) else float("nan")


def squared_errors(predictions: Floats, references: Floats) -> Floats:
    """Squared error of each sample, [n] float64, in squared units of the references."""
    with np.errstate(over="ignore", invalid="ignore"):  # a diverged model's inf and nan
        return np.square(predictions - references)


def mse(predictions: Floats, references: Floats) -> float:
    """Mean squared error; nan where there are no samples or a value is not finite."""
    errors = squared_errors(predictions, references)
    if not len(errors) or not np.isfinite(errors).all():
        return float("nan")
    with np.errstate(over="ignore"):
        mean = float(errors.mean())
    return mean if np.isfinite(mean) else float("nan")


def pearsonr(predictions: Floats, references: Floats) -> float:
    """Pearson's product-moment correlation (1895), in [-1, 1], of values [n].

    nan where it is undefined: n < 2, constant or not finite values.
    """
    if not (_varies(predictions) and _varies(references)):
        return float("nan")
    x, y = _unit(predictions), _unit(references)
    # Not a dot product: BLAS sums in an order that depends on the number of threads.
    return float(np.clip((x * y).sum(), -1.0, 1.0))


def spearmanr(predictions: Floats, references: Floats) -> float:
    """Spearman's rank correlation (1904), ties at their mean rank; nan as `pearsonr`."""
    if np.isnan(predictions).any() or np.isnan(references).any():
        return float("nan")
    return pearsonr(_ranks(predictions), _ranks(references))


def resampled_pearsonr(x: Floats, y: Floats, weights: Ints) -> Floats:
    """Pearson's correlation of samples that count so often each, float64 [draws].

    Values are [n] or [draws, n], finite; weights int64 [draws, n]. nan where either has no spread
    in a draw but that of rounding.
    """
    x, y = _deviations(x, weights), _deviations(y, weights)
    weighted = weights * x
    xx, xy = _dot(weighted, x), _dot(weighted, y)
    yy = _dot(np.multiply(weights, y, out=weighted), y)
    least = 1e-24 * weights.sum(-1)  # a deviation of 1e-12 of the largest one
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.clip(xy / np.sqrt(xx * yy), -1.0, 1.0)
    return np.where((xx > least) & (yy > least), r, np.nan)


def resampled_spearmanr(x: Floats, y: Floats, weights: Ints) -> Floats:
    """Spearman's correlation likewise, of the `levels` [n] of values."""
    return resampled_pearsonr(_resampled_ranks(x, weights), _resampled_ranks(y, weights), weights)


def levels(values: Floats) -> Floats:
    """Return the rank of each value among the distinct values, from the least: float64 [n]."""
    return np.unique(values, return_inverse=True)[1].astype(np.float64)


def _deviations(values: Floats, weights: Ints) -> Floats:
    """Values [n] or [draws, n] less their mean over each draw, [draws, n], on a scale of about
    1."""
    values = values - values.mean()
    values /= np.abs(values).max() or 1.0
    means = _dot(np.broadcast_to(values, weights.shape), weights) / weights.sum(-1)
    deviations: Floats = values - means[:, None]
    return deviations


def _dot(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> Floats:
    """Products of rows, [draws]. Not of BLAS, whose order of sums depends on the threads."""
    dot: Floats = np.einsum("dn,dn->d", x, y)
    return dot


def _resampled_ranks(level: Floats, weights: Ints) -> Floats:
    """The ranks of levels [n] within each draw, ties at their mean rank: [draws, n]."""
    codes = level.astype(np.int64)
    ranks = np.empty(weights.shape)
    for row, counts in zip(ranks, weights, strict=True):
        sizes = np.bincount(codes, counts)
        row[:] = (np.cumsum(sizes) - (sizes - 1) / 2)[codes]
    return ranks


def _varies(values: Floats) -> bool:
    return len(values) > 1 and bool(np.isfinite(values).all() and (values != values[0]).any())


def _unit(values: Floats) -> Floats:
    """Centred and of length 1. Scaled, twice, so that squares neither overflow nor underflow."""
    values = values / np.abs(values).max()
    values = values - values.mean()
    values = values / np.abs(values).max()
    unit: Floats = values / np.sqrt(np.square(values).sum())
    return unit


def _ranks(values: Floats) -> Floats:
    _, group, size = np.unique(values, return_inverse=True, return_counts=True)
    mean_rank: Floats = np.cumsum(size) - (size - 1) / 2
    return mean_rank[group]


# ---- what the modules share ----------------------------------------------------------------------


def as_labels(predictions: Any, references: Any) -> tuple[Ints, Ints]:
    """Return predictions and references as int64 arrays: labels [n], or 0/1 rows [n, labels].
    Anything else: UserError."""
    try:
        p, r = np.asarray(predictions, np.int64), np.asarray(references, np.int64)
    except ValueError:
        raise UserError("predictions or references have rows of unequal length") from None
    if p.shape != r.shape or p.ndim not in (1, 2):
        raise UserError(
            f"predictions are {list(p.shape)} and references {list(r.shape)}; "
            "both must be [n] labels or [n, labels] of 0 and 1"
        )
    if p.ndim == 2 and not (np.isin(p, (0, 1)).all() and np.isin(r, (0, 1)).all()):
        raise UserError("multi-label predictions and references must hold only 0 and 1")
    return p, r


def label_score(
    score: Score,
    predictions: Any,
    references: Any,
    labels: Sequence[int] | None,
    pos_label: int,
    average: str | None,
) -> Any:
    """Precision, recall or F1 with scikit-learn's arguments and zero_division=0.

    Predictions and references are labels [n] or 0/1 rows [n, labels]. `labels` picks and orders the
    classes (or columns). Returns a float, or float64 [labels] where `average` is None.
    """
    if average not in ("binary", "micro", "macro", "weighted", None):
        raise UserError(
            f"average is {average!r}; it must be binary, micro, macro, weighted or None"
        )
    p, r = as_labels(predictions, references)
    if p.ndim == 2:
        if average == "binary":
            raise UserError("average='binary' is for two classes; multi-label data needs another")
        counts = count_columns(p == 1, r == 1, np.ones(len(p), np.int64))
        present = np.arange(p.shape[1])
    else:
        p, r, present = encode(p, r)
        counts = count_codes(p, r, len(present), np.ones(len(p), np.int64))
    if average == "binary":
        if len(present) > 2 or (len(present) == 2 and pos_label not in present):
            raise UserError(
                f"average='binary' with pos_label={pos_label} does not fit the labels "
                f"{present.tolist()}; name another pos_label or average"
            )
        labels, average = [pos_label], None
        return float(score(_pick(counts, present, labels), average)[0])
    if labels is not None:
        if p.ndim == 2 and not np.isin(labels, present).all():
            raise UserError(f"labels {list(labels)} go beyond the {len(present)} columns")
        counts = _pick(counts, present, labels)
    value = score(counts, average)  # type: ignore[arg-type]
    return value if average is None else float(value)


def _pick(counts: Counts, present: Ints, labels: Sequence[int]) -> Counts:
    """The counts of these labels, in this order; 0 for one that is not among the present ones."""
    place = {int(label): i for i, label in enumerate(present)}
    places = [place.get(int(label), len(present)) for label in labels]
    hits, predicted, actual = (
        np.append(column, 0)[places] for column in (counts.hits, counts.predicted, counts.actual)
    )
    return Counts(hits, predicted, actual, keep_absent=True)
