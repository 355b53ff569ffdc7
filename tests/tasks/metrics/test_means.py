"""A mean over samples with its interval."""

import numpy as np
import pytest
from scipy import stats

from tasks.metrics.means import MeanMetric

VALUES = np.random.default_rng(0).gamma(2.0, 1.5, 50)


def counted(ids: np.ndarray, values: np.ndarray) -> MeanMetric:
    metric = MeanMetric("bits_per_dim", ("any value", 8.0))
    metric.count(ids, values)
    return metric


def test_mean_and_student_s_interval() -> None:
    (found,) = counted(np.arange(50), VALUES).compute()
    wanted = stats.ttest_1samp(VALUES, 0).confidence_interval(0.95)
    assert (found.name, found.n, found.method) == ("bits_per_dim", 50, "student-t")
    assert found.value == pytest.approx(VALUES.mean())
    assert (found.low, found.high) == (pytest.approx(wanted.low), pytest.approx(wanted.high))


def test_a_sample_counts_once_and_parts_are_the_whole() -> None:
    whole = counted(np.arange(50), VALUES)
    first, second = counted(np.arange(30), VALUES[:30]), counted(np.arange(20, 50), VALUES[20:])
    assert first.merge([second.state()]).compute() == whole.compute()
    statistics = whole.sample_statistics("bits_per_dim")
    assert statistics.rows[:, 0].tolist() == VALUES.tolist()
    weights = np.ones((1, 50), np.int64)
    assert statistics.score(statistics.rows, weights)[0] == pytest.approx(VALUES.mean())


def test_an_answer_that_needs_no_model() -> None:
    constant = counted(np.arange(50), VALUES).constant()
    assert constant is not None and constant.answer == "any value"
    assert constant.values == {"bits_per_dim": 8.0}
    assert MeanMetric("bits_per_dim").constant() is None
    empty = MeanMetric("bits_per_dim").compute()[0]
    assert empty.n == 0 and np.isnan(empty.value)
