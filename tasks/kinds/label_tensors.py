"""Labels of a classifier as tensors, given or drawn.

Of one label each int64 [b], of several float32 [b, labels] of 0 and 1, of numbers float32 [b].
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.data.labels import ProblemType


def given(values: Sequence[Any], labels: int, problem_type: "ProblemType") -> "Tensor":
    """Return the labels of rows.

    Args:
        values: of each row a label's number, those of several, or a number.
        labels: how many there are.
    """
    import torch

    if problem_type == "multi_label_classification":
        hot = torch.zeros(len(values), labels)
        for i, each in enumerate(values):
            hot[i, each] = 1.0
        return hot
    dtype = torch.float32 if problem_type == "regression" else torch.int64
    return torch.tensor(values, dtype=dtype)


def drawn(rows: int, labels: int, problem_type: "ProblemType", seed: int) -> "Tensor":
    """Return labels of so many rows, drawn by `seed`."""
    import torch

    rng, labels = torch.Generator().manual_seed(seed), max(labels, 1)
    if problem_type == "single_label_classification":
        return torch.randint(labels, (rows,), generator=rng)
    if problem_type == "multi_label_classification":
        return torch.randint(2, (rows, labels), generator=rng).float()
    return torch.randn(rows, generator=rng)
