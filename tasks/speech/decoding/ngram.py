"""A word n-gram language model, read from an ARPA file (KenLM and SRILM write them).

It is a backoff model (Katz 1987): the full probability of every n-gram seen, and for every history
a weight for what was not seen behind it. Logarithms are natural; in files they are decimal.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from tasks.speech.decoding import arpa

UNKNOWN = "<unk>"

_FLOOR = -7 * math.log(10)  # of an unknown word where a file has no <unk>

Gram = tuple[str, ...]


class NGram:
    """Probabilities of words behind words."""

    def __init__(self, order: int, chances: dict[Gram, float], backoffs: dict[Gram, float]) -> None:
        """Log probabilities of n-grams up to `order`, and log backoff weights of histories."""
        self.order = order
        self.chances = chances
        self.backoffs = backoffs

    def __len__(self) -> int:
        """Return the number of n-grams."""
        return len(self.chances)

    @classmethod
    def read_arpa(cls, path: str | Path) -> "NGram":
        """Read a text file in the ARPA format; `UserError` names the line that is broken."""
        return cls(*arpa.read(Path(path)))

    def score(self, context: Sequence[str], word: str) -> float:
        """log p(word | context), where the last `order` - 1 words of the context count.

        A sentence's context begins with "<s>", and its end is the word "</s>". Words that the model
        does not know are `<unk>`.
        """
        known = [w if (w,) in self.chances else UNKNOWN for w in (*context, word)]
        gram = tuple(known[-self.order :])
        weight = 0.0
        while gram not in self.chances:
            if len(gram) == 1:
                return weight + _FLOOR
            weight += self.backoffs.get(gram[:-1], 0.0)
            gram = gram[1:]
        return weight + self.chances[gram]
