"""What a text has already comes less likely again, or not at all.

`repetition_penalty`: Keskar et al. 2019, "CTRL: A Conditional Transformer Language Model for
Controllable Generation". `no_repeat_ngram_size`: Paulus et al. 2017, "A Deep Reinforced Model for
Abstractive Summarization". As in transformers the prompt counts as part of the text; what pads it
does not.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tasks.arrays import to_numpy
from zoo.generation.decoding import Decoding, SpecialTokens
from zoo.generation.session import Ids


def prompts_of(decoding: Decoding, special: SpecialTokens, inputs: Mapping[str, Any]) -> list[Ids]:
    """Return the tokens int64 [n] that each text of a batch begins with, without padding: the
    prefix of an encoder-decoder, else the prompt. An empty list where the decoding has no use for
    them."""
    if decoding.repetition_penalty == 1 and not decoding.no_repeat_ngram_size:
        return []
    if special.prefix:
        rows = len(next(iter(inputs.values())))
        return [np.array(special.prefix, np.int64)] * rows
    ids = to_numpy(inputs["input_ids"])
    mask = inputs.get("attention_mask")
    known = np.ones_like(ids, bool) if mask is None else to_numpy(mask).astype(bool)
    return [row[own] for row, own in zip(ids, known, strict=True)]


class Penalties:
    """Changes the scores of tokens by those that their text has already."""

    def __init__(self, decoding: Decoding, prompts: Sequence[Ids]) -> None:
        """Take the prompts that `prompts_of` gives."""
        self.penalty, self.size = decoding.repetition_penalty, decoding.no_repeat_ngram_size
        self.prompts = prompts

    def __call__(self, scores: Any, written: Ids) -> Any:
        """Return scores [rows, vocabulary] for the token behind `written` int64 [rows, n]; a numpy
        array is changed. Of beams, the rows of one prompt stand together."""
        if self.penalty == 1 and not self.size:
            return scores
        each = len(written) // len(self.prompts)
        texts = [np.concatenate([self.prompts[i // each], row]) for i, row in enumerate(written)]
        if not isinstance(scores, np.ndarray):
            scores = scores.clone()  # of inference mode, which can't be changed outside it
        if self.penalty != 1:
            places = _places(texts)
            seen = to_numpy(scores[places])
            seen = np.where(seen < 0, seen * self.penalty, seen / self.penalty)
            scores[places] = seen if isinstance(scores, np.ndarray) else scores.new_tensor(seen)
        if self.size:
            scores[_places([_behind(text, self.size) for text in texts])] = -np.inf
        return scores


def _places(tokens: Sequence[Ids]) -> tuple[Ids, Ids]:
    """Return where the tokens [n] of each row stand in scores: rows and columns."""
    rows = np.repeat(np.arange(len(tokens)), [len(row) for row in tokens])
    return rows, np.concatenate(tokens)


def _behind(text: Ids, size: int) -> Ids:
    """Return the tokens that stand in a text behind its last `size` - 1 tokens, wherever these
    stand."""
    if len(text) < size:
        return text[:0]
    runs = np.lib.stride_tricks.sliding_window_view(text, size)
    same = (runs[:, :-1] == text[len(text) - size + 1 :]).all(1)
    found: Ids = runs[same, -1]
    return found
