"""What a deployment loses, against its source on the same samples."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tasks.metrics import metric_spec
from tasks.metrics.classification import ClassificationMetric
from tasks.metrics.transcription import TranscriptionMetric
from zoo.evaluation.paired_test import MetricDrop, most_unseen, rows_to_show
from zoo.evaluation.paired_test import drop as drop_of

RNG = np.random.default_rng(0)
N = 400
TRUTH = RNG.integers(0, 3, N)


def _tally(
    predictions: np.ndarray, kind: str = "single_label_classification"
) -> ClassificationMetric:
    accumulator = ClassificationMetric(kind, 3)
    truth = TRUTH[: len(predictions)]
    references = truth.astype(float) if kind == "regression" else truth
    accumulator.update(np.arange(len(predictions)), predictions, references)
    return accumulator


def _wrong(count: int) -> np.ndarray:
    return np.where(np.arange(N) < count, (TRUTH + 1) % 3, TRUTH)


def drop(source: Any, found: Any, metric: str) -> MetricDrop:
    return drop_of(source, found, metric_spec(metric))


def test_accuracy() -> None:
    found = drop(_tally(_wrong(40)), _tally(_wrong(60)), "accuracy")
    assert found.value == pytest.approx(0.05) and found.n == N
    assert 0.02 < found.low < 0.05 < found.high < 0.08
    back = drop(_tally(_wrong(60)), _tally(_wrong(40)), "accuracy")
    assert (back.value, back.low, back.high) == pytest.approx(
        (-found.value, -found.high, -found.low)
    )


def test_the_same_answers_leave_an_interval() -> None:
    found = drop(_tally(_wrong(40)), _tally(_wrong(40)), "accuracy")
    assert found.value == 0
    assert found.low == pytest.approx(-found.high) and 0.001 < found.high < 0.01


def test_the_interval_covers() -> None:
    covered = 0
    for _ in range(400):
        before = np.where(RNG.random(N) < 0.1, (TRUTH + 1) % 3, TRUTH)
        after = np.where(RNG.random(N) < 0.03, (TRUTH + 2) % 3, before)
        found = drop(_tally(before), _tally(after), "accuracy")
        covered += found.low <= 0.03 * 0.9 <= found.high
    assert covered >= 0.92 * 400


def test_a_metric_that_is_no_mean_is_compared_itself() -> None:
    good, bad = TRUTH + RNG.normal(0, 0.1, N), RNG.normal(size=N)
    found = drop(_tally(good, "regression"), _tally(bad, "regression"), "pearsonr")
    assert found.value > 0.8, "a ruined model loses correlation"
    assert found.method == "paired bootstrap over samples" and found.low < found.value < found.high
    assert found.low > 0.8, "and surely so"
    errors = drop(_tally(good, "regression"), _tally(bad, "regression"), "mse")
    assert errors.value > 0 and errors.interval() is not None


def test_other_samples_are_no_pair() -> None:
    with pytest.raises(ValueError, match="not of the same samples"):
        drop(_tally(TRUTH), _tally(TRUTH[:10]), "accuracy")


def _speech(errors: np.ndarray, words: np.ndarray) -> TranscriptionMetric:
    """Utterances of so many words, of which so many are missed."""
    accumulator = TranscriptionMetric()
    said = [["hm"] * n for n in words]
    heard = [" ".join(["hm"] * int(n - e)) for n, e in zip(words, errors, strict=True)]
    accumulator.update(np.arange(len(words)), heard, [" ".join(text) for text in said])
    return accumulator


def test_an_error_rate_is_worse_where_it_is_more() -> None:
    rng = np.random.default_rng(1)
    words = rng.integers(1, 30, N)
    before = rng.binomial(words, 0.1)
    after = np.minimum(words, before + rng.binomial(words, 0.05))
    found = drop(_speech(before, words), _speech(after, words), "wer")
    assert found.value == pytest.approx((after - before).sum() / words.sum())
    differences = []  # the bootstrap as a plain loop
    for _ in range(2000):
        drawn = rng.integers(N, size=N)
        differences.append((after - before)[drawn].sum() / words[drawn].sum())
    low, high = np.quantile(differences, [0.025, 0.975])
    width = high - low
    assert found.low == pytest.approx(low, abs=0.08 * width)
    assert found.high == pytest.approx(high, abs=0.08 * width)
    assert found.interval() == {
        "low": found.low,
        "high": found.high,
        "level": 0.95,
        "method": "paired bootstrap over samples",
    }


def test_the_same_answers_leave_no_interval_of_what_is_no_mean() -> None:
    """Nothing differs in any draw, and a width of 0 would claim certainty."""
    found = drop(_tally(_wrong(40)), _tally(_wrong(40)), "f1_macro")
    assert found.value == 0 and found.interval() is None


def test_no_samples_and_values_that_are_none() -> None:
    nothing = _tally(np.zeros(0, int))
    diverged = np.full(N, np.inf)
    cases = [
        (nothing, nothing, "accuracy"),
        (nothing, nothing, "f1_macro"),
        (_tally(TRUTH + 0.5, "regression"), _tally(diverged, "regression"), "pearsonr"),
        (_tally(TRUTH + 0.5, "regression"), _tally(diverged, "regression"), "mse"),
    ]
    for source, found, metric in cases:
        assert math.isnan(drop(source, found, metric).value)
        assert drop(source, found, metric).interval() is None


def test_a_relative_metric_is_a_share_of_the_source() -> None:
    source, found = _tally(_wrong(40)), _tally(_wrong(60))
    relative = replace(metric_spec("accuracy"), scale="relative")
    lost = drop_of(source, found, relative)
    assert lost.value == pytest.approx(0.05 / 0.9) and lost.low < lost.value < lost.high
    absolute = drop(source, found, "accuracy")
    assert lost.high - lost.low == pytest.approx((absolute.high - absolute.low) / 0.9, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["f1_macro", "pearsonr", "wer"])
def test_the_bootstrap_covers(metric: str) -> None:
    """The truth is the difference on 300,000 samples of the same kind."""
    rng = np.random.default_rng(11)

    def made(n: int) -> tuple[Any, Any]:
        if metric == "f1_macro":
            truth = rng.choice(3, n, p=[0.6, 0.3, 0.1])
            before = np.where(rng.random(n) < 0.2, rng.integers(0, 3, n), truth)
            after = np.where(rng.random(n) < 0.1, rng.integers(0, 3, n), before)
            pair = []
            for given in (before, after):
                accumulator = ClassificationMetric("single_label_classification", 3)
                accumulator.update(np.arange(n), given, truth)
                pair.append(accumulator)
            return pair[0], pair[1]
        if metric == "pearsonr":
            truth = rng.normal(size=n)
            before = truth + rng.normal(0, 0.5, n)
            pair = []
            for given in (before, before + rng.normal(0, 0.3, n)):
                accumulator = ClassificationMetric("regression")
                accumulator.update(np.arange(n), given, truth)
                pair.append(accumulator)
            return pair[0], pair[1]
        words = rng.integers(1, 30, n)
        before = rng.binomial(words, 0.1)
        after = np.minimum(words, before + rng.binomial(words, 0.05))
        return _speech(before, words), _speech(after, words)

    def value(accumulator: Any) -> float:
        parts = accumulator.sample_statistics(metric)
        return float(parts.score(parts.rows, np.ones((1, len(parts.ids)), np.int64))[0])

    before, after = map(value, made(300_000 if metric != "wer" else 30_000))
    truth = after - before if metric == "wer" else before - after
    covered = sum(
        found.low <= truth <= found.high for found in (drop(*made(300), metric) for _ in range(400))
    )
    assert 0.92 * 400 <= covered <= 0.985 * 400


@pytest.mark.parametrize("max_drop", [0.005, 0.01, 0.1])
def test_how_many_rows_show_a_small_drop(max_drop: float) -> None:
    """So many that the interval of equal answers ends within it, and not one less."""
    rows = int(rows_to_show(max_drop))
    assert most_unseen(rows) <= max_drop < most_unseen(rows - 1)
    assert most_unseen(N) == drop(_tally(_wrong(40)), _tally(_wrong(40)), "accuracy").high
    assert rows_to_show(0.0) == math.inf
