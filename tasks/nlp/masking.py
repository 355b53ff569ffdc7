"""Which tokens of a text are to be guessed, and what stands in their place.

Devlin et al. 2018, "BERT", section 3.1: 15% of the tokens are chosen; of those 80% become [MASK],
10% another token, and 10% stay what they are. A pure function of (seed, epoch, sample): every epoch
masks anew, and a resumed run masks as it would have.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from tasks.kinds.losses import IGNORED
from tasks.nlp.tokenization import TokenFeatures
from tasks.randomness import EpochView, SampleRandom

if TYPE_CHECKING:
    from torch import Tensor

Ints = npt.NDArray[np.int64]

FIXED = EpochView(seed=0, epoch=0)
"""The one masking that every evaluation uses."""
MASKED, REPLACED = 0.8, 0.1
"""Shares of the chosen tokens that become [MASK], and another token; the rest stay."""
LONGEST = 1 << 24
"""Tokens of a text that have a number of their own."""


@dataclass(frozen=True)
class Vocabulary:
    """The facts of a tokenizer that masking needs; plain JSON as a dict."""

    size: int
    mask: int
    special: tuple[int, ...]  # never chosen: [CLS], [SEP], [PAD], [UNK], ...


def mask(
    windows: Sequence[Sequence[int]],
    samples: Sequence[int],
    vocabulary: Vocabulary,
    probability: float,
    view: EpochView,
) -> tuple[list[Ints], list[Ints]]:
    """Token ids with some masked, and labels: the id of a chosen token, else `IGNORED`.

    Of a window's tokens round(probability * their number) are chosen, but at least one where there
    is any, as in the code of Devlin et al.

    Args:
        windows: token ids, one list for each piece of a text.
        samples: the text that each window belongs to; those of one text follow each other.
    """
    lengths = np.fromiter(map(len, windows), np.int64, len(windows))
    flat = np.fromiter((token for window in windows for token in window), np.int64, lengths.sum())
    ends = np.cumsum(lengths)
    owner = np.repeat(np.arange(len(windows)), lengths)
    draws = SampleRandom(view, _numbers(np.asarray(samples, np.int64), lengths))

    open_to_choice = ~np.isin(flat, vocabulary.special)
    count = np.bincount(owner[open_to_choice], minlength=len(windows))
    wanted = np.where(count > 0, np.maximum(1, np.rint(probability * count)), 0)
    # the `wanted` of each window with the smallest draws; what may not be chosen comes last
    order = np.lexsort((draws.uniform("choose"), ~open_to_choice, owner))
    rank = np.empty(len(flat), np.int64)
    rank[order] = np.arange(len(flat)) - np.repeat(ends - lengths, lengths)
    chosen = rank < wanted[owner]

    labels = np.where(chosen, flat, IGNORED)
    fate = draws.uniform("fate")
    ids = np.where(chosen & (fate < MASKED), vocabulary.mask, flat)
    replaced = chosen & (fate >= MASKED) & (fate < MASKED + REPLACED)
    ids = np.where(replaced, draws.integers("token", vocabulary.size), ids)
    return np.split(ids, ends[:-1]), np.split(labels, ends[:-1])


def most_masked(tokens: int, windows: int, probability: float) -> int:
    """Return how many tokens `mask` chooses at most in windows of so many tokens together."""
    return min(tokens, math.ceil(probability * tokens) + windows)


def places_first(chosen: "Tensor", probability: float) -> "Tensor":
    """Return places in the flattened batch, int64 [most_masked(...)]: of all chosen tokens in their
    order, and behind them of others. How many are chosen need not be known, which a GPU would be
    waited for.

    Args:
        chosen: bool [windows, seq], as `mask` chooses.
    """
    most = most_masked(chosen.numel(), len(chosen), probability)
    return (~chosen).flatten().byte().argsort(stable=True)[:most]


def _numbers(samples: Ints, lengths: Ints) -> Ints:
    """A number for each token, from its text and its place there."""
    starts = np.cumsum(lengths) - lengths
    first = np.ones(len(samples), np.bool_)
    first[1:] = samples[1:] != samples[:-1]
    begin = starts[first][np.cumsum(first) - 1]  # where the text of a window begins
    place = np.arange(lengths.sum()) - np.repeat(begin, lengths)
    numbers: Ints = np.repeat(samples, lengths) * LONGEST + place
    return numbers


class MaskedFeatures(TokenFeatures):
    """The tokens of one split, some masked: by `FIXED`, or as a view says. Satisfies
    `tasks.base.Features`."""

    _masking = FIXED

    vocabulary: Vocabulary
    probability: float

    def masked(self, vocabulary: Vocabulary, probability: float) -> Self:
        """Sets what is masked, and how much of it."""
        self.vocabulary, self.probability = vocabulary, probability
        return self

    def view(self, view: EpochView) -> Self:
        """Return the same texts as one epoch masks them."""
        import copy

        seen = copy.copy(self)
        seen._masking = view
        return seen

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        rows = super().__getitems__(indices)
        windows = [window for row in rows for window in row["input_ids"]]
        owners = [row["sample_id"] for row in rows for _ in row["input_ids"]]
        ids, labels = mask(windows, owners, self.vocabulary, self.probability, self._masking)
        at = 0
        for row in rows:
            until = at + len(row["input_ids"])
            row |= {"input_ids": ids[at:until], "token_labels": labels[at:until]}
            at = until
        return rows
