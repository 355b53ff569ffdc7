"""The paired bootstrap: the right values, the same draws for both, bounded memory."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from tasks.metrics import arithmetic, intervals
from tasks.metrics.classification import ClassificationMetric
from tasks.metrics.intervals import SampleStatistics, paired_bootstrap
from tasks.metrics.ranked import TopKMetric
from tasks.metrics.ratios import Ratio, RatioMetric
from tasks.metrics.transcription import TranscriptionMetric

SINGLE, MULTI = "single_label_classification", "multi_label_classification"
N = 300
RNG = np.random.default_rng(0)
IDS = np.arange(N)


def _labels(share_wrong: float) -> np.ndarray:
    truth = np.random.default_rng(1).integers(0, 3, N)
    return np.where(RNG.random(N) < share_wrong, RNG.integers(0, 3, N), truth)


def _single(share_wrong: float) -> ClassificationMetric:
    accumulator = ClassificationMetric(SINGLE, 3)
    accumulator.update(IDS, _labels(share_wrong), _labels(0))
    return accumulator


def _multi(share_wrong: float) -> ClassificationMetric:
    accumulator, truth = (
        ClassificationMetric(MULTI, 3),
        np.random.default_rng(2).random((N, 3)) < 0.4,
    )
    accumulator.update(IDS, truth ^ (RNG.random((N, 3)) < share_wrong), truth)
    return accumulator


def _regression(noise: float) -> ClassificationMetric:
    accumulator, truth = (
        ClassificationMetric("regression"),
        np.random.default_rng(3).normal(size=N).round(1),
    )
    accumulator.update(IDS, (truth + RNG.normal(0, noise, N)).round(1), truth)
    return accumulator


def _speech(share_wrong: float) -> TranscriptionMetric:
    accumulator, rng = TranscriptionMetric(), np.random.default_rng(4)
    said = [["yes", "no", "maybe"][: rng.integers(1, 4)] for _ in IDS]
    heard = [[w for w in words if RNG.random() >= share_wrong] for words in said]
    accumulator.update(
        IDS, [" ".join(words) for words in heard], [" ".join(words) for words in said]
    )
    return accumulator


def _ratios(shift: float) -> RatioMetric:
    rng = np.random.default_rng(5)
    counts = rng.integers(1, 9, N)
    sums = np.stack([counts * (1 + shift + 0.3 * RNG.random(N)), counts, counts // 2], 1)
    accumulator = RatioMetric([Ratio("perplexity", 0, 1, exp=True), Ratio("masked_accuracy", 2, 1)])
    accumulator.update(IDS, sums)
    return accumulator


def _plain(metric: str, accumulator: object, chosen: np.ndarray) -> float:
    """The metric of samples, each perhaps several times, computed by an accumulator of its own."""
    state = accumulator.state()
    if isinstance(accumulator, RatioMetric):
        again = RatioMetric(accumulator.ratios)
        again.update(np.arange(len(chosen)), state["sums"][chosen])
    elif isinstance(accumulator, TranscriptionMetric):
        again = TranscriptionMetric()
        _, heard, said = accumulator._columns()
        again.update(np.arange(len(chosen)), [heard[i] for i in chosen], [said[i] for i in chosen])
    else:
        again = ClassificationMetric(accumulator.problem_type, accumulator.num_labels)
        _, predictions, references = accumulator._columns()
        unpack = accumulator._unpack if accumulator.problem_type == MULTI else np.asarray
        again.update(
            np.arange(len(chosen)), unpack(predictions[chosen]), unpack(references[chosen])
        )
    return next(one.value for one in again.compute() if one.name == metric)


MADE = {
    "f1_macro": (_single, 0.1, 0.3),
    "matthews_correlation": (_single, 0.1, 0.3),
    "recall_macro": (_single, 0.1, 0.3),
    "f1_micro": (_multi, 0.05, 0.2),
    "pearsonr": (_regression, 0.3, 0.9),
    "spearmanr": (_regression, 0.3, 0.9),
    "mse": (_regression, 0.3, 0.9),
    "accuracy": (_single, 0.1, 0.3),
    "wer": (_speech, 0.1, 0.3),
    "cer": (_speech, 0.1, 0.3),
    "exact_match": (_speech, 0.1, 0.3),
    "perplexity": (_ratios, 0.1, 0.2),
    "masked_accuracy": (_ratios, 0.1, 0.2),
}


@pytest.mark.parametrize("metric", MADE)
def test_the_statistics_of_a_resample_give_the_metric_of_the_resample(metric: str) -> None:
    make, share, _ = MADE[metric]
    accumulator = make(share)
    parts = accumulator.sample_statistics(metric)
    chosen = [IDS, RNG.integers(N, size=N), RNG.integers(N // 3, size=N)]
    weights = np.stack([np.bincount(each, minlength=N) for each in chosen])
    expected = [_plain(metric, accumulator, each) for each in chosen]
    assert parts.score(parts.rows, weights) == pytest.approx(expected, rel=1e-12)


def test_top5_accuracy_is_a_mean_of_ranks() -> None:
    accumulator = TopKMetric(9, 5)
    accumulator.update_ranked(np.arange(4), np.arange(4), np.arange(4), np.array([0, 4, 5, 8]))
    parts = accumulator.sample_statistics("top5_accuracy")
    assert parts.rows[:, 0].tolist() == [1, 1, 0, 0]
    assert parts.score(parts.rows, np.array([[1, 1, 1, 1], [3, 0, 0, 1]])).tolist() == [0.5, 0.75]
    assert accumulator.sample_statistics("accuracy").rows[:, 0].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("metric", ["f1_macro", "pearsonr", "spearmanr", "wer", "perplexity"])
def test_the_interval_is_scipys(metric: str) -> None:
    """scipy's paired bootstrap of the same statistic has other draws, and the same interval but for
    what 2,000 of them leave to chance."""
    make, good, bad = MADE[metric]
    first, second = (make(one).sample_statistics(metric) for one in (good, bad))
    draws = paired_bootstrap(first, second, np.subtract, draws=2000)
    ours = np.quantile(draws, [0.025, 0.975])
    rows = np.concatenate([first.rows, second.rows], axis=1).astype(float)
    width = first.rows.shape[1]
    once = np.ones((1, N), np.int64)

    def difference(index: np.ndarray) -> float:
        drawn = rows[index.astype(int)].astype(first.rows.dtype)
        one, other = (s.score(part, once) for s, part in (
            (first, drawn[:, :width]), (second, drawn[:, width:])
        ))  # fmt: skip
        return float(one[0] - other[0])

    theirs = scipy.stats.bootstrap(
        (IDS, IDS), lambda i, j: difference(i), paired=True, vectorized=False, n_resamples=2000,
        method="percentile", random_state=np.random.default_rng(7),
    )  # fmt: skip
    spread = np.std(draws)
    assert ours == pytest.approx(list(theirs.confidence_interval), abs=0.15 * spread)
    assert spread == pytest.approx(theirs.standard_error, rel=0.08)


def test_both_arms_see_the_same_draw() -> None:
    """What is hard for both cancels out: an arm against itself differs in no draw."""
    parts = _regression(0.5).sample_statistics("pearsonr")
    assert np.ptp(parts.score(parts.rows, next(intervals.resamples(np.ones(N, np.int64))))) > 0
    assert not paired_bootstrap(parts, parts, np.subtract).any()


def test_the_same_samples_give_the_same_bits() -> None:
    first, second = (_speech(one).sample_statistics("wer") for one in (0.1, 0.2))
    assert (
        paired_bootstrap(first, second, np.subtract).tobytes()
        == paired_bootstrap(first, second, np.subtract).tobytes()
    )
    other = paired_bootstrap(first, second, np.subtract, seed=1)
    assert other.shape == (intervals.DRAWS,) and (other != 0).any()
    assert not np.array_equal(other, paired_bootstrap(first, second, np.subtract))


def test_draws_without_a_value_are_left_out() -> None:
    rows = np.array([[0.0, 1.0], [0.0, 2.0], [1.0, 5.0]])
    parts = SampleStatistics(
        np.arange(3), rows, lambda r, n: arithmetic.resampled_pearsonr(r[:, 0], r[:, 1], n)
    )
    draws = paired_bootstrap(parts, parts, np.add)
    assert 500 < len(draws) < 1000 and np.isfinite(draws).all()
    assert draws == pytest.approx(2 * draws / 2) and draws.max() == pytest.approx(2)


def test_a_correlation_of_one_value_is_undefined_though_its_mean_rounds() -> None:
    x = np.array([0.1, 0.1, 0.1, 0.7])
    weights = np.array([[1, 1, 1, 0], [1, 1, 1, 1]])
    found = arithmetic.resampled_pearsonr(x, np.arange(4.0), weights)
    assert np.isnan(found[0]) and found[1] == pytest.approx(np.corrcoef(x, np.arange(4))[0, 1])


def test_ranks_within_a_draw_are_scipys() -> None:
    x, y = RNG.integers(0, 9, N).astype(float), RNG.normal(size=N).round(1)
    chosen = RNG.integers(N, size=(5, N))
    weights = np.stack([np.bincount(each, minlength=N) for each in chosen])
    levels = arithmetic.levels(x), arithmetic.levels(y)
    expected = [scipy.stats.spearmanr(x[each], y[each]).statistic for each in chosen]
    assert arithmetic.resampled_spearmanr(*levels, weights) == pytest.approx(expected, rel=1e-12)


def test_f1_within_a_draw_is_scikit_learns() -> None:
    accumulator = _single(0.3)
    parts, chosen = accumulator.sample_statistics("f1_macro"), RNG.integers(N, size=N)
    (found,) = parts.score(parts.rows, np.bincount(chosen, minlength=N)[None])
    predictions, references = parts.rows[chosen].T
    assert found == pytest.approx(
        sklearn.metrics.f1_score(references, predictions, average="macro")
    )


@pytest.mark.parametrize("metric", ["spearmanr", "f1_macro"])
def test_a_million_samples_fit_in_memory(metric: str) -> None:
    n, rng = 10**6, np.random.default_rng(0)
    if metric == "spearmanr":
        accumulator = ClassificationMetric("regression")
        accumulator.update(np.arange(n), rng.normal(size=n), rng.normal(size=n))
    else:  # a thousand labels: hardly two samples are alike
        accumulator = ClassificationMetric(SINGLE, 1000)
        accumulator.update(np.arange(n), *rng.integers(0, 1000, (2, n)))
    parts = accumulator.sample_statistics(metric)
    tracemalloc.start()
    try:
        draws = paired_bootstrap(parts, parts, np.subtract, draws=4)  # what is held at once
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(draws) == 4
    assert peak < 400 * 2**20, "as its docstring says"


@pytest.mark.parametrize("make", [_single, _multi])
@pytest.mark.parametrize("metric", ["f1_weighted", "precision_weighted", "recall_weighted"])
def test_weighted_averages_of_a_resample_are_those_of_the_resample(
    make: Callable[[float], object], metric: str
) -> None:
    accumulator = make(0.2)
    parts, chosen = accumulator.sample_statistics(metric), RNG.integers(N, size=N)
    weights = np.bincount(chosen, minlength=N)[None]
    expected = _plain(metric, accumulator, chosen)
    assert parts.score(parts.rows, weights) == pytest.approx([expected], rel=1e-12)
