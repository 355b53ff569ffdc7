"""Texts with words lost, swapped and masked: the strong view of semi-supervised learning.

Random deletion and swap after Wei & Zou 2019 ("EDA"), and tokens replaced by one that says nothing,
as in the word replacement of Xie et al. 2020 ("UDA", section 2.2). Tokens stand in for words, and
special ones stay where they are. A pure function of (seed, epoch, sample).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from tasks.randomness import SampleRandom

SHARE = 0.1  # of the tokens, for each of the three: EDA's recommended alpha


@dataclass(frozen=True)
class PerturbVocabulary:
    """The tokens of a tokenizer that are no text."""

    special: frozenset[int]  # but for the unknown token, which stands for a word
    blank: int | None  # what a masked token becomes: mask, else unknown; None: nothing is masked
    pad: int = 0  # what collation fills up with

    @classmethod
    def of(cls, tokenizer: Any) -> Self:
        """Return these tokens of a tokenizer of transformers."""
        mask, unknown = tokenizer.mask_token_id, tokenizer.unk_token_id
        special = frozenset(tokenizer.all_special_ids) - {unknown}
        blank = unknown if mask is None else mask
        return cls(special, blank, getattr(tokenizer, "pad_token_id", None) or 0)


def row(
    row: Mapping[str, Any], draws: SampleRandom, i: int, vocabulary: PerturbVocabulary
) -> dict[str, Any]:
    """A row as `TokenFeatures` gives them, every window of it perturbed as the i-th of the draws'
    samples; none becomes longer, and none loses its last token of text."""
    names = [name for name in ("input_ids", "token_type_ids") if name in row]
    windows = []
    for number, window in enumerate(zip(*(row[name] for name in names), strict=True)):
        tokens = np.array(window, np.int64)  # [1 or 2, tokens]
        random = draws.generator(i, f"words {number}")
        windows.append(_perturbed(tokens, random, vocabulary).tolist())
    return {**row} | {name: [w[place] for w in windows] for place, name in enumerate(names)}


def _perturbed(
    tokens: np.ndarray, random: np.random.Generator, vocabulary: PerturbVocabulary
) -> np.ndarray:
    """Ids (and types) int64 [1 or 2, tokens] to [1 or 2, at most as many]."""
    tokens = tokens.copy()
    size = tokens.shape[1]
    swapped, masked, lost = random.random((3, size)) < SHARE
    text = ~np.isin(tokens[0], list(vocabulary.special))
    for place in np.flatnonzero(swapped[:-1] & text[:-1] & text[1:]):
        tokens[0, [place, place + 1]] = tokens[0, [place + 1, place]]
    if vocabulary.blank is not None:
        tokens[0, masked & text] = vocabulary.blank
    lost &= text
    if text.any() and lost.sum() == text.sum():
        lost[random.choice(np.flatnonzero(text))] = False
    return tokens[:, ~lost]
