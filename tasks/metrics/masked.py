"""The accumulators of what was hidden: tokens of texts and patches of images, and what one answer
to every one of them would be worth."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.metrics.accumulator import Answer, by_id
from tasks.metrics.arithmetic import Floats, Ints
from tasks.metrics.ratios import Ratio, RatioMetric

_Array = npt.NDArray[Any]


class MaskedTokensMetric(RatioMetric):
    """Perplexity and accuracy of guesses of hidden tokens.

    Memory a sample: 32 bytes, and 4 for each hidden token.
    """

    def __init__(self, name_of: Callable[[int], str]) -> None:
        """Start with no samples; `name_of` gives a token as people read it."""
        super().__init__([Ratio("perplexity", 0, 1, exp=True), Ratio("masked_accuracy", 2, 1)])
        self._name_of = name_of
        self._chunks = [(*self._chunks[0], [])]

    def count(self, ids: _Array, losses: _Array, hits: _Array, hidden: Sequence[_Array]) -> None:
        """Count a batch of texts.

        Args:
            ids: of the samples, integers [b].
            losses: loss of each hidden token in nats, [masked], a sample's tokens in a row.
            hits: whether it was guessed, [masked].
            hidden: the true tokens of each sample, integers [masks].
        """
        columns = self._checked(ids, _sums(losses, hits, hidden))
        self._append((*columns, [np.asarray(tokens, np.int32) for tokens in hidden]))

    def _constant(self) -> tuple[Answer, Any] | None:
        """Return the commonest of the hidden tokens; each is as likely as it is common among them,
        so that the perplexity is that of their frequencies."""
        ids, _, hidden = self._columns()
        every = np.concatenate(hidden)
        if not len(every):
            return None
        tokens, codes, counts = np.unique(every, return_inverse=True, return_counts=True)
        losses, best = -np.log(counts / counts.sum()), counts.argmax()
        sums = _sums(losses[codes], codes == best, hidden)
        return self._name_of(int(tokens[best])), (ids, sums, hidden)

    def _distinct(self, chunks: Sequence[Any]) -> tuple[Any, ...]:
        ids, sums = (np.concatenate([chunk[i] for chunk in chunks]) for i in range(2))
        hidden = [tokens for chunk in chunks for tokens in chunk[2]]
        order = by_id(ids, [sums[:, ::-1]])
        return ids[order], sums[order], [hidden[place] for place in order]

    def _packed(self, columns: Any) -> dict[str, _Array]:
        ids, sums, hidden = columns
        return {"ids": ids, "sums": sums, "hidden": np.concatenate([*hidden, _NONE])}

    def _unpacked(self, state: Mapping[str, _Array]) -> tuple[Any, ...]:
        ends: Ints = np.cumsum(state["sums"][:, 1]).astype(np.int64)
        return state["ids"], state["sums"], np.split(state["hidden"], ends)[:-1]


_NONE: _Array = np.empty(0, np.int32)


def _sums(losses: _Array, hits: _Array, hidden: Sequence[_Array]) -> Floats:
    """Return the sums of each sample, float64 [b, 3]: loss, hidden tokens, hits."""
    counts = np.array([len(tokens) for tokens in hidden], np.int64)
    owner = np.repeat(np.arange(len(hidden)), counts)
    sums = [np.bincount(owner, column, minlength=len(hidden)) for column in (losses, hits)]
    return np.stack([sums[0], counts.astype(np.float64), sums[1]], axis=1)


class PaintedPatchesMetric(RatioMetric):
    """The error of painted patches; its columns are the sums over a sample's hidden patches of the
    error, of their number, and of the error that a flat patch of its mean would have."""

    def __init__(self) -> None:
        super().__init__([Ratio("reconstruction_loss", 0, 1)], columns=3)

    def _constant(self) -> tuple[Answer, Any] | None:
        """Return a flat patch, the mean of what is hidden there, as the answer."""
        ids, sums = self._columns()
        return "a flat patch", (ids, sums[:, [2, 1, 2]])
