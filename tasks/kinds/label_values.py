"""Labels of a classifier: given (numpy's arrays), drawn (tensors), and predicted.

Given and drawn, of one label each int64 [b], of several float32 [b, labels] of 0 and 1, of numbers
float32 [b], of several numbers each float32 [b, labels].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from tasks.data.labels import ProblemType


@dataclass(frozen=True)
class LabelPrediction:
    """A prediction of exactly one label."""

    label: int
    scores: tuple[float, ...]  # of each label: its probability


@dataclass(frozen=True)
class LabelsPrediction:
    """A prediction of any number of labels, possibly none."""

    labels: tuple[int, ...]
    scores: tuple[float, ...]  # of each label: its probability


@dataclass(frozen=True)
class NumberPrediction:
    """A prediction of a number, in the unit of the labels."""

    value: float


@dataclass(frozen=True)
class NumbersPrediction:
    """A prediction of several numbers, each in the unit of its labels."""

    values: tuple[float, ...]


Prediction = LabelPrediction | LabelsPrediction | NumberPrediction | NumbersPrediction
Value = int | tuple[int, ...] | float | tuple[float, ...]
"""A label, the labels given, a number or several: what is predicted, and what is true."""


def given(values: Sequence[Any], labels: int, problem_type: "ProblemType") -> "np.ndarray":
    """Return the labels of rows as a numpy array.

    Args:
        values: for each row a label's index, the indices of several labels, a number, or a list of
            numbers.
        labels: how many there are.
    """
    import numpy as np

    if problem_type == "multi_label_classification":
        hot = np.zeros((len(values), labels), np.float32)
        for row, each in zip(hot, values, strict=True):
            row[list(each)] = 1
        return hot
    return np.array(values, np.float32 if problem_type == "regression" else np.int64)


def drawn(rows: int, labels: int, problem_type: "ProblemType", seed: int) -> "Tensor":
    """Return a tensor of random labels for `rows` rows, drawn from `seed`."""
    import torch

    rng = torch.Generator().manual_seed(seed)
    if problem_type == "regression":
        return torch.randn((rows, labels) if labels else (rows,), generator=rng)
    if problem_type == "single_label_classification":
        return torch.randint(max(labels, 1), (rows,), generator=rng)
    return torch.randint(2, (rows, max(labels, 1)), generator=rng).float()


def predicted(logits: Any, problem_type: "ProblemType", threshold: float) -> list[Prediction]:
    """Return one prediction per row from logits [b, labels], a tensor or an array.

    Single label: the likeliest, softmax probabilities. Multi label: those whose sigmoid reaches
    the threshold.
    """
    from tasks import arrays

    logits = arrays.to_numpy(logits)
    if problem_type == "regression" and logits.shape[-1] > 1:
        return [NumbersPrediction(tuple(row)) for row in logits.tolist()]
    if problem_type == "regression":
        return [NumberPrediction(value) for value in logits.squeeze(-1).tolist()]
    if problem_type == "single_label_classification":
        columns = logits.argmax(-1).tolist(), arrays.softmax(logits).tolist()
        return [LabelPrediction(label, tuple(row)) for label, row in zip(*columns, strict=True)]
    scores = arrays.sigmoid(logits)
    rows = zip((scores >= threshold).tolist(), scores.tolist(), strict=True)
    return [LabelsPrediction(places_of(given), tuple(row)) for given, row in rows]


def value_of(prediction: Prediction) -> Value:
    """Return the predicted value, in the form that is compared with the true one."""
    if isinstance(prediction, LabelPrediction):
        return prediction.label
    if isinstance(prediction, NumbersPrediction):
        return prediction.values
    return prediction.labels if isinstance(prediction, LabelsPrediction) else prediction.value


def places_of(given: Sequence[float]) -> tuple[int, ...]:
    """Return the indices of the nonzero entries in a row of 0 and 1."""
    return tuple(i for i, one in enumerate(given) if one)
