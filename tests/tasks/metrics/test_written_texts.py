"""chrF, BLEU and ROUGE: the figures of sacrebleu 2.6.0 and rouge-score 0.1.2, and intervals."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.metrics import ngram_overlap
from tasks.metrics.spec import metric_spec
from tasks.metrics.written_texts import ROUGE, WrittenTextMetric
from zoo.evaluation.paired_test import drop

NAMES = ("bleu", "chrf", *ROUGE)
PAIRS = [
    ("Ce paquet fournit la documentation.", "Ce paquet fournit la documentation de GNU R."),
    ("le chat est sur le tapis , dit-il", "Le chat est sur le tapis, dit-il."),
    ("a library for 1,000.5-2 &amp; more [x]/y", "a C++ library for 1,000.5-2 & more [x]/{y}"),
    ("don't stop -- it's 3-4 p.m.", "Don't stop: it's 3-4 p.m."),
    ("", "an empty hypothesis counts"),
    ("the the the the", "the cat"),
    ("\u4f60\u597d\uff0c\u4e16\u754c\u3002", "\u60a8\u597d\uff0c\u4e16\u754c\uff01"),
    ("two\nlines of-\ntext \u00a0 <skipped>", "two lines oftext"),
    ("\u00e9l\u00e8ve \u00e0 l'\u00e9cole", "e\u0301l\u00e8ve a\u0300 l'\u00e9cole"),
    ("identical words stay as they are", "identical words stay as they are"),
]
"""Hypotheses and references."""
ALONE = [
    (48.2356079769, 83.003409672, 0.7692307692, 0.7272727273, 0.7692307692),
    (74.2088481856, 92.5558180917, 1, 1, 1),
    (58.4996546312, 71.8035054985, 0.9090909091, 0.7, 0.9090909091),
    (69.8930762278, 73.8075453767, 1, 1, 1),
    (0, 0, 0, 0, 0),
    (15.9735776062, 17.8689218701, 0.3333333333, 0, 0.3333333333),
    (0, 35, 0, 0, 0),
    (0, 66.0529115579, 0.5, 0.3333333333, 0.5),
    (0, 48.2227449349, 0.8, 0.5, 0.8),
    (100, 100, 1, 1, 1),
]
"""`corpus_bleu`, `corpus_chrf` and `RougeScorer` of each pair by itself."""
TOGETHER = (62.2428006451768, 70.51904678027519, 0.6311655011655011, 0.5260606060606061)
"""The same of all pairs, and the mean of ROUGE-1 and -2."""


def metric_of(pairs: list[tuple[str, str]], first: int = 0) -> WrittenTextMetric:
    found = WrittenTextMetric()
    hypotheses, references = ([pair[i] for pair in pairs] for i in (0, 1))
    found.update(np.arange(first, first + len(pairs)), hypotheses, references)
    return found


def values(metric: WrittenTextMetric) -> dict[str, float]:
    return {one.name: one.value for one in metric.compute(draws=0)}


def test_of_a_corpus_as_sacrebleu_and_rouge_score() -> None:
    found = values(metric_of(PAIRS))
    assert [found[name] for name in NAMES[:4]] == pytest.approx(TOGETHER, rel=1e-12)


@pytest.mark.parametrize("place", range(len(PAIRS)))
def test_of_one_text_as_sacrebleu_and_rouge_score(place: int) -> None:
    found = values(metric_of([PAIRS[place]]))
    assert [found[name] for name in NAMES] == pytest.approx(ALONE[place], abs=1e-9)


def test_samples_count_once_whoever_saw_them() -> None:
    whole = metric_of(PAIRS)
    first, second = metric_of(PAIRS[:6]), metric_of(PAIRS[4:], first=4)
    merged = WrittenTextMetric().merge([second.state(), first.state()])
    assert merged.compute() == whole.compute() and len(merged) == len(PAIRS)


def test_intervals_hold_the_value_and_narrow_with_samples() -> None:
    draw = random.Random(0)
    words = [f"word{i}" for i in range(20)]
    pairs = []
    for _ in range(400):
        truth = [draw.choice(words) for _ in range(8)]
        said = [word if draw.random() < 0.7 else draw.choice(words) for word in truth]
        pairs.append((" ".join(said), " ".join(truth)))
    few, many = metric_of(pairs[:50]).compute(), metric_of(pairs).compute()
    for one, other in zip(few, many, strict=True):
        assert one.method == "bootstrap" and one.n == 50 and other.n == 400
        assert one.low < one.value < one.high
        assert 0.2 < (other.high - other.low) / (one.high - one.low) < 0.6


@pytest.mark.parametrize("name", NAMES)
def test_a_paired_difference(name: str) -> None:
    better = [(truth, truth) for _, truth in PAIRS]
    lost = drop(metric_of(better), metric_of(PAIRS), metric_spec(name))
    assert lost.value == pytest.approx(
        values(metric_of(better))[name] - values(metric_of(PAIRS))[name]
    )
    assert lost.low < lost.value < lost.high


def test_no_samples_are_nan_and_no_error() -> None:
    empty = WrittenTextMetric()
    assert all(np.isnan(value) for value in values(empty).values()) and len(empty) == 0
    assert [one.method for one in empty.compute()] == ["undefined"] * 5
    assert empty.constant() is None


def test_a_model_that_writes_one_text_is_told() -> None:
    assert metric_of([("a  b", "x"), ("a b", "y")]).only_answer() == "a b"
    assert metric_of([("a", "x"), ("b", "y")]).only_answer() is None
    assert metric_of([("a", "x"), ("a", "x")]).only_answer() is None


def _table(one: str, other: str) -> int:
    """The longest common subsequence by the table that everybody knows."""
    before = [0] * (len(other) + 1)
    for left in one:
        row = [0]
        for place, right in enumerate(other):
            row.append(before[place] + 1 if left == right else max(row[-1], before[place + 1]))
        before = row
    return before[-1]


@settings(max_examples=200, deadline=None)
@given(st.text("abc", max_size=90), st.text("abcd", max_size=90))
def test_common_subsequences_are_those_of_the_table(one: str, other: str) -> None:
    assert ngram_overlap.common_subsequence(one, other) == _table(one, other)
