"""From the logits of one sound to text by beam search, with a language model or a list of words."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from tasks.speech.char_tokenizer import CharTokenizer
    from tasks.speech.decoding.lexicon import Lexicon
    from tasks.speech.decoding.ngram import NGram


@dataclass(frozen=True)
class LMDecoding:
    """A beam search and what guides it."""

    beam: int
    lm: "NGram | None"
    lm_weight: float
    word_bonus: float
    words: tuple[str, ...] | None

    def best(self, logits: "np.ndarray", spelling: "CharTokenizer") -> str:
        """The likeliest text of logits [frames, vocabulary]."""
        return self.ranked(logits, spelling)[0][0]

    def ranked(self, logits: "np.ndarray", spelling: "CharTokenizer") -> list[tuple[str, float]]:
        """Texts and their scores (log probabilities, with what guided the search), best first.

        Raises `UserError` where the vocabulary can't spell one of the words.
        """
        from tasks.speech.decoding import ctc

        vocabulary = spelling.vocabulary
        found = ctc.beam_search(
            ctc.log_softmax(logits),
            blank=spelling.blank,
            beam=self.beam,
            delimiter=vocabulary.index(spelling.delimiter),
            symbols=vocabulary,
            lm=self.lm,
            alpha=self.lm_weight,
            beta=self.word_bonus,
            words=None if self.words is None else lexicon(self.words, vocabulary),
        )
        return [(spelling.text(hypothesis.tokens), hypothesis.score) for hypothesis in found]


@functools.lru_cache(maxsize=4)
def lexicon(words: tuple[str, ...], vocabulary: tuple[str, ...]) -> "Lexicon":
    """The words as a tree of the vocabulary's symbols."""
    from tasks.speech.decoding.lexicon import Lexicon

    return Lexicon(words, vocabulary)


def beam(
    width: int, lm: str | None, lm_weight: float, word_bonus: float, words: str | None
) -> LMDecoding:
    """A beam search as asked for.

    Raises `UserError` for a width below 1, or a file that can't be read.
    """
    from tasks.speech.decoding.ngram import NGram

    if width < 1:
        raise UserError(f"`beam_width` {width}: at least 1")
    return LMDecoding(
        width,
        None if lm is None else NGram.read_arpa(Path(lm)),
        lm_weight,
        word_bonus,
        None if words is None else _words(Path(words)),
    )


def _words(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"`words` {path} can't be read: {problem}") from None
    found = tuple(line.strip() for line in lines if line.strip())
    if not found:
        raise UserError(f"`words` {path} has no words", hint="give one a line")
    return found
