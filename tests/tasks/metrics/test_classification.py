"""The tally: one process or many, any order, duplicates or not, to the last bit."""

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
from tasks.metrics.classification import Tally
from tasks.metrics.intervals import Measured

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


def parts(tally, metric):
    """The numbers whose mean a metric is."""
    return tally.sample_statistics(metric).rows[:, 0]


def bits(tally):
    """Everything a tally says, as bytes: nan equals nan, and 0.0 is not -0.0."""
    out = [array.tobytes() for array in tally.state().values()]
    for one in tally.compute():
        out.append(np.array([one.value, one.low, one.high]).tobytes())
        out.append((one.name, one.n, one.method))
    for one in tally.compute():
        statistics = tally.sample_statistics(one.name)
        out += [statistics.ids.tobytes(), statistics.rows.tobytes()]
    if tally.problem_type == SINGLE:
        out.append(tally.confusion_matrix().tobytes())
    return out


@pytest.mark.parametrize("problem", [SINGLE, MULTI, REGRESSION])
@settings(max_examples=25, deadline=None)
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
    one = Tally(problem, labels)
    one.update(ids, predictions, references)

    states = []
    for rank in range(ranks):
        tally = Tally(problem, labels)
        # Each rank's share, padded with samples that other ranks have as well.
        mine = np.concatenate([np.arange(rank, n, ranks), rng.integers(0, n, 3)])
        rng.shuffle(mine)
        for start in range(0, len(mine), batch):
            part = mine[start : start + batch]
            tally.update(ids[part], predictions[part], references[part])
            if rng.random() < 0.3:
                assert len(tally) <= n  # looking in between changes nothing
        states.append(tally.state())
    rng.shuffle(states)
    merged = Tally(problem, labels).merge(states)
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
        tally = Tally(problem, 2)
        tally.update(ids, predictions, references)
        states.append(tally.state())
    assert states[0]["predictions"].tobytes() != states[1]["predictions"].tobytes()
    forth, back = (Tally(problem, 2).merge(each) for each in (states, states[::-1]))
    assert len(forth) == 3
    assert bits(forth) == bits(back)


@pytest.mark.parametrize("problem", [SINGLE, MULTI, REGRESSION])
def test_one_id_with_two_references_is_refused(problem):
    tally = Tally(problem, 2)
    for references in ([0, 1], [0, 0]):
        values = np.array(references, np.float64 if problem == REGRESSION else np.int64)
        if problem == MULTI:
            values = np.eye(2)[values]
        tally.update(np.array([4, 5]), values, values)
    with pytest.raises(UserError, match="sample 5 came with two different references"):
        tally.compute()


def test_states_of_unlike_tallies_do_not_merge():
    with pytest.raises(ValueError, match="cannot merge"):
        Tally(SINGLE, 2).merge([Tally(SINGLE, 2).state(), Tally(SINGLE, 3).state()])
    with pytest.raises(ValueError, match="cannot merge 0 states"):
        Tally(SINGLE, 2).merge([])


def test_state_survives_safetensors_and_holds_compact_numbers():
    from safetensors.numpy import load, save

    rng = np.random.default_rng(0)
    kept = {}
    for problem, labels in [(SINGLE, 5), (SINGLE, 1000), (MULTI, 20), (REGRESSION, 1)]:
        tally = Tally(problem, labels)
        tally.update(np.arange(50), *samples(problem, 50, labels, rng))
        assert bits(Tally(problem, labels).merge([load(save(tally.state()))])) == bits(tally)
        kept[problem, labels] = tally.state()["predictions"].nbytes / 50
    assert list(kept.values()) == [1, 2, 3, 8]  # bytes a sample


def test_update_keeps_copies():
    ids, predictions, references = np.arange(4), np.array([0, 1, 1, 0]), np.array([0, 1, 0, 1])
    tally = Tally(SINGLE, 2)
    tally.update(ids, predictions, references)
    ids[:], predictions[:], references[:] = 9, 0, 0
    assert tally.confusion_matrix().tolist() == [[1, 1], [1, 1]]


# ---- the values ----------------------------------------------------------------------------------


def values(tally):
    return {one.name: one.value for one in tally.compute()}


def test_single_label_values_are_scikit_learns_with_a_class_missing():
    rng = np.random.default_rng(5)
    predictions, references = rng.integers(0, 4, (2, 300))  # labels 4 and 5 never occur
    tally = Tally(SINGLE, 6)
    tally.update(np.arange(300), predictions, references)
    average = {"average": "macro", "zero_division": 0}
    assert values(tally) == pytest.approx(
        {
            "accuracy": sk.accuracy_score(references, predictions),
            "f1_macro": sk.f1_score(references, predictions, **average),
            "precision_macro": sk.precision_score(references, predictions, **average),
            "recall_macro": sk.recall_score(references, predictions, **average),
            "matthews_correlation": sk.matthews_corrcoef(references, predictions),
        }
    )
    want = sk.confusion_matrix(references, predictions, labels=range(6))
    assert tally.confusion_matrix().dtype == np.int64
    np.testing.assert_array_equal(tally.confusion_matrix(), want)


def test_multi_label_values_are_scikit_learns(monkeypatch):
    monkeypatch.setattr("tasks.metrics.classification._CHUNK", 3 * 11 * 16)  # 16 rows at a time
    rng = np.random.default_rng(6)
    predictions, references = (rng.random((2, 90, 11)) < 0.3).astype(int)
    predictions[::3] = references[::3]
    predictions[:, 10] = references[:, 10] = 0  # a label nobody has counts 0 in the macro average
    tally = Tally(MULTI, 11)
    tally.update(np.arange(90), predictions, references)
    assert values(tally) == pytest.approx(
        {
            "accuracy": sk.accuracy_score(references, predictions),
            "f1_micro": sk.f1_score(references, predictions, average="micro"),
            "f1_macro": sk.f1_score(references, predictions, average="macro", zero_division=0),
            "precision_micro": sk.precision_score(references, predictions, average="micro"),
            "recall_micro": sk.recall_score(references, predictions, average="micro"),
        }
    )


def test_regression_values_are_scipys():
    rng = np.random.default_rng(7)
    x = rng.normal(size=80)
    y = x + rng.normal(size=80)
    tally = Tally(REGRESSION)
    tally.update(np.arange(80), y, x)
    assert values(tally) == pytest.approx(
        {
            "pearsonr": scipy.stats.pearsonr(y, x).statistic,
            "spearmanr": scipy.stats.spearmanr(y, x).statistic,
            "mse": ((y - x) ** 2).mean(),
        }
    )


def test_sample_statistics_come_in_the_order_of_ids():
    tally = Tally(SINGLE, 3)
    tally.update(np.array([30, 10]), np.array([2, 1]), np.array([2, 2]))
    tally.update(np.array([20, 10]), np.array([0, 1]), np.array([0, 2]))
    ids, right = tally.sample_statistics("accuracy").ids, parts(tally, "accuracy")
    assert ids.tolist() == [10, 20, 30] and right.tolist() == [0, 1, 1]
    assert right.mean() == values(tally)["accuracy"]

    tally = Tally(MULTI, 2)
    tally.update(np.array([2, 1]), np.array([[1, 0], [1, 1]]), np.array([[1, 0], [1, 0]]))
    assert parts(tally, "accuracy").tolist() == [0, 1]

    tally = Tally(REGRESSION)
    tally.update(np.array([2, 1]), np.array([1.0, 5.0]), np.array([3.0, 5.5]))
    assert parts(tally, "mse").tolist() == [0.25, 4.0]


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
    tally = Tally(problem, 3)
    with pytest.raises(error, match=said):
        tally.update(np.array([5, 6]), np.array(predictions), np.array(references))
    assert len(tally) == 0


def test_ids_must_be_integers_and_the_problem_known():
    with pytest.raises(ValueError, match="ids must be integers"):
        Tally(REGRESSION).update(np.array([0.5]), np.array([1.0]), np.array([1.0]))
    with pytest.raises(UserError, match="unknown problem type 'ranking'"):
        Tally("ranking")
    with pytest.raises(UserError, match="at least 1"):
        Tally(SINGLE, 0)
    with pytest.raises(ValueError, match="no confusion matrix"):
        Tally(REGRESSION).confusion_matrix()


@pytest.mark.parametrize("problem", [SINGLE, MULTI, REGRESSION])
def test_the_main_metric_is_one_that_is_computed_and_every_one_has_a_direction(problem):
    tally = Tally(problem, 2)
    names = [one.name for one in tally.compute()]
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
    one = Measured(name="mse", value=1.0, n=2, low=math.nan, high=math.nan, method="undefined")
    assert one.level == 0.95
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.value = 2.0
