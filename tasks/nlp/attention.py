"""What a text classifier that pools by attention looks at: the share of each piece of a text."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from tasks.nlp.tokenization import encodings

if TYPE_CHECKING:
    from tokenizers import Encoding
    from torch import Tensor, nn

    from tasks.nlp.text_classification import TextClassification


@runtime_checkable
class PoolsByAttention(Protocol):
    """A network that can make of a text a mean of its tokens' states, with weights of its own."""

    def pooling_weights(self, **inputs: Any) -> "Tensor | None":
        """Return the weights of a batch, float32 [windows, heads, seq], 0 at padding and with sum
        1; None where the network pools in another way."""


@dataclass(frozen=True)
class Span:
    """A piece of a text with what the network gave it."""

    text: str
    shares: tuple[float, ...]
    """of each head, 0 to 1; all spans of a text sum to 1"""
    is_special: bool = False
    """whether it is a token around the text, such as [SEP], and no piece of it"""

    @property
    def share(self) -> float:
        """Return the mean over heads."""
        return sum(self.shares) / len(self.shares)


def spans_of(
    task: "TextClassification", model: "nn.Module", item: Mapping[str, Any]
) -> list[Span] | None:
    """Return all of a text (and its pair) in pieces, in order, with the attention that each has;
    None where the model has none.

    A piece is a token, or several that share a character; where tokens are neighbours in a word,
    they stay apart. What no token stands for (spaces, an end that was cut off) has 0. Of a text in
    windows it is the mean over them, as its logits are.

    Args:
        task: bound to the tokenizer of the model.
        item: `text` and perhaps `text_pair`, as `predict` reads them.
    """
    import torch

    from tasks.nlp.cleaning import cleaned_item

    if not isinstance(model, PoolsByAttention):
        return None
    device = next(model.parameters()).device
    batch = task.collate(task.inputs([item])).to(device)
    with torch.inference_mode():
        weights = model.pooling_weights(**batch.inputs)
    if weights is None:
        return None
    texts = cleaned_item(item, task.args.clean)
    given = [texts[name] for name in ("text", "text_pair") if name in texts]
    pairs = given[1:] or None
    _, [encoded], _ = encodings(given[:1], pairs, task.processor, **task.encoding())
    windows = [encoded, *(encoded.overflowing if task.overlap is not None else [])]
    mask = batch.inputs["attention_mask"].bool()
    shares = [row[:, known].T.tolist() for row, known in zip(weights, mask, strict=True)]
    return _joined(given, windows, shares)


Shares = Sequence[float]


def _joined(
    texts: Sequence[str], windows: "Sequence[Encoding]", shares: Sequence[Sequence[Shares]]
) -> list[Span]:
    """Return the spans of texts from the shares of the tokens of their windows, [tokens, heads]
    each."""
    heads = len(shares[0][0])
    special: list[dict[str, list[float]]] = [{} for _ in texts]  # behind each text
    cells = [[[0.0] * heads for _ in text] for text in texts]
    cuts = [{0, len(text)} for text in texts]
    inside: list[set[int]] = [set() for _ in texts]  # where a cut would part a token
    for window, rows in zip(windows, shares, strict=True):
        current = 0
        places = zip(window.sequence_ids, window.offsets, window.tokens, rows, strict=True)
        for sequence, (begin, end), token, row in places:
            current = current if sequence is None else sequence
            if sequence is None or begin == end:
                total = special[current].setdefault(token, [0.0] * heads)
            else:
                cuts[sequence] |= {begin, end}
                inside[sequence] |= set(range(begin + 1, end))
                total = cells[sequence][begin]
            for head, share in enumerate(row):
                total[head] += share / len(windows)
    spans = []
    for place, text in enumerate(texts):
        for begin, end in pairwise(_whole(text, cuts[place] - inside[place])):
            sums = map(sum, zip(*cells[place][begin:end], strict=True))
            spans.append(Span(text[begin:end], tuple(sums)))
        spans += [Span(token, tuple(total), True) for token, total in special[place].items()]
    return spans


def _whole(text: str, cuts: set[int]) -> list[int]:
    """Return the places where a text is cut, in order, none of them before an accent or a joiner
    that belongs to the character before."""
    joins = ("Mn", "Mc", "Me", "Cf")
    return sorted(
        cut for cut in cuts if cut in (0, len(text)) or unicodedata.category(text[cut]) not in joins
    )
