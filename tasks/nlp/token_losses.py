"""What the logits of a batch of pieces of texts are worth, where the true tokens are known."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tasks.base import Batch, Evaluated, Loss, Outputs
from tasks.kinds.losses import IGNORED, of_targets

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from tasks.base import WrongPrediction
    from tasks.metrics.documents import DocumentMetric

MOST_LOGITS = 2**24
"""Logits that an evaluation holds at once, 64 MiB in float32."""


@dataclass(frozen=True, eq=False)
class GuessedTokens:
    """The likeliest token at each learned place of a piece of a text."""

    tokens: "np.ndarray"  # int64 [tokens]


def apart(values: "Tensor", batch: Batch) -> "list[np.ndarray]":
    """Return values [b, seq] of a batch of pieces as arrays [tokens], one a piece."""
    known = batch.targets["labels"] != IGNORED
    rows = zip(values.cpu(), known.cpu(), strict=True)
    return [row[chosen].numpy() for row, chosen in rows]


def measured(model: Any, batch: Batch, vocabulary: int) -> Outputs:
    """Return what the logits of a batch say of its labels [b, tokens]: `loss`, of the true token,
    `guess`, the likeliest one, and `score`, its log probability, [b, tokens] each. No more rows are
    computed at once than `MOST_LOGITS` hold: all logits of a batch would fill the memory.

    Args:
        vocabulary: logits of a token.
    """
    import torch

    rows, tokens = batch.targets["labels"].shape
    alone = not (torch.distributed.is_available() and torch.distributed.is_initialized())
    if alone:  # sharded weights want as many passes in every process
        rows = max(1, MOST_LOGITS // (tokens * vocabulary))
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for first in range(0, len(batch), rows):
        part = slice(first, first + rows)
        logits = model(**{name: each[part] for name, each in batch.inputs.items()}).logits.float()
        labels = batch.targets["labels"][part]
        score, guess = logits.max(-1)
        total = logits.logsumexp(-1)
        true = logits.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        parts.append(((total - true).masked_fill(labels == IGNORED, 0), guess, score - total))
    columns = (torch.cat(column) for column in zip(*parts, strict=True))
    return dict(zip(("loss", "guess", "score"), columns, strict=True))


def cross_entropy(outputs: Outputs, batch: Batch, label_smoothing: float = 0.0) -> Loss:
    """Return the cross entropy of a batch summed over its labels [b, tokens], and their number, of
    logits or of what `measured` gives; its terms, where known, are [b, tokens]."""
    labels = batch.targets["labels"]
    if "loss" in outputs:
        terms = outputs["loss"]
        return Loss(terms.sum(), (labels != IGNORED).sum().float(), {}, terms)
    found = of_targets(outputs["logits"].flatten(0, 1), labels.flatten(), label_smoothing)
    return replace(found, terms=None if found.terms is None else found.terms.view(labels.shape))


def count(accumulator: "DocumentMetric", seen: Evaluated[GuessedTokens]) -> None:
    """Count a batch: bits and bytes, right guesses and tokens of each piece."""
    import numpy as np

    assert seen.loss.terms is not None, "nothing is smoothed where it is measured"
    targets = seen.batch.targets
    pairs = list(zip(seen.predictions, seen.references, strict=True))
    sums = [
        seen.loss.terms.double().sum(1).cpu().numpy() / math.log(2),
        targets["bytes"].cpu().numpy(),
        [int((guess.tokens == truth).sum()) for guess, truth in pairs],
        [len(truth) for _, truth in pairs],
    ]
    ids, numbers = (one.cpu().numpy() for one in (seen.batch.ids, targets["documents"]))
    accumulator.count(ids, np.stack(sums, axis=1), numbers)


def worst_guesses(
    seen: Evaluated[GuessedTokens], shown: Callable[[int], str]
) -> "list[WrongPrediction]":
    """Return of each piece the wrong guess at the least likely token; see `WrongPrediction`.

    Args:
        shown: a token as people read it.
    """
    assert seen.loss.terms is not None, "nothing is smoothed where it is measured"
    pairs = zip(seen.predictions, seen.references, strict=True)
    losses = apart(seen.loss.terms, seen.batch)
    scores = apart(seen.outputs["score"].exp(), seen.batch)
    found: list[WrongPrediction] = []
    for row, (guess, truth), own, score in zip(
        seen.batch.ids.tolist(), pairs, losses, scores, strict=True
    ):
        wrong = (guess.tokens != truth).nonzero()[0]
        if len(wrong):
            i = int(wrong[own[wrong].argmax()])
            names = shown(int(truth[i])), shown(int(guess.tokens[i]))
            found.append((float(own[i]), row, *names, float(score[i])))
    return found
