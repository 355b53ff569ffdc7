"""What a deployment loses, against its source on the same samples."""

import math

import numpy as np
import pytest

from tasks.metrics import Tally
from zoo.paired import NOT_A_MEAN, drop

RNG = np.random.default_rng(0)
N = 400
TRUTH = RNG.integers(0, 3, N)


def _tally(predictions: np.ndarray, kind: str = "single_label_classification") -> Tally:
    tally = Tally(kind, 3)
    truth = TRUTH[: len(predictions)]
    references = truth.astype(float) if kind == "regression" else truth
    tally.update(np.arange(len(predictions)), predictions, references)
    return tally


def _wrong(count: int) -> np.ndarray:
    return np.where(np.arange(N) < count, (TRUTH + 1) % 3, TRUTH)


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
    assert found.method == NOT_A_MEAN and found.interval() is None and math.isnan(found.low)
    errors = drop(_tally(good, "regression"), _tally(bad, "regression"), "mse")
    assert errors.value > 0 and errors.interval() is not None


def test_other_samples_are_no_pair() -> None:
    with pytest.raises(ValueError, match="not of the same samples"):
        drop(_tally(TRUTH), _tally(TRUTH[:10]), "accuracy")
