"""What changes the scores of the next tokens before one is chosen: penalties, what a text has to
match, and tokens that are suppressed, in this order."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tasks.writes import Constraint, Matcher
from zoo.generation.decoding import Decoding, SpecialTokens
from zoo.generation.penalties import Penalties
from zoo.generation.session import Ids, Suppression


class LogitsProcessors:
    """Changes the scores of tokens for the texts of a batch as a decoding says."""

    def __init__(
        self,
        special: SpecialTokens,
        decoding: Decoding,
        vocabulary: int,
        prompts: Sequence[Ids],
    ) -> None:
        """
        Args:
            special: special tokens of the model.
            decoding: how tokens are chosen.
            vocabulary: scores of a row.
            prompts: what the texts begin with (`zoo.generation.penalties.prompts_of`).
        """
        self._penalties = Penalties(decoding, prompts)
        self._constrained = Constrained(decoding.constraint, vocabulary)
        self._suppression = Suppression(special, decoding, vocabulary)
        self.ends = self._suppression.ends

    def __call__(self, scores: Any, written: Ids) -> Any:
        """Return scores [rows, vocabulary] for the token behind `written` int64 [rows, n]; a numpy
        array is changed. Of beams, the rows of one prompt stand together."""
        scores = self._constrained(self._penalties(scores, written), written)
        return self._suppression(scores, written.shape[1])


class Constrained:
    """Sets the scores of tokens to -inf behind which a text could not match a constraint."""

    def __init__(self, constraint: Constraint | None, vocabulary: int) -> None:
        self._constraint, self._vocabulary = constraint, vocabulary
        self._matchers: list[Matcher] = []

    def __call__(self, scores: Any, written: Ids) -> Any:
        """Return scores [rows, vocabulary]; see `LogitsProcessors`."""
        if self._constraint is None:
            return scores
        while len(self._matchers) < len(written):
            self._matchers.append(self._constraint.start())
        banned = np.ones((len(written), self._vocabulary), bool)
        for row, matcher, text in zip(banned, self._matchers, written.tolist(), strict=False):
            allowed = matcher.allowed(text)[: self._vocabulary]
            row[: len(allowed)] = ~allowed
        if not isinstance(scores, np.ndarray):
            scores = scores.clone()  # of inference mode, which can't be changed outside it
        scores[banned.nonzero()] = -np.inf
        return scores
