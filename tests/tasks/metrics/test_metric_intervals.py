"""The intervals: known values, what they cover, and where there is none."""

import math
import warnings

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.metrics import intervals
from tasks.metrics.classification import ClassificationMetric
from tasks.metrics.ranked import TopKMetric
from tasks.metrics.ratios import Ratio, RatioMetric
from tasks.metrics.transcription import TranscriptionMetric


def by_name(accumulator, level=0.95):
    return {measured.name: measured for measured in accumulator.compute(level)}


def single(predictions, references, labels=2):
    accumulator = ClassificationMetric("single_label_classification", labels)
    accumulator.update(np.arange(len(predictions)), np.asarray(predictions), np.asarray(references))
    return accumulator


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        # Newcombe 1998 (Statistics in Medicine 17, table I, method 3), printed to four digits.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_printed_values(right, n, low, high):
    got = intervals.wilson("accuracy", right / n, n, 0.95)
    assert (got.low, got.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(n=st.integers(1, 5000), data=st.data(), level=st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_wilson_is_scipys_and_mirrors(n, data, level):
    right = data.draw(st.integers(0, n))
    got = intervals.wilson("accuracy", right / n, n, level)
    want = scipy.stats.binomtest(right, n).proportion_ci(level, method="wilson")
    assert (got.low, got.high) == (
        pytest.approx(want.low, abs=1e-9),
        pytest.approx(want.high, abs=1e-9),
    )
    assert 0 <= got.low <= right / n <= got.high <= 1
    mirrored = intervals.wilson("accuracy", (n - right) / n, n, level)
    assert mirrored.high == pytest.approx(1 - got.low, abs=1e-9)


def test_fisher_z_by_hand():
    # atanh(0.5) = 0.549306; 1.959964 / sqrt(28 - 3) = 0.391993; tanh(0.157313), tanh(0.941299)
    got = intervals.fisher_z("pearsonr", 0.5, 28, 0.95)
    assert (got.low, got.high) == (
        pytest.approx(0.156028, abs=2e-6),
        pytest.approx(0.735819, abs=2e-6),
    )
    # Bonett & Wright: the half width grows by sqrt(1 + 0.5^2 / 2) = 1.0606602, to 0.415771
    wide = intervals.fisher_z("spearmanr", 0.5, 28, 0.95, scale=1.125)
    assert wide.low == pytest.approx(math.tanh(0.549306 - 0.415771), abs=2e-6)
    assert wide.high == pytest.approx(math.tanh(0.549306 + 0.415771), abs=2e-6)


def test_tally_gives_pearson_and_spearman_their_own_widths():
    rng = np.random.default_rng(0)
    x = rng.normal(size=40)
    y = x + rng.normal(size=40)
    accumulator = ClassificationMetric("regression")
    accumulator.update(np.arange(40), y, x)
    got = by_name(accumulator, level=0.9)
    want = scipy.stats.pearsonr(y, x).confidence_interval(0.9)
    assert (got["pearsonr"].low, got["pearsonr"].high) == pytest.approx((want.low, want.high))
    rho = scipy.stats.spearmanr(y, x).statistic
    half = scipy.stats.norm.ppf(0.95) * math.sqrt((1 + rho**2 / 2) / 37)
    assert got["spearmanr"].low == pytest.approx(math.tanh(math.atanh(rho) - half))
    assert got["spearmanr"].high == pytest.approx(math.tanh(math.atanh(rho) + half))
    errors = (y - x) ** 2
    want = scipy.stats.t.interval(0.9, 39, errors.mean(), scipy.stats.sem(errors))
    assert (got["mse"].low, got["mse"].high) == pytest.approx(want)
    assert [m.method for m in got.values()] == ["fisher-z", "fisher-z", "student-t"]
    assert {m.level for m in got.values()} == {0.9}


@pytest.mark.parametrize("counts", [[70, 5, 15, 60], [2] * 40])
def test_resamples_are_multinomial_either_way_they_are_drawn(counts):
    """The first is drawn by cell, the second by sample."""
    counts = np.array(counts)
    n = counts.sum()
    drawn = np.concatenate(list(intervals.resamples(counts, draws=4000)))
    assert drawn.shape == (4000, len(counts))
    assert (drawn.sum(1) == n).all()
    share = counts / n
    error = np.sqrt(n * share * (1 - share) / 4000)
    assert (np.abs(drawn.mean(0) - counts) < 5 * error).all()
    np.testing.assert_allclose(drawn.var(0), n * share * (1 - share), rtol=0.2)


def test_resamples_in_blocks_are_as_many_as_asked(monkeypatch):
    monkeypatch.setattr(intervals, "_BLOCK", 70)
    blocks = list(intervals.resamples(np.array([5, 3, 2]), draws=100))
    assert max(len(block) for block in blocks) == 23
    assert sum(len(block) for block in blocks) == 100


def test_bootstrap_intervals_cover_the_truth_of_single_labels():
    """150 samples of 200 from a known confusion matrix; 95% intervals should miss about 5%."""
    truth = np.array([[0.35, 0.08, 0.02], [0.05, 0.25, 0.05], [0.03, 0.02, 0.15]])
    hits, predicted, actual = truth.diagonal(), truth.sum(0), truth.sum(1)
    want = {
        "f1_macro": (2 * hits / (predicted + actual)).mean(),
        "precision_macro": (hits / predicted).mean(),
        "recall_macro": (hits / actual).mean(),
        "f1_weighted": (2 * hits / (predicted + actual)) @ actual,
        "precision_weighted": (hits / predicted) @ actual,
        "recall_weighted": hits.sum(),
        "matthews_correlation": (hits.sum() - predicted @ actual)
        / math.sqrt((1 - predicted @ predicted) * (1 - actual @ actual)),
        "accuracy": hits.sum(),
    }
    rng = np.random.default_rng(11)
    covered = dict.fromkeys(want, 0)
    for _ in range(150):
        cells = rng.choice(9, size=200, p=truth.ravel())
        got = by_name(single(cells % 3, cells // 3, 3))
        for name, value in want.items():
            covered[name] += got[name].low <= value <= got[name].high
    for name, count in covered.items():
        assert 0.89 <= count / 150 <= 0.99, (name, count)


def test_bootstrap_intervals_cover_the_truth_of_multi_labels():
    """Rows whose labels are right or wrong together: per-label resampling would be too narrow."""
    rng = np.random.default_rng(12)
    share, flip_easy, flip_hard = 0.4, 0.05, 0.45
    flip = (flip_easy + flip_hard) / 2
    precision = share * (1 - flip) / (share * (1 - flip) + (1 - share) * flip)
    recall = 1 - flip
    want = {
        "precision_micro": precision,
        "recall_micro": recall,
        "f1_micro": 2 * precision * recall / (precision + recall),
        "f1_macro": 2 * precision * recall / (precision + recall),
    }
    covered = dict.fromkeys(want, 0)
    for _ in range(100):
        references = rng.random((150, 12)) < share
        hard = rng.random((150, 1)) < 0.5
        predictions = references ^ (rng.random((150, 12)) < np.where(hard, flip_hard, flip_easy))
        accumulator = ClassificationMetric("multi_label_classification", 12)
        accumulator.update(np.arange(150), predictions, references)
        got = by_name(accumulator)
        for name, value in want.items():
            covered[name] += got[name].low <= value <= got[name].high
    for name, count in covered.items():
        assert 0.86 <= count / 100 <= 1.0, (name, count)


# ---- where there is no interval, or no value -----------------------------------------------------


def undefined(measured):
    assert measured.method == "undefined"
    assert math.isnan(measured.low) and math.isnan(measured.high)
    return measured


@pytest.fixture(autouse=True)
def silence():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize(
    ("problem", "labels"),
    [
        ("single_label_classification", 3),
        ("multi_label_classification", 3),
        ("regression", 1),
    ],
)
def test_nothing_counted_is_undefined(problem, labels):
    measured = ClassificationMetric(problem, labels).compute()
    assert len(measured) == (3 if problem == "regression" else 8)
    for one in measured:
        assert math.isnan(undefined(one).value) and one.n == 0


def test_one_class_only_claims_no_certainty():
    got = by_name(single([1] * 20, [1] * 20))
    assert got["accuracy"].value == 1 and got["accuracy"].high == 1
    assert got["accuracy"].low == pytest.approx(1 - 0.1611, abs=5e-5)
    assert undefined(got["f1_macro"]).value == 1
    assert undefined(got["matthews_correlation"]).value == 0  # division by zero counts as 0


def test_constant_prediction_has_no_matthews_interval():
    got = by_name(single([1] * 20, [0, 1] * 10))
    assert undefined(got["matthews_correlation"]).value == 0
    assert got["f1_macro"].method == "bootstrap"


@pytest.mark.parametrize(
    ("predictions", "references", "names"),
    [
        ([1.0, 2.0, 4.0], [1.0, 3.0, 3.0], {"pearsonr", "spearmanr"}),
        ([5.0] * 10, list(range(10)), {"pearsonr", "spearmanr"}),
        (list(range(10)), [0.3] * 10, {"pearsonr", "spearmanr"}),
        ([float("nan"), *range(9)], list(range(10)), {"pearsonr", "spearmanr", "mse"}),
        ([float("inf"), *range(9)], list(range(10)), {"pearsonr", "mse"}),
        ([1e200, *range(9)], list(range(10)), {"mse"}),
    ],
)
def test_regression_without_a_value(predictions, references, names):
    accumulator = ClassificationMetric("regression")
    accumulator.update(np.arange(len(predictions)), np.array(predictions), np.array(references))
    got = by_name(accumulator)
    assert {name for name, one in got.items() if math.isnan(one.value)} == names
    for name in names:
        undefined(got[name])


def test_a_perfect_fit_has_values_but_no_intervals():
    accumulator = ClassificationMetric("regression")
    accumulator.update(np.arange(4), np.arange(4.0), np.arange(4.0))
    got = by_name(accumulator)
    assert undefined(got["mse"]).value == 0
    assert undefined(got["spearmanr"]).value == pytest.approx(1)
    accumulator = ClassificationMetric("regression")
    accumulator.update(np.array([3]), np.array([1.0]), np.array([3.0]))
    assert undefined(by_name(accumulator)["mse"]).value == 4


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30), labels=st.integers(1, 4))
def test_bootstrap_bounds_are_ordered_and_inside_the_range(seed, n, labels):
    rng = np.random.default_rng(seed)
    for one in single(*rng.integers(0, labels, (2, n)), labels).compute():
        if one.method != "undefined":
            least = -1 if one.name == "matthews_correlation" else 0
            assert least <= one.low <= one.high <= 1
            assert one.n == n


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("freedom", [1, 2, 4, 30, 10_000])
def test_quantiles_of_students_t_are_those_of_scipy(freedom, level):
    want = scipy.stats.t.ppf((1 + level) / 2, freedom)
    assert intervals.t_quantile(freedom, level) == pytest.approx(want, rel=1e-9)


def test_the_half_width_of_a_mean_is_that_of_scipy():
    values = [0.05, 0.07, 0.04, -0.01]
    want = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.9)
    half = intervals.t_half_width(values, 0.9)
    assert half == pytest.approx((want.high - want.low) / 2, rel=1e-12)
    assert intervals.t_half_width(np.array(values), 0.9) == half
    assert math.isnan(intervals.t_half_width([0.1], 0.95)) and math.isnan(
        intervals.t_half_width([], 0.95)
    )
    assert intervals.t_half_width([0.5] * 4, 0.95) == 0
    assert not math.isfinite(intervals.t_half_width([1e308, -1e308], 0.95))


def regression_of(n, rng):
    accumulator = ClassificationMetric("regression")
    accumulator.update(np.arange(n), rng.normal(size=n), rng.normal(size=n))
    return accumulator


def multi_of(n, rng):
    accumulator = ClassificationMetric("multi_label_classification", 3)
    accumulator.update(np.arange(n), rng.integers(0, 2, (n, 3)), rng.integers(0, 2, (n, 3)))
    return accumulator


def ranked_of(n, rng):
    accumulator = TopKMetric(7, 5)
    accumulator.update_ranked(np.arange(n), *rng.integers(0, 7, (3, n)))
    return accumulator


def ratios_of(n, rng):
    accumulator = RatioMetric([Ratio("perplexity", 0, 1, exp=True), Ratio("masked_accuracy", 2, 1)])
    accumulator.update(np.arange(n), rng.integers(0, 9, (n, 3)))
    return accumulator


def transcripts_of(n, rng):
    accumulator = TranscriptionMetric()
    heard, said = (["abc"[: k + 1] + " d" * j for k, j in rng.integers(0, 3, (n, 2))] for _ in "xy")
    accumulator.update(np.arange(n), heard, said)
    return accumulator


@pytest.mark.parametrize("n", [0, 1, 3, 40])
@pytest.mark.parametrize(
    "make",
    [
        lambda n, rng: single(*rng.integers(0, 3, (2, n)), 3),
        multi_of,
        regression_of,
        ranked_of,
        ratios_of,
        transcripts_of,
    ],
)
def test_without_resamples_the_values_are_the_same_bits(make, n):
    accumulator = make(n, np.random.default_rng(n))
    with_intervals, without = accumulator.compute(), accumulator.compute(draws=0)
    if n == 40 and make is not regression_of:
        assert "bootstrap" in {one.method for one in with_intervals}
    for one, other in zip(with_intervals, without, strict=True):
        if one.method == "bootstrap":
            one = intervals.undefined(one.name, one.value, one.n, one.level)
        assert repr(other) == repr(one)
