"""A word list as a tree over tokens, so that a decoder can be held to its words."""

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from tasks.errors import UserError

ROOT = 0
NOWHERE = -1


class Lexicon:
    """A prefix tree of words. Nodes are integers; `ROOT` is the empty prefix."""

    def __init__(self, words: Collection[str], symbols: Sequence[str]) -> None:
        """Spells words in single-character symbols (token id -> text).

        A word that they can't spell is a `UserError`, and so is an empty list.
        """
        if not words:
            raise UserError("the word list is empty; give at least one word")
        ids = {symbol: i for i, symbol in enumerate(symbols) if len(symbol) == 1}
        self._children: list[dict[int, int]] = [{}]
        self._ends: list[bool] = [False]
        for word in sorted(words):
            odd = sorted({letter for letter in word if letter not in ids})
            if odd or not word:
                raise UserError(
                    f"the word list has {word!r}, and the model's vocabulary has no"
                    f" {', '.join(map(repr, odd))}: leave it out or spell it otherwise"
                    if word
                    else "the word list has an empty word; leave it out"
                )
            node = ROOT
            for letter in word:
                node = self._child(node, ids[letter])
            self._ends[node] = True
        self._size = len(symbols)
        self._masks: dict[int, npt.NDArray[np.bool_]] = {}

    def _child(self, node: int, token: int) -> int:
        if token not in self._children[node]:
            self._children[node][token] = len(self._children)
            self._children.append({})
            self._ends.append(False)
        return self._children[node][token]

    def step(self, node: int, token: int) -> int:
        """The node behind `node` along a token; `NOWHERE` where no word goes on so."""
        return NOWHERE if node == NOWHERE else self._children[node].get(token, NOWHERE)

    def is_word(self, node: int) -> bool:
        """Return whether a word ends at a node."""
        return node != NOWHERE and self._ends[node]

    def allowed(self, node: int, delimiter: int | None) -> npt.NDArray[np.bool_]:
        """Return which tokens may follow at a node, bool [vocab]; it is kept and must not be
        changed.

        The delimiter may where a word ends, and before the first or between two words again.
        """
        mask = self._masks.get(node)
        if mask is None:
            mask = np.zeros(self._size, np.bool_)
            mask[list(self._children[node])] = True
            if delimiter is not None:
                mask[delimiter] = node == ROOT or self._ends[node]
            self._masks[node] = mask
        return mask
