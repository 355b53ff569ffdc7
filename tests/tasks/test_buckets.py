"""Batches of few shapes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.buckets import MOST, collate_of, length_buckets
from tasks.nlp.text_classification import Args, TextClassification
from tasks.vision import image_classification

KIND = "single_label_classification"
TEXT = TextClassification(Args(), ("a", "b"), KIND)
IMAGE = image_classification.ImageClassification(image_classification.Args(), ("a",), KIND)


@given(st.lists(st.integers(0, 600), min_size=1, max_size=300))
def test_every_length_has_one_of_a_few_buckets(values: list[int]) -> None:
    lengths = np.array(values)
    buckets = length_buckets(lengths)
    assert 1 <= len(buckets) <= MOST and list(buckets) == sorted(set(buckets))
    assert buckets[-1] == lengths.max(), "a model takes no longer ones"
    assert all(bucket % 8 == 0 for bucket in buckets[:-1])


def test_buckets_follow_the_lengths() -> None:
    lengths = np.random.default_rng(0).integers(5, 60, 10_000)
    ends = np.searchsorted(length_buckets(lengths), lengths)
    padded = np.array(length_buckets(lengths))[ends]
    assert (padded >= lengths).all() and (padded - lengths).mean() < 5


def _rows(*lengths: int) -> list[dict[str, Any]]:
    return [
        {"sample_id": i, "input_ids": [list(range(2, 2 + n))], "label": 0}
        for i, n in enumerate(lengths)
    ]


@pytest.mark.parametrize(("length", "expected"), [(3, 8), (8, 8), (9, 30), (30, 30), (31, 31)])
def test_a_batch_is_padded_to_the_next_bucket(length: int, expected: int) -> None:
    batch = TEXT.collate(_rows(2, length), buckets=(8, 30))
    assert batch.inputs["input_ids"].shape == batch.inputs["attention_mask"].shape == (2, expected)
    assert batch.inputs["attention_mask"].sum(1).tolist() == [2, length]


def test_only_a_gpu_wants_few_shapes() -> None:
    lengths = np.arange(1, 100)
    assert collate_of(TEXT, lengths, "cpu") == TEXT.collate
    assert collate_of(IMAGE, lengths, "cuda") == IMAGE.collate
    made = collate_of(TEXT, lengths, "cuda")(_rows(2, 3))
    assert made.inputs["input_ids"].shape == (2, length_buckets(lengths)[0])
