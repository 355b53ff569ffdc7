"""Distinct-1 and distinct-2: what they count, and their intervals."""

import itertools

import numpy as np
import pytest

from tasks.metrics.distinct_ngrams import estimates, words


def test_what_a_word_is() -> None:
    assert words("The film, the_film: 2nd?") == ["The", "film", ",", "the_film", ":", "2nd", "?"]
    assert words("\u4f60\u597d, caf\u00e9") == ["\u4f60", "\u597d", ",", "caf\u00e9"]
    assert words(" \n") == []


def test_values_are_those_of_the_paper() -> None:
    """Different n-grams of all texts together over all of them; none goes across two texts."""
    texts = ["a b a b", "b c", "", "a b"]
    found = estimates(texts)
    pairs = [pair for text in texts for pair in itertools.pairwise(text.split())]
    assert [one.name for one in found] == ["distinct_1", "distinct_2"]
    assert found[0].value == 3 / 8 and found[1].value == len(set(pairs)) / len(pairs) == 3 / 5
    assert all(one.n == 4 for one in found)


def test_the_interval_is_over_texts() -> None:
    """As wide as the values of other draws of as many texts scatter, about."""

    def drawn(seed: int) -> list[str]:
        rng = np.random.default_rng(seed)
        return [" ".join(map(str, rng.geometric(0.02, 12))) for _ in range(60)]

    values = np.array([[one.value for one in estimates(drawn(seed))] for seed in range(40)])
    for place, one in enumerate(estimates(drawn(99))):
        assert one.low < one.value < one.high and one.method == "jackknife" and one.n == 60
        deviation = (one.high - one.low) / 2 / 2.0
        assert 0.6 < deviation / values[:, place].std(ddof=1) < 1.6
    texts = ["a b c", "a b", "c d c", "b"]
    without = [[*texts[:i], *texts[i + 1 :]] for i in range(4)]
    error = np.sqrt(3 * np.var([estimates(some)[0].value for some in without]))
    [found, _] = estimates(texts)
    assert found.value - found.low == pytest.approx(3.1824 * error, rel=1e-4), "t of 3"


@pytest.mark.parametrize("texts", [[], [""], ["one"], ["the same", "the same"]])
def test_where_nothing_varies_there_is_no_interval(texts: list[str]) -> None:
    found = estimates(texts)
    assert np.isnan(found[1].low) and np.isnan(found[1].high)
    assert np.isnan(found[0].value) == (texts in ([], [""]))
