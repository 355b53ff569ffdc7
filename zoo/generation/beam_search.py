"""Beam search, which keeps the best texts of a batch and gives each row's best: in numpy.

As `_beam_search` of transformers' `GenerationMixin` does it; length normalisation after Wu et al.
2016, "Google's Neural Machine Translation System", with length ** length_penalty as divisor.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from tasks.arrays import to_numpy
from zoo.generation.decoding import Decoding
from zoo.generation.processors import LogitsProcessors
from zoo.generation.session import Generative, Ids, Scores, Session

NEVER = np.float32(-1e9)
"""The score of a beam that is not to be taken; below every sum of log probabilities."""


def beam_search(
    runner: Generative, session: Session, decoding: Decoding, prompts: Sequence[Ids], limits: Ids
) -> Iterator[Ids]:
    """Yield the best text of each row token by token, int64 [rows] each, as `generate` does.

    Args:
        prompts: what the texts begin with (`zoo.generation.penalties.prompts_of`).
        limits: tokens of each row at most, int64 [rows].
    """
    beams, most = decoding.num_beams, int(limits.max(initial=0))
    scores = to_numpy(session.logits)
    rows, vocabulary = scores.shape
    processors = LogitsProcessors(runner.special_tokens, decoding, vocabulary, prompts)
    runner.reorder(session, np.repeat(np.arange(rows), beams))
    scores = np.repeat(scores, beams, 0)
    # so many that `beams` of them go on even where all others end
    kept = min(max(2, 1 + len(processors.ends)) * beams, beams * vocabulary)
    going = Beams.start(rows, beams, most)
    ended = Beams.start(rows, beams, most)
    ended.scores[:] = NEVER
    is_text = np.zeros((rows, beams), bool)  # which of `ended` are: at first none
    may_improve = limits > 0
    for position in range(most):
        if position:
            tokens = going.tokens[:, :, position - 1].reshape(-1, 1)
            scores = to_numpy(runner.step(session, tokens)[:, -1])
        written = going.tokens[:, :, :position].reshape(rows * beams, position)
        totals = processors(log_softmax(scores), written)
        totals = totals.reshape(rows, beams, vocabulary) + going.scores[:, :, None]
        totals = totals.reshape(rows, -1)
        best = largest(totals, kept)
        parents, tokens = np.divmod(best, vocabulary)
        found = going.take(parents)
        found.tokens[:, :, position] = tokens
        found.scores = np.take_along_axis(totals, best, 1)
        found.lengths[:] = position + 1
        is_last = position + 1 >= limits
        ends = np.isin(tokens, processors.ends) | is_last[:, None]
        # what has ended goes no further
        chosen = largest(found.scores + ends * NEVER, beams)
        going = found.take(chosen)
        going.scores = going.scores + np.take_along_axis(ends, chosen, 1) * NEVER
        # of what has ended the best are kept; behind the first `beams` nothing counts
        counts = ends & (np.arange(kept) < beams)
        closed = ~may_improve | (is_text.all(1) & decoding.early_stopping)
        found.scores = found.scores / np.float32((position + 1) ** decoding.length_penalty)
        found.scores = found.scores + (~counts * NEVER + closed[:, None] * NEVER)
        ended = ended.join(found)
        best = largest(ended.scores, beams)
        is_text = np.take_along_axis(np.concatenate([is_text, counts], 1), best, 1)
        ended = ended.take(best)
        hoped = going.scores[:, 0] / np.float32((position + 1) ** decoding.length_penalty)
        worst = np.where(is_text, ended.scores.min(1, keepdims=True), NEVER)
        may_improve &= (hoped[:, None] > worst).any(1) & ~is_last
        if not may_improve.any() or ends.all() or (is_text.all() and decoding.early_stopping):
            break
        own = np.take_along_axis(parents, chosen, 1) + np.arange(rows)[:, None] * beams
        runner.reorder(session, own.reshape(-1))
    yield from _columns(ended, processors.ends, runner.special_tokens.pad)


class Beams:
    """Several texts of each row: tokens int64 [rows, beams, most], scores float32 and lengths int64
    [rows, beams]."""

    def __init__(self, tokens: Ids, scores: Scores, lengths: Ids) -> None:
        self.tokens, self.scores, self.lengths = tokens, scores, lengths

    @classmethod
    def start(cls, rows: int, beams: int, most: int) -> "Beams":
        """Return empty beams; all but the first of a row score -inf, as they would be the same."""
        scores = np.zeros((rows, beams), np.float32)
        scores[:, 1:] = NEVER
        tokens, lengths = np.zeros((rows, beams, most)), np.zeros((rows, beams))
        return cls(tokens.astype(np.int64), scores, lengths.astype(np.int64))

    def take(self, which: Ids) -> "Beams":
        """Return copies of the texts at indices `which` [rows, n] of each row."""
        return Beams(
            np.take_along_axis(self.tokens, which[:, :, None], 1),
            np.take_along_axis(self.scores, which, 1),
            np.take_along_axis(self.lengths, which, 1),
        )

    def join(self, other: "Beams") -> "Beams":
        """Return the texts of both objects, concatenated row by row."""
        return Beams(
            np.concatenate([self.tokens, other.tokens], 1),
            np.concatenate([self.scores, other.scores], 1),
            np.concatenate([self.lengths, other.lengths], 1),
        )


def largest(scores: Scores, n: int) -> Ids:
    """Return the indices int64 [rows, n] of the largest scores [rows, m], the largest first."""
    some = np.argpartition(-scores, n - 1, 1)[:, :n] if n < scores.shape[1] else None
    if some is None:
        return np.argsort(-scores, axis=1, kind="stable")
    some.sort(1)  # of equal ones the first
    order = np.argsort(-np.take_along_axis(scores, some, 1), axis=1, kind="stable")
    return np.take_along_axis(some, order, 1)


def log_softmax(scores: Scores) -> Scores:
    """Return the log probabilities float32 [rows, vocabulary] of scores."""
    shifted: Scores = scores - scores.max(1, keepdims=True)
    normaliser: Scores = np.log(np.exp(shifted).sum(1, keepdims=True))
    return np.subtract(shifted, normaliser)


def _columns(ended: Beams, ends: Ids, pad: int) -> Iterator[Ids]:
    """Yield the columns of each row's best text, without its end token and padded with `pad`."""
    tokens, lengths = ended.tokens[:, 0], ended.lengths[:, 0].copy()
    rows = np.arange(len(tokens))
    lengths -= (lengths > 0) & np.isin(tokens[rows, lengths - 1], ends)
    for position in range(lengths.max(initial=0)):
        yield np.where(position < lengths, tokens[:, position], pad)
