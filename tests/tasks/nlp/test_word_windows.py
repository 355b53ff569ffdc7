"""Words and their neighbours: the pairs are those that a plain loop finds, and follow from (seed,
epoch, sample) alone."""

from collections import Counter
from itertools import pairwise

import datasets
import numpy as np
import pytest

from tasks.nlp.word_windows import BLOCK, NOISE, PAD, Sampling, WordFeatures, collate, pair_counts
from tasks.randomness import EpochView
from zoo.nlp.trained_tokenizer import train_tokenizer

LENGTHS = (40, 1, 0, 33, 64, 2)
WINDOW = 3


def rows_of(view: EpochView | None, lengths: tuple[int, ...] = LENGTHS) -> list[dict]:
    rng = np.random.default_rng(5)
    starts = np.cumsum([0, *lengths])
    words = rng.integers(3, 50, starts[-1])
    return [
        {
            "sample_id": 10 + i,
            "words": words[start:end],
            "first": int(start),
            "document": i,
            "view": view,
        }
        for i, (start, end) in enumerate(pairwise(starts))
    ]


def sampling(subsample: float = 0.0) -> Sampling:
    return Sampling.of_counts([0, 0, 0, *range(1, 48)], WINDOW, subsample)


def pairs_of(batch) -> list[tuple[int, int, int]]:
    """(sample, word, neighbour) of all pairs of a batch."""
    contexts, mask = batch.inputs["contexts"], batch.inputs["mask"]
    return [
        (int(batch.windows[n]), int(contexts[n, WINDOW + i]), int(contexts[n, i + o]))
        for n, i, o in np.argwhere(mask)
    ]


def test_without_a_view_all_neighbours_of_all_words_are_pairs() -> None:
    rows = rows_of(None)
    expected = Counter(
        (sample, int(word), int(row["words"][j]))
        for sample, row in enumerate(rows)
        for i, word in enumerate(row["words"])
        for j in range(max(0, i - WINDOW), min(len(row["words"]), i + WINDOW + 1))
        if j != i
    )
    batch = collate(rows, sampling())
    assert Counter(pairs_of(batch)) == expected
    assert batch.inputs["contexts"].shape[1] == BLOCK + 2 * WINDOW
    assert batch.ids.tolist() == [10, 11, 12, 13, 14, 15]


def test_a_sample_is_the_same_in_any_batch_and_another_in_another_epoch() -> None:
    first, again = EpochView(1, 0), EpochView(1, 0)
    together = collate(rows_of(first), sampling(0.01))
    alone = [collate([row], sampling(0.01)) for row in rows_of(again)]
    for i, one in enumerate(alone):
        own = together.windows == i
        for name, values in one.inputs.items():
            kept = values[: own.sum()]  # a sample without words has a block only alone
            assert np.array_equal(together.inputs[name][own], kept), name
    other = collate(rows_of(EpochView(1, 1)), sampling(0.01))
    assert pairs_of(other) != pairs_of(together)


@pytest.mark.parametrize("longest", [2, 100])
def test_words_that_are_left_out_are_counted(longest: int) -> None:
    tokenizer = train_tokenizer([["the film the film"]], "word", 10, True, 100)
    texts = ["the 图书, film the film", "", "图书馆 novel"]  # a comma is a word
    encoding = {"longest": longest, "special": sorted(tokenizer.all_special_ids)}
    encoding |= {"unknown": tokenizer.unk_token_id}
    rows = datasets.Dataset.from_dict({"text": texts})
    found = WordFeatures.make(rows, tokenizer, encoding)
    assert (len(found.words), found.left_out) == (4, 4)
    assert found.left_out_share() == 0.5
    nothing = datasets.Dataset.from_dict({"text": [""]})
    assert WordFeatures.make(nothing, tokenizer, encoding).left_out_share() == 0


def test_windows_are_drawn_evenly_and_frequent_words_dropped() -> None:
    view = EpochView(3, 0)
    rows = rows_of(view, (4000,))
    reach = collate(rows, sampling()).inputs["mask"][:, :, WINDOW + 1 :].sum(-1)
    shares = np.bincount(reach.ravel(), minlength=WINDOW + 1)[1:] / 4000
    assert shares == pytest.approx([1 / 3] * 3, abs=0.03)
    rule = sampling(0.01)
    kept = collate(rows, rule).inputs["contexts"][:, WINDOW:-WINDOW]
    before = Counter(rows[0]["words"].tolist())
    after = Counter(kept[kept != PAD].tolist())
    frequent = range(40, 50)
    expected = sum(before[word] * rule.keep[word] for word in frequent)
    assert sum(after[word] for word in frequent) == pytest.approx(expected, rel=0.1)
    share = 0.01 * sum(range(1, 48)) / 47
    assert rule.keep[49] == pytest.approx(np.sqrt(share) + share)


def test_noise_follows_the_power_of_frequencies() -> None:
    noise = collate(rows_of(EpochView(3, 0), (4000,)), sampling()).inputs["noise"]
    assert noise.shape[1] == NOISE and noise.min() >= 3
    found = np.bincount(noise.ravel(), minlength=50)[3:] / noise.size
    expected = np.arange(1, 48) ** 0.75
    assert np.abs(found - expected / expected.sum()).max() < 0.006


def test_pairs_are_counted_over_all_pieces_in_either_order() -> None:
    words, starts = np.array([3, 4, 3, 3, 4]), np.array([0, 3, 5])
    counts = pair_counts(words, starts, 2)
    # (3, 4): 1 + 1 + 1 next to each other; (3, 3): at distance 2, both orders
    expected = [[3.0, 1.0], [3.0, 0.0], [0.0, 0.0], [3.0, 0.0], [0.0, 0.0]]
    assert counts.tolist() == expected


def test_counts_stand_beside_their_pairs() -> None:
    rows = rows_of(EpochView(1, 0))
    words = np.concatenate([row["words"] for row in rows])
    starts = np.cumsum([0, *LENGTHS])
    counts = pair_counts(words, starts, WINDOW)
    for row, start, end in zip(rows, starts, starts[1:], strict=False):
        row["counts"] = counts[start:end]
    batch = collate(rows, sampling(0.01))
    totals: Counter = Counter()
    whole = collate(rows_of(None), sampling())
    offsets = np.abs(np.arange(-WINDOW, WINDOW + 1))
    for n, i, o in np.argwhere(whole.inputs["mask"]):
        pair = int(whole.inputs["contexts"][n, WINDOW + i]), int(whole.inputs["contexts"][n, i + o])
        totals[pair] += 1 / offsets[o]
    assert np.array_equal(batch.inputs["mask"], whole.inputs["mask"]), "no word is dropped"
    for n, i, o in np.argwhere(batch.inputs["mask"]):
        contexts = batch.inputs["contexts"]
        pair = int(contexts[n, WINDOW + i]), int(contexts[n, i + o])
        assert batch.targets["counts"][n, i, o] == pytest.approx(totals[pair], rel=1e-5)
