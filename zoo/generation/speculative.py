"""Speculative decoding: a smaller model guesses the next tokens, and one pass checks them all.

Leviathan et al. 2023, "Fast Inference from Transformers via Speculative Decoding". There a guess is
accepted at random, so that texts have the same distribution. Here the choice of each token follows
from scores, seed, text and position, for draws as well: a guess is accepted where it is the token
that is chosen, so it is the same text. A draft draws by the same numbers, so likely the same token.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tasks.arrays import to_numpy
from zoo.generation.decoding import Decoding
from zoo.generation.generate import Chooser
from zoo.generation.penalties import prompts_of
from zoo.generation.session import Generative, Ids, Scores, Session

GUESSES = 4
"""Tokens that are guessed ahead of a pass."""


class Rewinding(Generative, Protocol):
    """A model that can take tokens back."""

    def rewind(self, session: Session, counts: Ids) -> None:
        """Take back the last `counts[i]` tokens of row i, int64 [rows]: no more than were appended
        to the prompt and not taken back yet."""


@dataclass
class Acceptance:
    """What came of the guesses of a draft."""

    guessed: int = 0
    accepted: int = 0
    passes: int = 0
    """of the model, counted a text each, behind the one over the prompt"""

    def add(self, guessed: int, accepted: int) -> None:
        """Count a pass over a text."""
        self.guessed, self.accepted = self.guessed + guessed, self.accepted + accepted
        self.passes += 1

    def __str__(self) -> str:
        if not self.guessed:
            return "nothing was guessed"
        more = 1 + self.accepted / self.passes
        return (
            f"{self.accepted:,} of {self.guessed:,} guessed tokens were accepted "
            f"({self.accepted / self.guessed:.0%}): {more:.2f} tokens a pass"
        )


def speculate(
    runner: Rewinding,
    draft: Rewinding,
    inputs: Mapping[str, Any],
    decoding: Decoding,
    ids: Sequence[int],
    limits: Sequence[int],
    acceptance: Acceptance,
) -> Iterator[Ids]:
    """Yield the texts that `zoo.generation.generate.generate` yields, int64 [rows] at a time.

    Args:
        runner: the model, which goes on with a prompt.
        draft: the model that guesses; it has the same vocabulary.
        inputs, decoding, ids, limits: as `generate` takes them; not with beams.
        acceptance: is counted up.
    """
    session, guessing = runner.start(inputs), draft.start(inputs)
    special, sizes = runner.special_tokens, (len(session.logits[0]), len(guessing.logits[0]))
    prompts = prompts_of(decoding, special, inputs)
    texts = []
    for row, limit in enumerate(limits):
        chooser = Chooser(special, decoding, sizes[0], prompts[row : row + 1], [ids[row]])
        texts.append(Text(chooser, min(limit, decoding.max_new_tokens), special.pad))
    for text, scores in zip(texts, to_numpy(session.logits), strict=True):
        text.check([], scores[None])
    shown, new = 0, 1  # `new`: tokens that the draft was not given yet
    while going := [text for text in texts if not text.is_over]:
        common = min(len(text.tokens) for text in going)
        yield from columns(texts, shown, common)
        shown = common
        count = min(GUESSES, max(text.limit - len(text.tokens) for text in going) - 1)
        guesses = guess(draft, guessing, texts, new, count, sizes)
        last = np.array([text.last(1) for text in texts])
        logits = to_numpy(runner.step(session, np.concatenate([last, guesses], 1)))
        wrong = np.full(len(texts), count)
        for row, text in enumerate(texts):
            if not text.is_over:
                accepted = text.check(guesses[row].tolist(), logits[row])
                wrong[row] -= accepted
                acceptance.add(count, accepted)
        if count:
            runner.rewind(session, wrong)
            draft.rewind(guessing, wrong)
        new = 2  # the draft's guess behind the last one that was accepted is not kept
    yield from columns(texts, shown, max(len(text.tokens) for text in texts))


class Text:
    """A text that is written, and how its tokens are chosen."""

    def __init__(self, chooser: Chooser, limit: int, pad: int) -> None:
        """Begin an empty text of at most `limit` tokens; behind its end it is padded."""
        self.tokens: list[int] = []
        self.limit, self.pad, self.is_over = limit, pad, limit == 0
        self._chooser = chooser

    def choose(self, scores: Scores, ahead: Sequence[int] = ()) -> int:
        """Return the token behind those written and `ahead`, by scores float32 [vocabulary], which
        may be changed."""
        written = np.array([[*self.tokens, *ahead]], np.int64)
        return int(self._chooser(scores[None], written)[0])

    def check(self, guesses: Sequence[int], scores: Scores) -> int:
        """Add the tokens that are chosen by scores float32 [guesses + 1, vocabulary], one behind
        each guess, as far as these are right; return how many are."""
        for place, row in enumerate(scores):
            if self.is_over:
                return place
            token = self.choose(row)
            if token in self._chooser.ends:
                self.is_over = True
            else:
                self.tokens.append(token)
                self.is_over = len(self.tokens) >= self.limit
            if place == len(guesses) or token != guesses[place]:
                return place
        raise AssertionError("there are scores behind the last guess")

    def last(self, count: int) -> list[int]:
        """Return the last tokens, padding where the text is over."""
        return [self.pad] * count if self.is_over else self.tokens[-count:]


def guess(
    draft: Rewinding,
    session: Session,
    texts: Sequence[Text],
    new: int,
    count: int,
    sizes: tuple[int, int],
) -> Ids:
    """Return the tokens that a draft would write next: int64 [texts, count].

    Args:
        session: the draft's.
        new: tokens of each text that the draft was not given yet.
        sizes: of the vocabulary of the model and of the draft, whose networks may pad it.
    """
    tokens = np.array([text.last(new) for text in texts])
    guesses = np.zeros((len(texts), count), np.int64)
    padding = ((0, 0), (0, max(0, sizes[0] - sizes[1])))
    for place in range(count):
        given = np.where(tokens < sizes[1], tokens, texts[0].pad)
        scores = to_numpy(draft.step(session, given)[:, -1])[:, : sizes[0]]
        scores = np.pad(scores, padding, constant_values=-np.inf)
        for row, text in enumerate(texts):
            ahead = guesses[row, :place].tolist()
            guesses[row, place] = text.pad if text.is_over else text.choose(scores[row], ahead)
        tokens = guesses[:, place : place + 1]
    return guesses


def columns(texts: Sequence[Text], start: int, end: int) -> Iterator[Ids]:
    """Yield the tokens int64 [texts] at places from `start` to `end`."""
    for place in range(start, end):
        rows = ((text.tokens, text.pad) for text in texts)
        yield np.array([row[place] if place < len(row) else pad for row, pad in rows], np.int64)
