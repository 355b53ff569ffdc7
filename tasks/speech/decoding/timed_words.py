"""Words and their times, from the likeliest alignment of CTC, as its frames come."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

if TYPE_CHECKING:
    from tasks.speech.char_tokenizer import CharTokenizer


@dataclass(frozen=True)
class Word:
    """A word, and from when to when the network wrote it, in seconds of the sound.

    A causal network writes a letter some time after it was said.
    """

    word: str
    start: float
    end: float


@dataclass
class _Token:
    id: int
    first: int  # frame
    last: int


class GreedyReader:
    """Reads logits as they come: symbols and their frames, repeats taken together and blanks left
    out, as `ctc.greedy` does."""

    def __init__(self, spelling: "CharTokenizer") -> None:
        """Begin a sound whose logits are of a vocabulary."""
        self._spelling = spelling
        self._blank = self._before = spelling.blank
        self._delimiter = spelling.vocabulary.index(spelling.delimiter)
        self._tokens: list[_Token] = []
        self.frames = 0
        """How many frames were read."""

    def read(self, logits: npt.NDArray[Any]) -> None:
        """Read the next logits [frames, vocab]."""
        for best in logits.argmax(-1).tolist():
            if best != self._blank:
                if best == self._before and self._tokens:
                    self._tokens[-1].last = self.frames
                else:
                    self._tokens.append(_Token(best, self.frames, self.frames))
            self._before = best
            self.frames += 1

    @property
    def ids(self) -> list[int]:
        """The symbols since the last `clear`."""
        return [token.id for token in self._tokens]

    @property
    def text(self) -> str:
        """The text of the symbols."""
        return self._spelling.text(self.ids)

    @property
    def is_between_words(self) -> bool:
        """Whether the last symbol is a space."""
        return bool(self._tokens) and self._tokens[-1].id == self._delimiter

    @property
    def silent_frames(self) -> int:
        """The number of frames since the last symbol that is no space; of all, where there is
        none."""
        last = [token.last for token in self._tokens if token.id != self._delimiter][-1:]
        return self.frames - last[0] - 1 if last else self.frames

    def clear(self) -> None:
        """Forget the symbols, and go on counting frames."""
        self._tokens = []

    def words(self, seconds: float, begin: float = 0.0) -> list[Word]:
        """Return the words of the symbols since the last `clear`.

        Args:
            seconds: the length of a frame.
            begin: when the first frame that was read begins, in seconds.
        """
        found = []
        for tokens in _between(self._tokens, self._delimiter):
            text = self._spelling.text([token.id for token in tokens])
            if text:
                first, last = tokens[0].first, tokens[-1].last + 1
                times = (round(begin + frame * seconds, 3) for frame in (first, last))
                found.append(Word(text, *times))
        return found


def _between(tokens: Sequence[_Token], delimiter: int) -> Iterator[list[_Token]]:
    """Yield the tokens of each word."""
    word: list[_Token] = []
    for token in tokens:
        if token.id != delimiter:
            word.append(token)
        elif word:
            yield word
            word = []
    if word:
        yield word
