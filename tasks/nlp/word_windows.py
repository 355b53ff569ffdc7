"""Words with their neighbours: what word vectors are learned from.

A sample is a piece of a document: all its words that the vocabulary has. In training frequent words
are dropped at random and each word has a window of its own (Mikolov et al. 2013, "Distributed
Representations of Words and Phrases and their Compositionality", section 2.3, and word2vec.c);
noise words are drawn from the unigram distribution to the power 3/4 (section 2.2). All of it
follows from (seed, epoch, number of the word in the split).

Words are laid out in blocks of `BLOCK`, which share `NOISE` noise words: then all scores of a block
are two matrix products (Ji et al. 2016, "Parallelizing Word2Vec in Shared and Distributed Memory").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tasks.base import Batch
from tasks.nlp.tokenization import TokenFeatures, whole
from tasks.randomness import EpochView, SampleRandom

if TYPE_CHECKING:
    import datasets

BLOCK = 32
NOISE = 32
POWER = 0.75
PAD = 0
"""The id that stands where there is no word."""
HELD_OUT = EpochView(0, 0)
"""What the noise of samples that are measured is drawn by."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sampling:
    """How neighbours and noise are drawn."""

    window: int
    """Neighbours on each side at most."""
    keep: Floats
    """[vocabulary], the probability that training keeps a word."""
    noise: Floats
    """[vocabulary], the distribution function of noise words."""

    @classmethod
    def of_counts(cls, counts: Sequence[int], window: int, subsample: float) -> "Sampling":
        """Return the sampling for words that are so frequent.

        Args:
            counts: of each id of the vocabulary; 0 for what is no word.
            subsample: the share of all words above which a word is dropped at times; 0 keeps all.
                As in word2vec.c a word of share f is kept with probability sqrt(t/f) + t/f.
        """
        numbers = np.asarray(counts, np.float64)
        keep = np.ones(len(numbers))
        if subsample:
            share = subsample * numbers.sum() / np.maximum(numbers, 1)
            keep = np.minimum(np.sqrt(share) + share, 1.0)
        noise = np.cumsum(numbers**POWER)
        return cls(window, keep, noise / noise[-1])


class WordFeatures(TokenFeatures):
    """The words of one split in pieces. Satisfies `tasks.base.Features`; `lengths` counts words.

    `origins` is the document of each piece.
    """

    given = ("text",)
    made = ("input_ids",)

    def __init__(self, tokens: "datasets.Dataset", *others: Any) -> None:
        """Take the columns of `encode`, and length and windows; others as `TokenFeatures`."""
        super().__init__(tokens, *others)
        column = tokens.with_format("numpy", columns=["piece"])["piece"]
        self.origins = np.cumsum(np.asarray(column[:]) == 0) - 1
        self.words: Ints = self._flat().to_numpy(zero_copy_only=False)
        self.starts: Ints = np.concatenate([[0], np.cumsum(self.lengths)])
        left_out = tokens.with_format("numpy", columns=["left_out"])["left_out"]
        self.left_out = int(np.asarray(left_out[:]).sum())
        """Words that the vocabulary does not have."""
        self.counts: npt.NDArray[np.float32] | None = None

    def left_out_share(self) -> float:
        """Return the share of all words that the vocabulary does not have; 0 to 1."""
        return self.left_out / max(1, self.left_out + len(self.words))

    def count_pairs(self, window: int, scale: float) -> None:
        """Count how often words stand together (`pair_counts`), for GloVe; times `scale`. Takes 40
        bytes a word and place of the window while it counts, and 4 afterwards."""
        self.counts = pair_counts(self.words, self.starts, window) * np.float32(scale)

    @staticmethod
    def encode(rows: Mapping[str, Any], tokenizer: Any, **encoding: Any) -> dict[str, list[Any]]:
        """Return the pieces of a batch of documents in columns: input_ids, piece (its number),
        untruncated (its words), and left_out (the unknown words of a document; with its first).

        Args:
            encoding: `longest`, the words of a piece, `special`, ids that are no words, and
                `unknown`, the one that stands for all words that are unknown.
        """
        names = ("input_ids", "piece", "untruncated", "left_out")
        columns: dict[str, list[Any]] = {name: [] for name in names}
        longest, special = encoding["longest"], set(encoding["special"])
        for ids in whole(rows["text"], tokenizer):
            words = [token for token in ids if token not in special]
            unknown = ids.count(encoding["unknown"])
            for number, start in enumerate(range(0, max(1, len(words)), longest)):
                piece = words[start : start + longest]
                values = ([piece], number, len(piece), 0 if number else unknown)
                for name, value in zip(names, values, strict=True):
                    columns[name].append(value)
        return columns

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        rows = []
        for index in indices:
            first, end = int(self.starts[index]), int(self.starts[index + 1])
            row = {"sample_id": index, "words": self.words[first:end]}
            row |= {} if self.counts is None else {"counts": self.counts[first:end]}
            row |= {"first": first, "document": int(self.origins[index]), "view": self._view}
            rows.append(row)
        return rows


def collate(rows: Sequence[Mapping[str, Any]], sampling: Sampling) -> Batch:
    """Return the batch of some pieces of one split, numpy's arrays.

    The inputs, of n blocks: `contexts` int64 [n, BLOCK + 2 * window], the words of a block, which
    are the centres, with `window` words on each side; `mask` bool [n, BLOCK, 2 * window + 1],
    whether each word from `window` before to `window` behind a centre is a neighbour of it; `noise`
    int64 [n, NOISE], none where counts are learned. `windows` tells the sample of each block. The
    targets are `documents` int64 [samples], and where the rows have them `counts` float32 [n,
    BLOCK, 2 * window + 1]: how often each pair stands together.
    """
    view, width = rows[0]["view"], sampling.window
    lengths = np.array([len(row["words"]) for row in rows])
    words = np.concatenate([row["words"] for row in rows])
    owner = np.repeat(np.arange(len(rows)), lengths)
    starts = np.cumsum(lengths) - lengths
    shift = np.array([row["first"] for row in rows]) - starts
    number = np.arange(len(words)) + shift[owner]  # of each word in its split
    counted = "counts" in rows[0]  # of all words, so none is dropped
    if view is not None and not counted:
        kept = SampleRandom(view, number).uniform("keep") < sampling.keep[words]
        words, owner, number = words[kept], owner[kept], number[kept]
        reach = 1 + SampleRandom(view, number).integers("window", width)
        lengths = np.bincount(owner, minlength=len(rows))
        starts = np.cumsum(lengths) - lengths
    else:
        reach = np.full(len(words), width)
    counts = -(-lengths // BLOCK)  # blocks of each sample
    if not counts.any():
        counts[0] = 1  # all else wants one
    ends = np.cumsum(counts)
    samples = np.repeat(np.arange(len(rows)), counts)
    place = np.arange(len(words)) - starts[owner]  # of each word in its sample
    block = (ends - counts)[owner] + place // BLOCK
    column = place % BLOCK
    sizes = counts * BLOCK + 2 * width
    begins = np.cumsum(sizes) - sizes
    line = np.zeros(int(sizes.sum()), np.int64)  # all samples, PAD around each
    line[begins[owner] + width + place] = words
    within = np.arange(len(samples)) - (ends - counts)[samples]
    first = begins[samples] + within * BLOCK
    contexts = line[first[:, None] + np.arange(BLOCK + 2 * width)]
    reaches = np.zeros((len(samples), BLOCK), np.int64)
    reaches[block, column] = reach
    offsets = np.arange(-width, width + 1)
    mask = (np.abs(offsets) <= reaches[..., None]) & (offsets != 0)
    mask &= np.lib.stride_tricks.sliding_window_view(contexts, 2 * width + 1, 1) != PAD
    numbers = np.zeros(len(samples), np.int64)
    numbers[block[column == 0]] = number[column == 0]
    ids = numbers[:, None] * NOISE + np.arange(0 if counted and view is not None else NOISE)
    drawn = SampleRandom(view or HELD_OUT, ids.ravel()).uniform("noise")
    noise = np.searchsorted(sampling.noise, drawn, "right").reshape(ids.shape)
    inputs: dict[str, Any] = {"contexts": contexts, "mask": mask, "noise": noise}
    sample_ids: Any = np.array([row["sample_id"] for row in rows], np.int64)
    targets = {"documents": np.array([row["document"] for row in rows], np.int64)}
    if counted:
        behind = np.concatenate([row["counts"] for row in rows])  # [words, window]
        at = np.zeros((len(samples), BLOCK), np.int64)
        at[block, column] = np.arange(len(words))
        left = np.clip(at[..., None] + np.minimum(offsets, 0), 0, max(len(words) - 1, 0))
        targets["counts"] = behind[left, np.abs(offsets) - 1] * mask
    return Batch(inputs, sample_ids, targets, windows=samples)  # type: ignore[arg-type]


def pair_counts(words: Ints, starts: Ints, window: int) -> npt.NDArray[np.float32]:
    """Return for each word and each of the `window` words behind it how often the two stand
    together in all: float32 [words, window], 0 where a piece ends before.

    As in Pennington et al. 2014, section 4.2, a pair at distance d counts as 1/d, in either order.

    Args:
        words: ids of all words of a split.
        starts: where each piece begins in them, and their number.
    """
    count, size = len(words), int(words.max(initial=0)) + 1
    ends = np.repeat(starts[1:], np.diff(starts))  # of the piece of each word
    keys, places, weights = [], [], []
    for distance in range(1, window + 1):
        first = np.flatnonzero(np.arange(count) + distance < ends)
        one, other = words[first], words[first + distance]
        keys.append(np.minimum(one, other) * size + np.maximum(one, other))
        places.append(first * window + distance - 1)
        twice = np.where(one == other, 2.0, 1.0)  # such a pair is one cell in both orders
        weights.append(twice / distance)
    _, cells = np.unique(np.concatenate(keys), return_inverse=True)
    totals = np.bincount(cells, np.concatenate(weights))
    found = np.zeros(count * window, np.float32)
    found[np.concatenate(places)] = totals[cells]
    return found.reshape(count, window)
