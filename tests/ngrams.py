"""A small word n-gram language model, trained and written as tools like KenLM do.

Interpolated Kneser-Ney smoothing (Kneser & Ney 1995) as in Chen & Goodman 1999, section 2.7, with
one discount an order, n1 / (n1 + 2 n2). An interpolated model is a backoff model as well, and so it
is kept (Katz 1987).
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from tasks.errors import UserError
from tasks.speech.decoding.ngram import UNKNOWN, Gram, NGram

BEGIN, END = "<s>", "</s>"

_NEVER = -99 * math.log(10)  # what ARPA files say for zero


def train(sentences: Iterable[str | Sequence[str]], order: int = 3) -> NGram:
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
    return NGram(order, chances, backoffs)


def write_arpa(lm: NGram, path: Path) -> None:
    """As a text file in the ARPA format, as other tools write it."""
    levels: list[list[Gram]] = [[] for _ in range(lm.order)]
    for gram in sorted(lm.chances):
        levels[len(gram) - 1].append(gram)
    lines = ["\\data\\", *(f"ngram {n}={len(level)}" for n, level in enumerate(levels, 1))]
    for n, level in enumerate(levels, 1):
        lines += ["", f"\\{n}-grams:"]
        for gram in level:
            line = f"{lm.chances[gram] / math.log(10):.7f}\t{' '.join(gram)}"
            if gram in lm.backoffs:
                line += f"\t{lm.backoffs[gram] / math.log(10):.7f}"
            lines.append(line)
    path.write_text("\n".join([*lines, "", "\\end\\", ""]), encoding="utf-8")


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
