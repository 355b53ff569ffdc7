"""Metrics of several numbers a sample: the means of what each number has by itself."""

import numpy as np
import pytest

from tasks.metrics.classification import ClassificationMetric
from tasks.metrics.several_numbers import SeveralNumbersMetric

RNG = np.random.default_rng(0)
TRUTH = RNG.normal(size=(60, 3)) * [1, 10, 100]
GUESS = TRUTH + RNG.normal(size=(60, 3)) * [0.5, 20, 30]


def counted(guess: np.ndarray = GUESS, truth: np.ndarray = TRUTH) -> SeveralNumbersMetric:
    metric = SeveralNumbersMetric(truth.shape[1])
    for rows in np.array_split(np.arange(len(truth)), 4):
        metric.update(rows, guess[rows], truth[rows])
    return metric


def alone(column: int) -> dict[str, float]:
    metric = ClassificationMetric("regression")
    metric.update(np.arange(60), GUESS[:, column], TRUTH[:, column])
    return {one.name: one.value for one in metric.compute()}


def test_each_number_has_the_metrics_it_has_alone() -> None:
    found = counted().of_each()
    for column in range(3):
        assert {one.name: one.value for one in found[column]} == alone(column)


def test_the_mean_over_the_numbers() -> None:
    for one in counted().compute():
        mean = np.mean([alone(column)[one.name] for column in range(3)])
        assert one.value == pytest.approx(mean, rel=1e-12)
        assert one.low < one.value < one.high and one.n == 60
    assert [one.method for one in counted().compute()] == ["bootstrap", "bootstrap", "student-t"]
    fast = counted().compute(draws=0)
    assert [one.value for one in fast] == [one.value for one in counted().compute()]


def test_batches_and_processes_agree() -> None:
    whole = SeveralNumbersMetric(3)
    whole.update(np.arange(60), GUESS, TRUTH)
    parts = [counted(GUESS[:30], TRUTH[:30]), SeveralNumbersMetric(3)]
    parts[1].update(np.arange(20, 60), GUESS[20:], TRUTH[20:])  # some seen twice
    merged = SeveralNumbersMetric(3).merge(part.state() for part in parts)
    assert merged.compute() == whole.compute() == counted().compute()


@pytest.mark.parametrize("metric", ["pearsonr", "spearmanr", "mse"])
def test_the_statistics_of_samples_give_the_metric(metric: str) -> None:
    statistics = counted().sample_statistics(metric)
    score = statistics.score(statistics.rows, np.ones((1, 60), np.int64))
    value = next(one.value for one in counted().compute() if one.name == metric)
    assert score[0] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("guess", "truth"),
    [
        (np.empty((0, 2)), np.empty((0, 2))),
        (np.zeros((3, 2)), np.eye(3)[:, :2]),
        (np.full((9, 2), np.nan), np.eye(9)[:, :2]),
        (np.full((9, 2), np.inf), np.eye(9)[:, :2]),
        (np.eye(9)[:, :2] * [1, 0], np.eye(9)[:, :2]),
    ],
)
def test_what_is_undefined(guess: np.ndarray, truth: np.ndarray) -> None:
    found = {one.name: one for one in counted(guess, truth).compute()}
    for name in ("pearsonr", "spearmanr"):
        assert np.isnan(found[name].value) and found[name].method == "undefined"


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"predictions are \[4\], not \[4, 3\]"):
        SeveralNumbersMetric(3).update(np.arange(4), np.zeros(4), np.zeros((4, 3)))


def test_the_best_constant_answer_is_the_mean_of_each() -> None:
    constant = counted().constant()
    assert constant is not None
    assert constant.answer == pytest.approx(TRUTH.mean(axis=0))
    assert constant.values["mse"] == pytest.approx(TRUTH.var(axis=0).mean())
    assert np.isnan(constant.values["pearsonr"]) and np.isnan(constant.values["spearmanr"])
    assert counted().compute(draws=0)[-1].value == pytest.approx(((GUESS - TRUTH) ** 2).mean())


def test_one_answer_is_one_of_every_number() -> None:
    assert counted().only_answer() is None
    same = np.tile([1.0, 2.0, 3.0], (60, 1))
    assert counted(same).only_answer() == (1.0, 2.0, 3.0)
    same[:, 2] = GUESS[:, 2]
    assert counted(same).only_answer() is None
