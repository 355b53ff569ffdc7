"""BLEU, chrF and ROUGE of texts against one reference each, as counts that are added up.

BLEU (Papineni et al. 2002) is that of sacrebleu (Post 2018) as it comes, signature
`case:mixed|eff:no|tok:13a|smooth:exp`; chrF (Popovic 2015) likewise, `nc:6|nw:0|space:no`, with
beta 2; both from 0 to 100. ROUGE (Lin 2004) is the F measure that the package rouge-score gives
without stemming, from 0 to 1, the mean over samples; its words are of a to z and digits, so of
other scripts it sees nothing.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from tasks.metrics.arithmetic import Floats, Ints

WORD_ORDER = 4
"""Longest n-gram of words in BLEU."""
CHARACTER_ORDER = 6
"""Longest n-gram of characters in chrF."""
BETA = 2.0
"""How many times as much recall counts as precision in chrF."""
BLEU_COLUMNS = 2 * WORD_ORDER + 2
CHRF_COLUMNS = 3 * CHARACTER_ORDER

_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
# the rules of NIST's mteval-v13a; of ASCII's symbols ' , - . have rules of their own, or none
_SYMBOLS = re.compile(r"([ -&(-+/:-@\[-`{-~])")
_STOP_AFTER_OTHER = re.compile(r"([^0-9])([.,])")
_STOP_BEFORE_OTHER = re.compile(r"([.,])([^0-9])")
_DASH_AFTER_DIGIT = re.compile(r"([0-9])(-)")
_NO_WORD = re.compile(r"[^a-z0-9]+")


def words_13a(text: str) -> list[str]:
    """Return the tokens that BLEU counts of a text."""
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    text = _SYMBOLS.sub(r" \1 ", f" {text} ")
    text = _STOP_AFTER_OTHER.sub(r"\1 \2 ", text)
    text = _STOP_BEFORE_OTHER.sub(r" \1 \2", text)
    return _DASH_AFTER_DIGIT.sub(r"\1 \2 ", text).split()


def bleu_counts(hypothesis: str, reference: str) -> list[int]:
    """Return what BLEU counts of a sample: n-grams that match and n-grams of the hypothesis, of
    each order from 1, then the words of both texts; `BLEU_COLUMNS` numbers."""
    ours, theirs = words_13a(hypothesis), words_13a(reference)
    orders = range(1, WORD_ORDER + 1)
    matches = [_shared(ngrams(ours, n), ngrams(theirs, n)) for n in orders]
    return [*matches, *(max(0, len(ours) - n + 1) for n in orders), len(ours), len(theirs)]


def chrf_counts(hypothesis: str, reference: str) -> list[int]:
    """Return what chrF counts of a sample: n-grams of the hypothesis, of the reference, and of
    both, each for the orders from 1; `CHRF_COLUMNS` numbers."""
    ours, theirs = ("".join(text.split()) for text in (hypothesis, reference))
    found: list[list[int]] = [[], [], []]
    for n in range(1, CHARACTER_ORDER + 1):
        known = max(0, len(theirs) - n + 1)
        # where the reference has none, those of the hypothesis do not count
        found[0].append(max(0, len(ours) - n + 1) if known else 0)
        found[1].append(known)
        found[2].append(_shared(ngrams(ours, n), ngrams(theirs, n)))
    return [count for column in found for count in column]


def rouge_scores(hypothesis: str, reference: str) -> list[float]:
    """Return ROUGE-1, ROUGE-2 and ROUGE-L of a sample: of words, pairs of words, and the longest
    common subsequence of words."""
    ours, theirs = (_NO_WORD.sub(" ", text.lower()).split() for text in (hypothesis, reference))
    found = []
    for n in (1, 2):
        shared = _shared(ngrams(ours, n), ngrams(theirs, n))
        found.append(_f1(shared, max(0, len(ours) - n + 1), max(0, len(theirs) - n + 1)))
    return [*found, _f1(common_subsequence(ours, theirs), len(ours), len(theirs))]


def common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the length of the longest common subsequence (Hyyro 2004, on the bits of a whole
    number)."""
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    every = (1 << len(one)) - 1
    unmatched = every
    for word in other:
        here = unmatched & places.get(word, 0)
        unmatched = (unmatched + here | unmatched - here) & every
    return len(one) - unmatched.bit_count()


def bleu(counts: Ints | Floats) -> Floats:
    """Return BLEU, float64 [...], of sums of `bleu_counts` [..., BLEU_COLUMNS]; 0 without a
    match."""
    sums = np.asarray(counts, np.float64)
    matches, totals = sums[..., :WORD_ORDER], sums[..., WORD_ORDER : 2 * WORD_ORDER]
    ours, theirs = sums[..., -2], sums[..., -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        # an order without a match has half the precision of one match; each further one half more
        missed = 2.0 ** np.cumsum(matches == 0, -1)
        precisions = np.where(matches > 0, matches, 1 / missed) / totals
        logs = np.log(100 * precisions).sum(-1) / WORD_ORDER
        brevity = np.where(ours < theirs, np.exp(1 - theirs / ours), 1.0)
        scores = brevity * np.exp(logs)
    # no order may be empty: a corpus of texts of fewer words has no BLEU, which is 0 by convention
    defined = (matches > 0).any(-1) & (totals > 0).all(-1)
    found: Floats = np.where(defined, scores, 0.0)
    return found


def chrf(counts: Ints | Floats) -> Floats:
    """Return chrF, float64 [...], of sums of `chrf_counts` [..., CHRF_COLUMNS]; 0 without a
    match."""
    sums = np.asarray(counts, np.float64)
    ours, theirs, matches = np.split(sums, 3, -1)
    known = (ours > 0) & (theirs > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        orders = known.sum(-1)
        precision = np.where(known, matches / ours, 0).sum(-1) / orders
        recall = np.where(known, matches / theirs, 0).sum(-1) / orders
        scores = (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall)
    found: Floats = np.where(matches.any(-1), 100 * scores, 0.0)
    return found


def ngrams(units: Sequence[str], n: int) -> Counter[Any]:
    """Return how often each n-gram occurs in a list of words, or in a text of characters."""
    spans = [units[i : i + n] for i in range(len(units) - n + 1)]
    return Counter(spans if isinstance(units, str) else map(tuple, spans))


def _shared(ours: Counter[Any], theirs: Counter[Any]) -> int:
    """Return how many n-grams match, each at most as often as the reference has it."""
    return sum(min(count, theirs[gram]) for gram, count in ours.items() if gram in theirs)


def _f1(shared: int, ours: int, theirs: int) -> float:
    precision, recall = shared / max(ours, 1), shared / max(theirs, 1)
    return 2 * precision * recall / (precision + recall) if shared else 0.0
