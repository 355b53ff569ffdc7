"""What the loops of generation work on: a model that goes on with texts, token by token."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tasks.arrays import to_numpy
from zoo.generation.decoding import Decoding, SpecialTokens

Ids = npt.NDArray[np.int64]
Scores = npt.NDArray[np.floating[Any]]


@dataclass
class Session:
    """The state of a batch of texts that are being generated."""

    logits: Any
    """float32 [rows, vocabulary]: of the first token behind the prompts; the reader's to change"""
    state: dict[str, Any]
    """what the runner keeps between steps, such as keys and values"""


class Generative(Protocol):
    """The interface of a model that `generate` runs. Arrays are numpy's, or tensors on a GPU."""

    @property
    def special_tokens(self) -> SpecialTokens:
        """The ids of the model's special tokens."""

    @property
    def decoding(self) -> Decoding:
        """The decoding that the model uses by default."""

    def start(self, inputs: Mapping[str, Any]) -> Session:
        """Start a session: run the encoder or the prompts, up to the first generated token."""

    def step(self, session: Session, tokens: Ids) -> Any:
        """Append tokens [rows, n]; return their logits float32 [rows, n, vocabulary]."""

    def reorder(self, session: Session, rows: Ids) -> None:
        """Replace row i of the session by row `rows[i]`; rows may be repeated or left out.

        Columns in which all rows that are left have padding go.
        """

    def join(self, session: Session, other: Session) -> None:
        """Add the rows of another session behind those of a session; the other one is used up.

        The shorter of both is padded on the left. The logits stay as they are.
        """


class Suppression:
    """Sets the scores of tokens that may not come next to -inf; where none may come, the text
    ends."""

    def __init__(self, special: SpecialTokens, decoding: Decoding, vocabulary: int) -> None:
        """Collect the forbidden tokens; those outside the vocabulary are left out."""

        def known(*ids: int) -> Ids:
            return np.array(sorted({i for i in ids if i < vocabulary}), np.int64)

        self.ends = np.array(sorted({*special.eos, *decoding.stop}), np.int64)
        self.min_new_tokens = decoding.min_new_tokens
        never, first = special.suppress_tokens, special.begin_suppress_tokens
        self._later, self._first = known(*never), known(*never, *first)
        self._later_endless = known(*never, *self.ends)
        self._first_endless = known(*never, *first, *self.ends)
        self._may_ban_all = decoding.no_repeat_ngram_size > 0 or decoding.constraint is not None
        self._ends = known(*self.ends)
        self._forced_first = special.forced_first

    def __call__(self, scores: Any, position: int) -> Any:
        """Return scores [rows, vocabulary] for the token at `position`; a numpy array is
        changed."""
        if position == 0 and self._forced_first is not None:
            if not isinstance(scores, np.ndarray):
                scores = scores.clone()
            scores[:] = -np.inf
            scores[:, self._forced_first] = 0
            return scores
        if position < self.min_new_tokens:
            banned = self._later_endless if position else self._first_endless
        else:
            banned = self._later if position else self._first
        if len(banned):
            if not isinstance(scores, np.ndarray):
                scores = scores.clone()  # of inference mode, which can't be changed outside it
            scores[:, banned] = -np.inf
        if self._may_ban_all:
            none_left = to_numpy((scores == -np.inf).all(-1)).nonzero()[0]
            scores[none_left[:, None], self._ends] = 0
        return scores
