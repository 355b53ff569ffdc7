"""Texts that lie one after the other in one row; see `tasks.packed`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasks.base import Batch
from tasks.data.labels import ProblemType
from tasks.kinds.losses import IGNORED
from tasks.packed import PackedShape

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    Windows = Sequence[Sequence[int]] | Sequence[np.ndarray]


def pack(rows: Sequence[Mapping[str, Any]], shape: PackedShape, pad_token_id: int) -> Batch:
    """Return a batch without targets of all windows of all rows; see `Packs.collate_packed`.

    As in `tasks.nlp.tokenization.pad`, a text without any token becomes one token of padding that
    counts.
    """
    import numpy as np
    import torch

    counts = [max(1, len(window)) for row in rows for window in row["input_ids"]]
    assert shape.fits(len(rows), len(counts), sum(counts)), "who cuts a step sees to it"
    missing = shape.sequences - len(counts)
    left = shape.tokens - sum(counts) - missing
    ends = np.arange(shape.fillers + 1) * left // shape.fillers  # of even parts
    sizes = np.concatenate([counts, np.ones(missing, np.int64), np.diff(ends)])
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    inputs = {
        "input_ids": along([w for row in rows for w in row["input_ids"]], shape, pad_token_id),
        "position_ids": np.arange(shape.tokens) - np.repeat(bounds[:-1], sizes),
    }
    if "token_type_ids" in rows[0]:
        windows = [window for row in rows for window in row["token_type_ids"]]
        inputs["token_type_ids"] = along(windows, shape, 0)
    tensors = {name: torch.from_numpy(values).unsqueeze(0) for name, values in inputs.items()}
    tensors["cu_seqlens"] = torch.from_numpy(bounds.astype(np.int32))
    ids = torch.full((shape.samples,), -1)
    ids[: len(rows)] = torch.tensor([row["sample_id"] for row in rows])
    return Batch(tensors, ids)


def along(windows: "Windows", shape: PackedShape, fill: int) -> "np.ndarray":
    """Return values of tokens, one list a window, one after the other in int64 [tokens].

    Args:
        fill: stands for a window without any token, and behind the last one.
    """
    import numpy as np

    values = np.full(shape.tokens, fill, np.int64)
    begin = 0
    for window in windows:
        values[begin : begin + len(window)] = window
        begin += max(1, len(window))
    return values


def of_tokens(labels: "Windows", shape: PackedShape) -> "dict[str, Tensor]":
    """Return the target `labels` int64 [1, tokens] of the labels of each window's tokens."""
    import torch

    return {"labels": torch.from_numpy(along(labels, shape, IGNORED)).unsqueeze(0)}


def of_few_tokens(labels: "Windows", shape: PackedShape, most: int) -> "dict[str, Tensor]":
    """Return the targets `places` and `labels`, int64 [most] each: which tokens of the row have a
    label, and which. Behind the last the place is 0 and the label `IGNORED`.

    Args:
        labels: of each window's tokens, most of them `IGNORED`.
    """
    import numpy as np
    import torch

    values = along(labels, shape, IGNORED)
    (places,) = (values != IGNORED).nonzero()
    padding = (0, most - len(places))
    chosen = np.pad(values[places], padding, constant_values=IGNORED)
    return {
        "places": torch.from_numpy(np.pad(places, padding)),
        "labels": torch.from_numpy(chosen),
    }


def padded(targets: "Tensor", n: int) -> "Tensor":
    """Return targets [b, ...] as [n, ...], with zeros behind them."""
    import torch

    more = targets.new_zeros(n - len(targets), *targets.shape[1:])
    return torch.cat([targets, more])


def losses_of_rows(
    logits: "Tensor",
    labels: "Tensor",
    problem_type: ProblemType,
    class_weights: "Tensor | None",
    label_smoothing: float,
) -> "Tensor":
    """Return the loss of each row, float32 [n], as `Classification.loss` sums them up.

    Args:
        logits: float32 [n, labels].
        labels: int64 [n], or float32 [n, labels], or in regression float32 [n], or [n, labels] of
            several numbers.
        class_weights: float32 [labels], or None.
    """
    import torch.nn.functional as F

    if problem_type == "regression" and labels.ndim > 1:
        return F.mse_loss(logits, labels, reduction="none").mean(-1)
    if problem_type == "regression":
        return F.mse_loss(logits.squeeze(-1), labels, reduction="none")
    if problem_type == "multi_label_classification":
        labels = labels * (1 - label_smoothing) + 0.5 * label_smoothing
        return F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(-1)
    return F.cross_entropy(
        logits, labels, class_weights, label_smoothing=label_smoothing, reduction="none"
    )
