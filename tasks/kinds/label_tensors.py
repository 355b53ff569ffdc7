"""Labels of a classifier, given (numpy's arrays) or drawn (tensors).

Of one label each int64 [b], of several float32 [b, labels] of 0 and 1, of numbers float32 [b].
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from tasks.data.labels import ProblemType


def given(values: Sequence[Any], labels: int, problem_type: "ProblemType") -> "np.ndarray":
    """Return the labels of rows, numpy's array.

    Args:
        values: of each row a label's number, those of several, or a number.
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
    """Return labels of so many rows drawn by `seed`, a tensor."""
    import torch

    rng, labels = torch.Generator().manual_seed(seed), max(labels, 1)
    if problem_type == "single_label_classification":
        return torch.randint(labels, (rows,), generator=rng)
    if problem_type == "multi_label_classification":
        return torch.randint(2, (rows, labels), generator=rng).float()
    return torch.randn(rows, generator=rng)
