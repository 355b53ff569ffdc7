"""Prefix beam search for CTC (Graves 2012, section 7.5; with words and a language model as in
Hannun et al. 2014, "First-pass large vocabulary continuous speech recognition").

Of each prefix two log probabilities are kept: that of all alignments so far that end in a blank,
and that of those that end in its last token. A frame changes a prefix's own two, and extends it by
each symbol; where the extension is in the beam already, the two ways are one. With a beam as wide
as there are prefixes the result is exact.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tasks.speech.decoding.lexicon import ROOT, Lexicon

if TYPE_CHECKING:
    from tasks.speech.decoding.ngram import NGram

UNLIKELY = float(np.log(1e-4))
"""Log probability below which a symbol is left out of a frame."""

_Floats = npt.NDArray[np.float64]
_NONE = -1  # the last token of the empty prefix, and its parent


@dataclass(frozen=True)
class Hypothesis:
    """A decoded text: its tokens, and its score (log probability plus what the words earn)."""

    tokens: tuple[int, ...]
    score: float


def beam_search(
    log_probs: npt.NDArray[np.floating[Any]],
    *,
    blank: int,
    beam: int = 16,
    delimiter: int | None = None,
    symbols: Sequence[str] | None = None,
    lm: "NGram | None" = None,
    alpha: float = 0.5,
    beta: float = 1.0,
    words: Lexicon | Collection[str] | None = None,
    unlikely: float = UNLIKELY,
) -> list[Hypothesis]:
    """The best texts, best first, at most `beam` of them.

    The score is log p(tokens | sound), and with a language model + alpha log p(words) + beta for
    each word. The model is asked when a word ends, and at the end for the last word and the end of
    the sentence.

    Args:
        log_probs: [frames, vocab], log probabilities.
        delimiter: the token between words; wanted for `lm` and for more than one of `words`.
        symbols: what each token reads; wanted for `lm`, and for `words` as plain strings.
        words: every word of the result is one of these. Where no alignment in the beam ends in a
            whole word, the unfinished last word is left out.
        unlikely: symbols with a lower log probability in a frame are not tried there; the likeliest
            always is.
    """
    if beam < 1:
        raise ValueError(f"a beam of {beam} holds nothing; it must be at least 1")
    if lm is not None and (symbols is None or delimiter is None):
        raise ValueError("a language model reads words: give symbols and delimiter")
    if symbols is not None and len(symbols) != np.shape(log_probs)[1]:
        raise ValueError(f"{len(symbols)} symbols for {np.shape(log_probs)[1]} tokens")
    lexicon = words
    if lexicon is not None and not isinstance(lexicon, Lexicon):
        if symbols is None:
            raise ValueError("a word list must be spelt: give symbols")
        lexicon = Lexicon(lexicon, symbols)
    tree = _Prefixes(delimiter, symbols, lm, alpha, beta, lexicon)
    state = _Beam(ids=np.zeros(1, np.int64), ends_blank=np.zeros(1), ends_token=np.full(1, -np.inf))
    exact = np.asarray(log_probs, np.float64)
    best = exact.argmax(1)
    for t, frame in enumerate(exact):
        keep = frame > unlikely
        keep[best[t]] = True
        keep[blank] = False
        state = _advance(state, frame, np.flatnonzero(keep), blank, beam, tree)
    return tree.finish(state.ids, np.logaddexp(state.ends_blank, state.ends_token))


@dataclass(frozen=True)
class _Beam:
    """Prefixes, int64 [n], and their log probabilities, float64 [n]."""

    ids: npt.NDArray[np.int64]
    ends_blank: _Floats
    ends_token: _Floats


class _Prefixes:
    """Every prefix that was ever in the beam, as a tree; 0 is the empty one."""

    def __init__(
        self,
        delimiter: int | None,
        symbols: Sequence[str] | None,
        lm: "NGram | None",
        alpha: float,
        beta: float,
        lexicon: Lexicon | None,
    ) -> None:
        self._delimiter, self._symbols = delimiter, symbols
        self._lm, self._alpha, self._beta = lm, alpha, beta
        self.lexicon = lexicon
        self.parents, self.lasts = [_NONE], [_NONE]
        self._children: dict[tuple[int, int], int] = {}
        self._nodes = [ROOT]  # in the lexicon
        self._words: list[tuple[str, ...]] = [()]  # as many finished ones as the LM looks back on
        self._spelt = [""]  # of the unfinished one
        self.bonuses = [0.0]  # what the finished words earn
        self._gains: dict[int, float] = {}

    def extend(self, prefix: int, token: int) -> int:
        """Return the prefix with one more token."""
        found = self._children.get((prefix, token))
        if found is not None:
            return found
        new = len(self.parents)
        self._children[prefix, token] = new
        self.parents.append(prefix)
        self.lasts.append(token)
        ends = token == self._delimiter
        if self.lexicon is not None:
            self._nodes.append(ROOT if ends else self.lexicon.step(self._nodes[prefix], token))
        if self._lm is not None:
            assert self._symbols is not None
            words, spelt = self._words[prefix], self._spelt[prefix]
            if ends and spelt:
                words = (*words, spelt)[-max(self._lm.order - 1, 1) :]
            self._words.append(words)
            self._spelt.append("" if ends else spelt + self._symbols[token])
            self.bonuses.append(self.bonuses[prefix] + (self.gain(prefix) if ends else 0.0))
        return new

    def gain(self, prefix: int) -> float:
        """Return the score that a prefix's last word earns when it ends there."""
        if self._lm is None or not self._spelt[prefix]:
            return 0.0
        if prefix not in self._gains:
            chance = self._lm.score(self._context(prefix), self._spelt[prefix])
            self._gains[prefix] = self._alpha * chance + self._beta
        return self._gains[prefix]

    def _context(self, prefix: int) -> tuple[str, ...]:
        words = self._words[prefix]
        return ("<s>", *words) if self._lm and len(words) < self._lm.order - 1 else words

    def bonus(self, ids: npt.NDArray[np.int64]) -> _Floats:
        """Return the scores that prefixes [n] have earned so far, [n]."""
        if self._lm is None:
            return np.zeros(len(ids))
        return np.array([self.bonuses[i] for i in ids])

    def gains(self, ids: npt.NDArray[np.int64], tokens: npt.NDArray[np.int64]) -> _Floats | float:
        """Return the scores that extending prefixes [n] by tokens [k] earns, [n, k]."""
        if self._lm is None or self._delimiter not in tokens:
            return 0.0
        gains = np.zeros((len(ids), len(tokens)))
        gains[:, tokens == self._delimiter] = [[self.gain(int(i))] for i in ids]
        return gains

    def forbidden(
        self, ids: npt.NDArray[np.int64], tokens: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_] | None:
        """Return where a token [k] leads a prefix [n] out of the lexicon, bool [n, k]."""
        if self.lexicon is None:
            return None
        rows = [self.lexicon.allowed(self._nodes[i], self._delimiter)[tokens] for i in ids]
        return ~np.array(rows, np.bool_).reshape(len(ids), len(tokens))

    def tokens(self, prefix: int) -> tuple[int, ...]:
        """Return the tokens of a prefix, in their order."""
        found = []
        while prefix:
            found.append(self.lasts[prefix])
            prefix = self.parents[prefix]
        return tuple(reversed(found))

    def finish(self, ids: npt.NDArray[np.int64], totals: _Floats) -> list[Hypothesis]:
        """Hypotheses of the last beam, each text once, best first."""
        whole: dict[int, float] = {}
        cut: dict[int, float] = {}
        for prefix, total in zip(ids.tolist(), totals.tolist(), strict=True):
            if total == -np.inf:
                continue
            kept, into = prefix, whole
            if self.lexicon is not None and not self._complete(prefix):
                into = cut
                while self._nodes[kept] != ROOT:
                    kept = self.parents[kept]
            into[kept] = float(np.logaddexp(into.get(kept, -np.inf), total))
        scored = [(self._final(p, total), self.tokens(p)) for p, total in (whole or cut).items()]
        scored.sort(key=lambda pair: (-pair[0], pair[1]))
        return [Hypothesis(tokens, score) for score, tokens in scored]

    def _complete(self, prefix: int) -> bool:
        assert self.lexicon is not None
        node = self._nodes[prefix]
        return node == ROOT or self.lexicon.is_word(node)

    def _final(self, prefix: int, total: float) -> float:
        if self._lm is None:
            return total
        words = self._context(prefix)
        if self._spelt[prefix]:
            words = (*words, self._spelt[prefix])
        end = self._alpha * self._lm.score(words, "</s>")
        return total + self.bonuses[prefix] + self.gain(prefix) + end


def _advance(
    state: _Beam,
    frame: _Floats,
    tokens: npt.NDArray[np.int64],
    blank: int,
    beam: int,
    tree: _Prefixes,
) -> _Beam:
    """The beam one frame later; `tokens` [k] are the symbols to try."""
    ids, n = state.ids, len(state.ids)
    lasts = np.array([tree.lasts[i] for i in ids])
    total = np.logaddexp(state.ends_blank, state.ends_token)
    stay_blank = total + frame[blank]
    stay_token = np.where(lasts == _NONE, -np.inf, state.ends_token + frame[lasts])
    if len(tokens) == 0:
        return _Beam(ids, stay_blank, stay_token)
    # A token like the last one needs a blank between: [n, k].
    repeats = lasts[:, None] == tokens
    grow = np.where(repeats, state.ends_blank[:, None], total[:, None]) + frame[tokens]
    forbidden = tree.forbidden(ids, tokens)
    if forbidden is not None:
        grow[forbidden] = -np.inf
    # What is in the beam already takes in what its parent brings.
    parents = np.array([tree.parents[i] for i in ids])
    child, parent = np.nonzero(parents[:, None] == ids)
    if len(child):
        column = np.searchsorted(tokens, lasts[child])
        column[column == len(tokens)] = 0
        there = tokens[column] == lasts[child]
        child, parent, column = child[there], parent[there], column[there]
        stay_token[child] = np.logaddexp(stay_token[child], grow[parent, column])
        grow[parent, column] = -np.inf
    bonus = tree.bonus(ids)
    ranked = np.concatenate(
        [
            np.logaddexp(stay_blank, stay_token) + bonus,
            (grow + bonus[:, None] + tree.gains(ids, tokens)).ravel(),
        ]
    )
    chosen = np.argsort(-ranked, kind="stable")[:beam]
    chosen = chosen[ranked[chosen] > -np.inf]
    old, new = chosen[chosen < n], chosen[chosen >= n] - n
    rows, columns = np.divmod(new, len(tokens))
    born = [tree.extend(int(ids[i]), int(tokens[k])) for i, k in zip(rows, columns, strict=True)]
    return _Beam(
        np.concatenate([ids[old], np.array(born, np.int64)]),
        np.concatenate([stay_blank[old], np.full(len(new), -np.inf)]),
        np.concatenate([stay_token[old], grow[rows, columns]]),
    )
