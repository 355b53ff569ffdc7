"""The strong view of a text: fewer, swapped and masked tokens, special ones where they were."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.nlp import perturb
from tasks.nlp.perturb import PerturbVocabulary
from tasks.randomness import EpochView, SampleRandom

PAD, UNKNOWN, CLS, SEP, MASK = range(5)
VOCABULARY = PerturbVocabulary(frozenset({PAD, CLS, SEP, MASK}), MASK)
TOKENS = st.lists(st.integers(5, 40), max_size=30)


def _perturbed(row: dict[str, Any], seed: int = 0, epoch: int = 0, sample: int = 0) -> Any:
    return perturb.row(row, SampleRandom(EpochView(seed, epoch, "strong"), [sample]), 0, VOCABULARY)


@given(TOKENS, TOKENS, st.integers(0, 2**20))
def test_special_tokens_stay_and_types_follow_their_tokens(
    first: list[int], second: list[int], seed: int
) -> None:
    ids = [CLS, *first, SEP, *second, SEP]
    types = [0] * (len(first) + 2) + [1] * (len(second) + 1)
    before = {"sample_id": 3, "input_ids": [list(ids)], "token_type_ids": [list(types)]}
    after = _perturbed(before, seed)
    assert before["input_ids"] == [ids] and after["sample_id"] == 3
    (seen,), (kinds,) = after["input_ids"], after["token_type_ids"]
    assert len(seen) == len(kinds) <= len(ids)
    assert kinds == sorted(kinds)
    assert [t for t in seen if t in (CLS, SEP)] == [CLS, SEP, SEP]
    assert seen[0] == CLS and seen[-1] == SEP
    for kind, given_tokens in ((0, first), (1, second)):
        own = [t for t, k in zip(seen, kinds, strict=True) if k == kind and t not in (CLS, SEP)]
        spare = list(given_tokens)
        for token in own:
            if token != MASK:
                spare.remove(token)  # from its own text, no more often than there
    if first or second:
        assert len(seen) > 3


@given(st.lists(TOKENS, min_size=1, max_size=4), st.integers(0, 99))
def test_a_function_of_seed_epoch_and_sample(windows: list[list[int]], sample: int) -> None:
    row = {"sample_id": 0, "input_ids": [[CLS, *window, SEP] for window in windows]}
    assert _perturbed(row, 1, 2, sample) == _perturbed(row, 1, 2, sample)
    draws = SampleRandom(EpochView(1, 2, "strong"), [7, sample])
    assert perturb.row(row, draws, 1, VOCABULARY) == _perturbed(row, 1, 2, sample)


def test_shares_are_those_of_the_paper() -> None:
    ids = list(range(100, 10_100))
    seen = np.array(_perturbed({"input_ids": [ids]})["input_ids"][0])
    assert abs(len(seen) / 10_000 - 0.9) < 0.015
    assert abs((seen == MASK).mean() - 0.1) < 0.015
    kept = seen[seen != MASK]
    # a swap is one descent, mended or not by what is lost and masked around it
    assert 0.06 < (np.diff(kept) < 0).mean() < 0.12
    epochs = [_perturbed({"input_ids": [ids]}, epoch=e)["input_ids"] for e in (0, 1)]
    assert epochs[0] != epochs[1]


def test_without_a_mask_token_the_unknown_one_and_without_any_none() -> None:
    class Tokenizer:
        all_special_ids = (PAD, UNKNOWN)
        mask_token_id = None
        unk_token_id: int | None = UNKNOWN

    vocabulary = PerturbVocabulary.of(Tokenizer())
    assert vocabulary == PerturbVocabulary(frozenset({PAD}), UNKNOWN)
    Tokenizer.unk_token_id = None
    assert PerturbVocabulary.of(Tokenizer()).blank is None
    row = {"input_ids": [list(range(10, 500))]}
    draws = SampleRandom(EpochView(0, 0, "strong"), [0])
    (seen,) = perturb.row(row, draws, 0, PerturbVocabulary(frozenset(), None))["input_ids"]
    assert set(seen) <= set(range(10, 500))
