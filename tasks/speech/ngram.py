"""A small word n-gram language model: trained here, or read from an ARPA file.

Interpolated Kneser-Ney smoothing (Kneser & Ney 1995) as in Chen & Goodman 1999, section 2.7, with
one discount an order, n1 / (n1 + 2 n2). An interpolated model is a backoff model as well, and so it
is kept: the full probability of every n-gram seen, and for every history a weight for what was not
seen behind it (Katz 1987). Logarithms are natural; in files they are decimal.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from tasks.errors import UserError
from tasks.speech import arpa

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"

_NEVER = -99 * math.log(10)  # what ARPA files say for zero
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
        """The number of n-grams."""
        return len(self.chances)

    @classmethod
    def train(cls, sentences: Iterable[str | Sequence[str]], order: int = 3) -> "NGram":
        """From sentences, as words or as text that is cut at white space.

        No sentence, an order below 1, or a word that is a mark (`<s>`) is a `UserError`.
        """
        if order < 1:
            raise UserError(f"an n-gram model of order {order} sees nothing; order is at least 1")
        levels = _counts(sentences, order)
        chances: dict[Gram, float] = {}
        backoffs: dict[Gram, float] = {}
        for level, counts in enumerate(levels, 1):
            discount = _discount(counts)
            totals: Counter[Gram] = Counter()
            kinds: Counter[Gram] = Counter()
            for gram, count in counts.items():
                totals[gram[:-1]] += count
                kinds[gram[:-1]] += 1
            left = {history: discount * kinds[history] / totals[history] for history in totals}
            words = len(counts) + 1  # and the unknown one
            for gram, count in counts.items():
                lower = math.exp(chances[gram[1:]]) if level > 1 else 1 / words
                history = gram[:-1]
                own = max(count - discount, 0.0) / totals[history]
                chances[gram] = math.log(own + left[history] * lower)
            if level == 1:
                chances[(UNKNOWN,)] = math.log(left[()] / words)
                chances[(BEGIN,)] = _NEVER
            else:
                backoffs |= {history: math.log(weight) for history, weight in left.items()}
        return cls(order, chances, backoffs)

    @classmethod
    def read_arpa(cls, path: str | Path) -> "NGram":
        """From a text file in the ARPA format; what is broken in it is a `UserError` with line."""
        return cls(*arpa.read(Path(path)))

    def write_arpa(self, path: str | Path) -> None:
        """As a text file in the ARPA format, which other tools read as well."""
        arpa.write(Path(path), (self.order, self.chances, self.backoffs))

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


def _counts(sentences: Iterable[str | Sequence[str]], order: int) -> list[Counter[Gram]]:
    """For each n up to `order`, how often each n-gram occurs, or, below the highest, how many words
    it occurs behind. (Nothing comes before a sentence's beginning: there it is how often.)"""
    raw: list[Counter[Gram]] = [Counter() for _ in range(order)]
    for sentence in sentences:
        words = sentence.split() if isinstance(sentence, str) else sentence
        for word in words:
            if word in (BEGIN, END, UNKNOWN) or word.split() != [word]:
                raise UserError(
                    f"a sentence has {word!r}, which is a mark or not one word: leave it out"
                )
        marked = (BEGIN, *words, END)
        for n, counts in enumerate(raw, 1):
            counts.update(marked[i : i + n] for i in range(len(marked) - n + 1))
    if not raw[0]:
        raise UserError("there are no sentences to train a language model on")
    del raw[0][(BEGIN,)]  # it is never predicted
    levels = []
    for n, counts in enumerate(raw, 1):
        if n < order:
            before: defaultdict[Gram, int] = defaultdict(int)
            for longer in raw[n]:
                before[longer[1:]] += 1
            counts = Counter({g: counts[g] if g[0] == BEGIN else before[g] for g in counts})
        levels.append(counts)
    return levels


def _discount(counts: Counter[Gram]) -> float:
    """n1 / (n1 + 2 n2), kept off 0 and 1, which very little text would give."""
    kinds = Counter(counts.values())
    once, twice = kinds[1], kinds[2]
    return min(max(once / (once + 2 * twice), 0.1), 0.9) if once else 0.5
