"""The metrics of classification: one process or many, any order, duplicates or not, to the last
bit."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import metrics
from tasks.errors import UserError
from tasks.metrics.classification import ClassificationMetric
from tasks.metrics.intervals import MetricEstimate
from tasks.metrics.ranked import TopKMetric

SINGLE, MULTI, REGRESSION = (
    "single_label_classification",
    "multi_label_classification",
    "regression",
)


def samples(problem, n, labels, rng):
    if problem == REGRESSION:
        return rng.normal(size=n), rng.normal(size=n).astype(np.float32)
    if problem == SINGLE:
        return rng.integers(0, labels, n), rng.integers(0, labels, n)
    return rng.random((n, labels)) < 0.4, (rng.random((n, labels)) < 0.4).astype(np.float32)


def parts(accumulator, metric):
    """The numbers whose mean a metric is."""
    return accumulator.sample_statistics(metric).rows[:, 0]


def bits(accumulator):
    """Everything an accumulator says, as bytes: nan equals nan, and 0.0 is not -0.0."""
    out = [array.tobytes() for array in accumulator.state().values()]
    for one in accumulator.compute():
        out.append(np.array([one.value, one.low, one.high]).tobytes())
        out.append((one.name, one.n, one.method))
    for one in accumulator.compute():
        statistics = accumulator.sample_statistics(one.name)
        out += [statistics.ids.tobytes(), statistics.rows.tobytes()]
    if accumulator.problem_type == SINGLE:
        out.append(accumulator.confusion_matrix().tobytes())
    return out


@pytest.mark.parametrize("problem", [SINGLE, MULTI, REGRESSION])
@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 60),
    labels=st.sampled_from([1, 2, 3, 9, 300]),
    ranks=st.integers(1, 5),
    batch=st.integers(1, 20),
)
def test_many_processes_are_one_bit_for_bit(problem, seed, n, labels, ranks, batch):
    rng = np.random.default_rng(seed)
    ids = rng.permutation(10 * n)[:n].astype(np.int64)
    predictions, references = samples(problem, n, labels, rng)
    one = ClassificationMetric(problem, labels)
    one.update(ids, predictions, references)

    states = []
    for rank in range(ranks):
        accumulator = ClassificationMetric(problem, labels)
        # Each rank's share, padded with samples that other ranks have as well.
        mine = np.concatenate([np.arange(rank, n, ranks), rng.integers(0, n, 3)])
        rng.shuffle(mine)
        for start in range(0, len(mine), batch):
            part = mine[start : start + batch]
            accumulator.update(ids[part], predictions[part], references[part])
            if rng.random() < 0.3:
                assert len(accumulator) <= n  # looking in between changes nothing
        states.append(accumulator.state())
    rng.shuffle(states)
    merged = ClassificationMetric(problem, labels).merge(states)
    assert len(merged) == n
    assert bits(merged) == bits(one)


@pytest.mark.parametrize("problem", [SINGLE, MULTI, REGRESSION])
def test_repeats_that_differ_in_their_prediction_do_not_depend_on_order(problem):
    ids, references = np.array([7, 8, 9]), np.array([0, 1, 1])
    first, second = np.array([0, 1, 0]), np.array([1, 1, 1])
    if problem == REGRESSION:
        first, second = np.array([0.0, -0.5, np.nan]), np.array([-0.0, -0.5000001, 0.3])
    if problem == MULTI:
        references, first, second = (np.eye(2)[labels] for labels in (references, first, second))
    states = []
    for predictions in (first, second):
        accumulator = ClassificationMetric(problem, 2)
        accumulator.update(ids, predictions, references)
        states.append(accumulator.state())
    assert states[0]["predictions"].tobytes() != states[1]["predictions"].tobytes()
    forth, back = (ClassificationMetric(problem, 2).merge(each) for each in (states, states[::-1]))
    assert len(forth) == 3
    assert bits(forth) == bits(back)


@pytest.mark.parametrize("problem", [SINGLE, MULTI, REGRESSION])
def test_one_id_with_two_references_is_refused(problem):
    accumulator = ClassificationMetric(problem, 2)
    for references in ([0, 1], [0, 0]):
        values = np.array(references, np.float64 if problem == REGRESSION else np.int64)
        if problem == MULTI:
            values = np.eye(2)[values]
        accumulator.update(np.array([4, 5]), values, values)
    with pytest.raises(UserError, match="sample 5 came with two different references"):
        accumulator.compute()


def test_states_of_unlike_tallies_do_not_merge():
    with pytest.raises(ValueError, match="cannot merge"):
        ClassificationMetric(SINGLE, 2).merge(
            [ClassificationMetric(SINGLE, 2).state(), ClassificationMetric(SINGLE, 3).state()]
        )
    with pytest.raises(ValueError, match="cannot merge 0 states"):
        ClassificationMetric(SINGLE, 2).merge([])


def test_state_survives_safetensors_and_holds_compact_numbers():
    from safetensors.numpy import load, save

    rng = np.random.default_rng(0)
    kept = {}
    for problem, labels in [(SINGLE, 5), (SINGLE, 1000), (MULTI, 20), (REGRESSION, 1)]:
        accumulator = ClassificationMetric(problem, labels)
        accumulator.update(np.arange(50), *samples(problem, 50, labels, rng))
        assert bits(
            ClassificationMetric(problem, labels).merge([load(save(accumulator.state()))])
        ) == bits(accumulator)
        kept[problem, labels] = accumulator.state()["predictions"].nbytes / 50
    assert list(kept.values()) == [1, 2, 3, 8]  # bytes a sample


def test_update_keeps_copies():
    ids, predictions, references = np.arange(4), np.array([0, 1, 1, 0]), np.array([0, 1, 0, 1])
    accumulator = ClassificationMetric(SINGLE, 2)
    accumulator.update(ids, predictions, references)
    ids[:], predictions[:], references[:] = 9, 0, 0
    assert accumulator.confusion_matrix().tolist() == [[1, 1], [1, 1]]


# ---- the values ----------------------------------------------------------------------------------


def values(accumulator):
    return {one.name: one.value for one in accumulator.compute()}


def test_single_label_values_are_scikit_learns_with_a_class_missing():
    rng = np.random.default_rng(5)
    predictions, references = rng.integers(0, 4, (2, 300))  # labels 4 and 5 never occur
    accumulator = ClassificationMetric(SINGLE, 6)
    accumulator.update(np.arange(300), predictions, references)
    average = {"average": "macro", "zero_division": 0}
    weighted = {"average": "weighted", "zero_division": 0}
    assert values(accumulator) == pytest.approx(
        {
            "accuracy": sk.accuracy_score(references, predictions),
            "f1_macro": sk.f1_score(references, predictions, **average),
            "precision_macro": sk.precision_score(references, predictions, **average),
            "recall_macro": sk.recall_score(references, predictions, **average),
            "f1_weighted": sk.f1_score(references, predictions, **weighted),
            "precision_weighted": sk.precision_score(references, predictions, **weighted),
            "recall_weighted": sk.recall_score(references, predictions, **weighted),
            "matthews_correlation": sk.matthews_corrcoef(references, predictions),
        }
    )
    want = sk.confusion_matrix(references, predictions, labels=range(6))
    assert accumulator.confusion_matrix().dtype == np.int64
    np.testing.assert_array_equal(accumulator.confusion_matrix(), want)


def test_multi_label_values_are_scikit_learns(monkeypatch):
    monkeypatch.setattr("tasks.metrics.classification._CHUNK", 3 * 11 * 16)  # 16 rows at a time
    rng = np.random.default_rng(6)
    predictions, references = (rng.random((2, 90, 11)) < 0.3).astype(int)
    predictions[::3] = references[::3]
    predictions[:, 10] = references[:, 10] = 0  # a label nobody has counts 0 in the macro average
    accumulator = ClassificationMetric(MULTI, 11)
    accumulator.update(np.arange(90), predictions, references)
    weighted = {"average": "weighted", "zero_division": 0}
    assert values(accumulator) == pytest.approx(
        {
            "accuracy": sk.accuracy_score(references, predictions),
            "f1_micro": sk.f1_score(references, predictions, average="micro"),
            "f1_macro": sk.f1_score(references, predictions, average="macro", zero_division=0),
            "precision_micro": sk.precision_score(references, predictions, average="micro"),
            "recall_micro": sk.recall_score(references, predictions, average="micro"),
            "f1_weighted": sk.f1_score(references, predictions, **weighted),
            "precision_weighted": sk.precision_score(references, predictions, **weighted),
            "recall_weighted": sk.recall_score(references, predictions, **weighted),
        }
    )


def test_regression_values_are_scipys():
    rng = np.random.default_rng(7)
    x = rng.normal(size=80)
    y = x + rng.normal(size=80)
    accumulator = ClassificationMetric(REGRESSION)
    accumulator.update(np.arange(80), y, x)
    assert values(accumulator) == pytest.approx(
        {
            "pearsonr": scipy.stats.pearsonr(y, x).statistic,
            "spearmanr": scipy.stats.spearmanr(y, x).statistic,
            "mse": ((y - x) ** 2).mean(),
        }
    )


# ---- one answer to everything --------------------------------------------------------------------


def counted(problem, predictions, references, labels=3):
    accumulator = ClassificationMetric(problem, labels)
    accumulator.update(np.arange(len(references)), np.array(predictions), np.array(references))
    return accumulator


def test_the_best_constant_answer_is_the_commonest_label():
    rng = np.random.default_rng(8)
    predictions, references = rng.integers(0, 4, 200), rng.choice(4, 200, p=[0.2, 0.1, 0.5, 0.2])
    accumulator = counted(SINGLE, predictions, references, 4)
    before = bits(accumulator)
    constant = accumulator.constant()
    assert constant.answer == 2
    assert constant.values == values(counted(SINGLE, [2] * 200, references, 4))
    assert constant.values["accuracy"] == (references == 2).mean() > 0.4
    assert constant.values["matthews_correlation"] == 0
    assert bits(accumulator) == before


def test_the_best_constant_answer_of_several_labels_is_the_commonest():
    references = [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 0]]
    constant = counted(MULTI, [[0, 0, 1]] * 4, references).constant()
    assert constant.answer == 1
    assert constant.values == values(counted(MULTI, [[0, 1, 0]] * 4, references))
    assert constant.values["accuracy"] == 0.5
    assert counted(MULTI, [[0, 0, 1]] * 2, [[0, 0, 0]] * 2).constant() is None


def test_the_best_constant_number_is_the_mean():
    references = np.random.default_rng(9).normal(3, 2, 50)
    constant = counted(REGRESSION, np.zeros(50), references).constant()
    assert constant.answer == pytest.approx(references.mean())
    assert constant.values["mse"] == pytest.approx(references.var())
    assert math.isnan(constant.values["pearsonr"]) and math.isnan(constant.values["spearmanr"])


def test_a_constant_answer_ranks_labels_by_how_common_they_are():
    references = np.array([0] * 9 + [1] * 2 + [2] * 3 + [3] * 4)
    ids, ranks = np.arange(len(references)), np.zeros(len(references), np.int64)
    accumulator = TopKMetric(4, 2)
    accumulator.update_ranked(ids, references, references, ranks)
    constant = accumulator.constant()
    assert constant.values["accuracy"] == 9 / 18 and constant.values["top2_accuracy"] == 13 / 18
    assert [one.value for one in accumulator.compute(draws=0)][:2] == [1, 1]


@pytest.mark.parametrize("problem", [SINGLE, MULTI, REGRESSION])
def test_nothing_has_no_answer(problem):
    accumulator = ClassificationMetric(problem, 2)
    assert accumulator.constant() is None and accumulator.only_answer() is None


@pytest.mark.parametrize(
    ("problem", "predictions", "references", "answer"),
    [
        (SINGLE, [1, 1, 1], [0, 1, 2], 1),
        (SINGLE, [1, 1, 0], [0, 1, 2], None),
        (SINGLE, [1, 1, 1], [1, 1, 1], None),  # as it should
        (SINGLE, [2, 2, 2], [1, 1, 1], None),  # there is but one answer to give
        (SINGLE, [1], [0], None),
        (MULTI, [[1, 0, 1]] * 2, [[1, 0, 1], [0, 0, 1]], (0, 2)),
        (MULTI, [[0, 0, 0]] * 2, [[1, 0, 1], [0, 0, 1]], ()),
        (MULTI, [[0, 1, 0], [0, 0, 0]], [[1, 0, 1], [0, 0, 1]], None),
        (REGRESSION, [2.5, 2.501, 2.499], [1.0, 2.0, 3.0], 2.5),
        (REGRESSION, [2.5, 2.6, 2.4], [1.0, 2.0, 3.0], None),
        (REGRESSION, [2.5, math.nan, 2.5], [1.0, 2.0, 3.0], None),
        (REGRESSION, [2.5, 2.5], [1.0, 1.0], None),
    ],
)
def test_the_only_answer(problem, predictions, references, answer):
    found = counted(problem, predictions, references).only_answer()
    assert found == (answer if answer is None else pytest.approx(answer))


# ---- each class ----------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", [SINGLE, MULTI])
def test_each_class_is_scikit_learns_with_an_interval(problem):
    rng = np.random.default_rng(10)
    if problem == SINGLE:
        references = rng.choice(5, 300, p=[0.5, 0.3, 0.15, 0.05, 0])  # nothing is of label 4
        predictions = np.where(rng.random(300) < 0.7, references, 0)
    else:
        references = rng.random((300, 5)) < [0.5, 0.3, 0.15, 0.05, 0]
        predictions = references & (rng.random((300, 5)) < 0.7)
        predictions[:, 0] |= rng.random(300) < 0.2
    rows = counted(problem, predictions, references, 5).class_estimates()
    columns = sk.precision_recall_fscore_support(
        references, predictions, labels=range(5), zero_division=0
    )
    for row, *numbers, n in zip(rows[:4], *columns, strict=False):
        expected = dict(zip(("precision", "recall", "f1"), numbers, strict=True))
        assert {name: one.value for name, one in row.items()} == pytest.approx(expected)
        assert {name: one.name for name, one in row.items()} == {name: name for name in row}
        for one in row.values():
            assert one.n == n
            assert one.low <= one.value <= one.high and one.low < one.high
        assert (row["recall"].method, row["f1"].method) == ("wilson", "bootstrap")
    assert rows[4] == {}


def test_a_class_that_is_never_predicted_has_no_precision():
    (first, second) = counted(SINGLE, [0, 0, 0], [0, 1, 1], 2).class_estimates()
    assert first["precision"].value == pytest.approx(1 / 3) and first["recall"].value == 1
    assert set(second) == {"recall", "f1"} and second["recall"].value == second["f1"].value == 0


def test_sample_statistics_come_in_the_order_of_ids():
    accumulator = ClassificationMetric(SINGLE, 3)
    accumulator.update(np.array([30, 10]), np.array([2, 1]), np.array([2, 2]))
    accumulator.update(np.array([20, 10]), np.array([0, 1]), np.array([0, 2]))
    ids, right = accumulator.sample_statistics("accuracy").ids, parts(accumulator, "accuracy")
    assert ids.tolist() == [10, 20, 30] and right.tolist() == [0, 1, 1]
    assert right.mean() == values(accumulator)["accuracy"]

    accumulator = ClassificationMetric(MULTI, 2)
    accumulator.update(np.array([2, 1]), np.array([[1, 0], [1, 1]]), np.array([[1, 0], [1, 0]]))
    assert parts(accumulator, "accuracy").tolist() == [0, 1]

    accumulator = ClassificationMetric(REGRESSION)
    accumulator.update(np.array([2, 1]), np.array([1.0, 5.0]), np.array([3.0, 5.5]))
    assert parts(accumulator, "mse").tolist() == [0.25, 4.0]


# ---- mistakes and names --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "predictions", "references", "error", "said"),
    [
        (SINGLE, [0, 3], [0, 1], UserError, "sample 6 has the prediction 3, .* from 0 to 2"),
        (SINGLE, [0, 1], [0, -100], UserError, "sample 6 has the reference -100"),
        (SINGLE, [0.1, 0.9], [0, 1], ValueError, "float64 are no single_label"),
        (SINGLE, [[0, 1, 2]] * 2, [0, 1], ValueError, r"predictions are \[2, 3\], not \[2\]"),
        (MULTI, [[0, 1, 0.5]] * 2, [[0, 1, 1]] * 2, UserError, "prediction 0.5.* 0 or 1"),
        (MULTI, [[0, 1]] * 2, [[0, 1]] * 2, ValueError, r"\[2, 2\], not \[2, 3\]"),
        (REGRESSION, [[1.0], [2.0]], [1.0, 2.0], ValueError, r"\[2, 1\], not \[2\]"),
    ],
)
def test_what_cannot_be_counted_is_said(problem, predictions, references, error, said):
    accumulator = ClassificationMetric(problem, 3)
    with pytest.raises(error, match=said):
        accumulator.update(np.array([5, 6]), np.array(predictions), np.array(references))
    assert len(accumulator) == 0


def test_ids_must_be_integers_and_the_problem_known():
    with pytest.raises(ValueError, match="ids must be integers"):
        ClassificationMetric(REGRESSION).update(np.array([0.5]), np.array([1.0]), np.array([1.0]))
    with pytest.raises(UserError, match="unknown problem type 'ranking'"):
        ClassificationMetric("ranking")
    with pytest.raises(UserError, match="at least 1"):
        ClassificationMetric(SINGLE, 0)
    with pytest.raises(ValueError, match="no confusion matrix"):
        ClassificationMetric(REGRESSION).confusion_matrix()


@pytest.mark.parametrize("problem", [SINGLE, MULTI, REGRESSION])
def test_the_main_metric_is_one_that_is_computed_and_every_one_has_a_direction(problem):
    accumulator = ClassificationMetric(problem, 2)
    names = [one.name for one in accumulator.compute()]
    assert metrics.primary_metric(problem).name in names
    assert metrics.primary_metric(problem).greater_is_better
    for name in names:
        assert metrics.metric_spec(name).greater_is_better == (name != "mse")


def test_unknown_names_are_the_users_mistake():
    assert not metrics.metric_spec("loss").greater_is_better
    with pytest.raises(UserError, match="unknown metric 'speed'"):
        metrics.metric_spec("speed")
    with pytest.raises(UserError, match="unknown problem type"):
        metrics.primary_metric("speed")


def test_measured_is_frozen_and_defaults_to_95_percent():
    one = MetricEstimate(
        name="mse", value=1.0, n=2, low=math.nan, high=math.nan, method="undefined"
    )
    assert one.level == 0.95
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.value = 2.0
