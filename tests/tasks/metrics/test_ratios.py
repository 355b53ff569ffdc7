"""The accumulator of sums: ratios, repeats, merging, intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.metrics import metric_spec
from tasks.metrics.ratios import Ratio, RatioMetric

RATIOS = (Ratio("perplexity", 0, 1, exp=True), Ratio("masked_accuracy", 2, 1))
ROWS = st.lists(
    st.tuples(st.floats(0, 50), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30
)


def tally_of(rows: list[tuple[float, int, int]]) -> RatioMetric:
    accumulator = RatioMetric(RATIOS)
    accumulator.update(np.arange(len(rows)), np.array(rows, float).reshape(-1, 3))
    return accumulator


def values(accumulator: RatioMetric) -> list[float]:
    return [measured.value for measured in accumulator.compute()]


@given(ROWS)
def test_values_are_those_of_the_sums(rows: list[tuple[float, int, int]]) -> None:
    loss, tokens, hits = map(sum, zip(*rows, strict=True))
    expected = [np.exp(loss / tokens), hits / tokens] if tokens else [np.nan, np.nan]
    assert values(tally_of(rows)) == pytest.approx(expected, nan_ok=True)


@given(ROWS, st.integers(1, 4), st.randoms(use_true_random=False))
def test_the_cut_the_order_and_repeats_change_nothing(rows, parts, random) -> None:
    whole = tally_of(rows)
    shares = [RatioMetric(RATIOS) for _ in range(parts)]
    for i in random.sample(range(len(rows)), len(rows)):
        for accumulator in random.sample(shares, random.randint(1, parts)):
            accumulator.update(np.array([i]), np.array([rows[i]], float))
    merged = RatioMetric(RATIOS).merge([accumulator.state() for accumulator in shares])
    assert len(merged) == len(whole) == len(rows)
    assert repr(merged.compute()) == repr(whole.compute())


def test_the_interval_holds_the_value_and_shrinks() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for n in (50, 800):
        rows = np.stack([rng.gamma(20, size=n), np.full(n, 5.0), rng.integers(0, 5, n)], 1)
        perplexity, accuracy = tally_of(rows.tolist()).compute()
        assert perplexity.low < perplexity.value < perplexity.high
        assert accuracy.low < accuracy.value < accuracy.high
        assert (perplexity.n, perplexity.method) == (n, "bootstrap")
        widths.append(perplexity.high - perplexity.low)
    assert widths[1] < widths[0] / 2


def test_sample_statistics_give_the_ratio() -> None:
    accumulator = tally_of([(3.0, 2, 1), (1.0, 1, 0), (0.5, 4, 2)])
    parts = accumulator.sample_statistics("perplexity")
    assert parts.ids.tolist() == [0, 1, 2]
    once = np.ones((1, 3), np.int64)
    assert parts.score(parts.rows, once) == pytest.approx([values(accumulator)[0]])
    assert parts.score(parts.rows, once * [[0, 0, 2]]) == pytest.approx([np.exp(0.5 / 4)])


def test_nothing_counted_is_undefined_and_not_an_error() -> None:
    empty = RatioMetric(RATIOS)
    assert all(np.isnan(m.value) and m.n == 0 for m in empty.compute())
    parts = tally_of([(0.0, 0, 0)]).sample_statistics("perplexity")
    assert np.isnan(parts.score(parts.rows, np.ones((1, 1), np.int64))).all()


def test_what_does_not_fit_is_refused() -> None:
    accumulator = RatioMetric(RATIOS)
    with pytest.raises(ValueError, match="sums of shape"):
        accumulator.update(np.array([1]), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="integers"):
        accumulator.update(np.array([1.0]), np.zeros((1, 3)))
    with pytest.raises(ValueError, match="cannot merge"):
        accumulator.merge([RatioMetric([Ratio("reconstruction_loss", 0, 1)]).state()])
    with pytest.raises(ValueError, match="no confusion matrix"):
        accumulator.confusion_matrix()


def test_which_way_is_better() -> None:
    assert not metric_spec("perplexity").greater_is_better
    assert not metric_spec("reconstruction_loss").greater_is_better
    assert metric_spec("masked_accuracy").greater_is_better
