"""How varied texts are: distinct-1 and distinct-2, each with an interval over texts.

Li et al. 2016, "A Diversity-Promoting Objective Function for Neural Conversation Models": the
number of different words, or of different pairs of words that follow each other, over the number of
all. It falls as texts become more, so values of as many texts of one length alone can be compared.
"""

import re
from collections import Counter
from collections.abc import Sequence
from math import isfinite, sqrt
from typing import Any

import numpy as np

from tasks.metrics.arithmetic import Floats
from tasks.metrics.intervals import MetricEstimate, t_quantile, undefined
from tasks.metrics.ngram_overlap import ngrams

ORDERS = (1, 2)
"""Words of an n-gram."""

_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Characters of Chinese and Japanese, which puts no blanks between words."""
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s]")


def words(text: str) -> list[str]:
    """Return the words of a text: runs of letters, digits and underscores, in the case they have.
    Each other sign counts as one, and so does each character of Chinese and Japanese."""
    return _WORD.findall(text)


def estimates(texts: Sequence[str], level: float = 0.95) -> tuple[MetricEstimate, ...]:
    """Return distinct_1 and distinct_2 of texts; n is the number of the texts.

    The interval is that of the jackknife over texts (Efron & Tibshirani 1993, chapter 11) with
    Student's t: a bootstrap would not do, since a resample has some texts twice, and how many
    decides how varied it is. A value is NaN where no text has a word, or a pair of them; it has no
    interval where fewer than two have, or all texts are equally varied.
    """
    split = [words(text) for text in texts]
    return tuple(
        _estimate(f"distinct_{order}", [ngrams(text, order) for text in split], level)
        for order in ORDERS
    )


def _estimate(name: str, texts: Sequence[Counter[Any]], level: float) -> MetricEstimate:
    """Return the share of distinct n-grams in texts, by the n-grams of each."""
    n, number_of_texts = len(texts), Counter(one for text in texts for one in text)
    total, distinct = sum(text.total() for text in texts), len(number_of_texts)
    value = distinct / total if total else np.nan
    rest = np.array([total - text.total() for text in texts], float)
    if n < 2 or not rest.all():
        return undefined(name, value, n, level)
    # without a text those n-grams go that no other has
    own = np.array([sum(number_of_texts[one] == 1 for one in text) for text in texts], float)
    without: Floats = (distinct - own) / rest
    error = sqrt((n - 1) * float(np.var(without)))
    if not isfinite(value) or not error:
        return undefined(name, value, n, level)
    half = t_quantile(n - 1, level) * error
    low, high = max(0.0, value - half), min(1.0, value + half)
    return MetricEstimate(
        name=name, value=value, n=n, low=low, high=high, level=level, method="jackknife"
    )
