"""Texts as the symbols of a vocabulary of characters, and back."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import datasets
    import numpy as np

    from tasks.media.decoding import Decoded
    from tasks.preflight import Finding

LetterCase = Literal["lower", "upper", "keep"]

APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'"})


@dataclass(frozen=True)
class CharTokenizer:
    """A vocabulary of symbols, most of them single characters, in the order of their ids."""

    vocabulary: tuple[str, ...] = ()
    blank: int = 0
    delimiter: str = "|"  # stands for the space between words
    case: LetterCase = "lower"
    punctuation: bool = False

    def normalized(self, text: str) -> str:
        """A text as it is learned: spaces single, case and punctuation as asked."""
        return normalized(text, self.case, self.punctuation)

    def encode(self, text: str) -> list[int]:
        """The ids of a text's characters; those outside the vocabulary are left out."""
        ids = {symbol: i for i, symbol in enumerate(self.vocabulary)}
        symbols = (self.delimiter if c == " " else c for c in self.normalized(text))
        return [ids[symbol] for symbol in symbols if symbol in ids]

    def text(self, ids: Sequence[int]) -> str:
        """The text of symbols, as transformers' CTC tokenizer gives it: names in angle or square
        brackets (<unk>, <s>) are no text."""
        symbols = (self.vocabulary[i] for i in ids if i != self.blank)
        plain = "".join(
            " " if symbol == self.delimiter else symbol
            for symbol in symbols
            if not (len(symbol) > 1 and symbol[0] in "<[" and symbol[-1] in ">]")
        )
        return " ".join(plain.split())

    def check(
        self,
        splits: "datasets.DatasetDict",
        decoded: "Mapping[str, Decoded]",
        frames: "Mapping[str, np.ndarray]",
    ) -> "list[Finding]":
        """Return findings about transcriptions; see `audio_preflight.check_transcripts`."""
        from tasks.speech import audio_preflight

        characters = {" " if s == self.delimiter else s for s in self.vocabulary if len(s) == 1}
        return audio_preflight.check_transcripts(
            splits, decoded, characters, self.normalized, frames
        )


def normalized(text: str, case: LetterCase, punctuation: bool) -> str:
    """A text with single spaces, the case asked for and, unless they are kept, without punctuation
    (apostrophes within words stay)."""
    text = text.translate(APOSTROPHES)
    if not punctuation:
        text = re.sub(r"(?<!\w)'|'(?!\w)", " ", text)
        text = re.sub(r"[^\w\s']|_", " ", text)
    text = " ".join(text.split())
    return {"lower": text.lower(), "upper": text.upper(), "keep": text}[case]
