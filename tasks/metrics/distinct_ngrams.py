"""How varied texts are: distinct-1 and distinct-2, each with an interval over texts.

Li et al. 2016, "A Diversity-Promoting Objective Function for Neural Conversation Models": the
number of different words, or of different pairs of words that follow each other, over the number of
all. It falls as texts become more, so values of as many texts of one length alone can be compared.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from tasks.metrics import intervals
from tasks.metrics.arithmetic import Floats, Ints
from tasks.metrics.intervals import SEED, MetricEstimate, bootstrap_normal
from tasks.metrics.ngram_overlap import ngrams

ORDERS = (1, 2)
"""Words of an n-gram."""
DRAWS = 200
"""Resamples of the texts, for the width of an interval."""

_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Characters of Chinese and Japanese, which puts no blanks between words."""
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s]")


def words(text: str) -> list[str]:
    """Return the words of a text: runs of letters, digits and underscores, in the case they have.
    Each other sign counts as one, and so does each character of Chinese and Japanese."""
    return _WORD.findall(text)


def estimates(
    texts: Sequence[str], level: float = 0.95, seed: int = SEED
) -> tuple[MetricEstimate, ...]:
    """Return distinct_1 and distinct_2 of texts; n is the number of the texts.

    The interval is the normal one of the bootstrap over texts (`intervals.bootstrap_normal`): a
    resample has some texts twice, so its own value is too low, but varies as much. A value is NaN
    where no text has a word, or a pair of them.

    Args:
        seed: of the resamples.
    """
    counts = np.ones(len(texts), np.int64)
    draws = np.concatenate([counts[None], *intervals.resamples(counts, DRAWS, seed)])
    split = [words(text) for text in texts]
    found = []
    for order in ORDERS:
        value, *drawn = _shares([ngrams(text, order) for text in split], draws)
        spread = np.array([one for one in drawn if np.isfinite(one)])
        name = f"distinct_{order}"
        if len(spread) < 2:
            found.append(intervals.undefined(name, value, len(texts), level))
            continue
        found.append(bootstrap_normal(name, value, len(texts), spread, level, 0.0, 1.0))
    return tuple(found)


def _shares(texts: Sequence[Counter[Any]], draws: Ints) -> Floats:
    """Return the share of distinct n-grams [draws] in texts, by the n-grams of each, of which each
    counts so often: int64 [draws, texts]."""
    numbers: dict[Any, int] = {}
    kind = np.array([numbers.setdefault(one, len(numbers)) for text in texts for one in text], int)
    owner = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    lengths = np.array([text.total() for text in texts], int)
    shares = np.full(len(draws), np.nan)
    for place, counts in enumerate(draws):
        if total := int(counts @ lengths):
            there = np.zeros(len(numbers), bool)
            there[kind[counts[owner] > 0]] = True
            shares[place] = there.sum() / total
    return shares
