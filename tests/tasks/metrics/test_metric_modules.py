"""The metric modules against scikit-learn and scipy, and through `evaluate`'s own machinery."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import metrics
from tasks.errors import UserError
from tasks.metrics import arithmetic
from tasks.metrics.modules.accuracy import Accuracy
from tasks.metrics.modules.confusion_matrix import ConfusionMatrix
from tasks.metrics.modules.f1 import F1
from tasks.metrics.modules.matthews_correlation import MatthewsCorrelation
from tasks.metrics.modules.mse import MSE
from tasks.metrics.modules.pearsonr import PearsonR
from tasks.metrics.modules.precision import Precision
from tasks.metrics.modules.recall import Recall
from tasks.metrics.modules.spearmanr import SpearmanR
from tests.cli import run_program

ROOT = Path(__file__).resolve().parents[3]
SCORES = {
    "precision": (arithmetic.precision, sk.precision_score),
    "recall": (arithmetic.recall, sk.recall_score),
    "f1": (arithmetic.f1, sk.f1_score),
}
AVERAGES = ["micro", "macro", "weighted", None]

pairs = st.lists(st.tuples(st.integers(-2, 4), st.integers(-2, 4)), min_size=1, max_size=30)
labels_or_none = st.none() | st.lists(st.integers(-3, 5), min_size=1, max_size=5, unique=True)


def ours(name, predictions, references, **kwargs):
    arguments = {"labels": None, "pos_label": 1, "average": "binary"} | kwargs
    return arithmetic.label_score(SCORES[name][0], predictions, references, **arguments)


def theirs(name, predictions, references, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SCORES[name][1](references, predictions, zero_division=0, **kwargs)


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("name", SCORES)
@settings(max_examples=20)
@given(pairs=pairs, labels=labels_or_none)
def test_single_label_scores_are_scikit_learns(name, average, pairs, labels):
    predictions, references = map(list, zip(*pairs, strict=True))
    got = ours(name, predictions, references, labels=labels, average=average)
    want = theirs(name, predictions, references, labels=labels, average=average)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)
    assert np.shape(got) == np.shape(want)


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("name", SCORES)
@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 12), columns=st.integers(2, 9))
def test_multi_label_scores_are_scikit_learns(name, average, seed, n, columns):
    rng = np.random.default_rng(seed)
    predictions, references = (rng.random((2, n, columns)) < rng.random(columns)).astype(int)
    labels = rng.permutation(columns)[: rng.integers(1, columns + 1)].tolist()
    for pick in (None, labels):
        np.testing.assert_allclose(
            ours(name, predictions, references, labels=pick, average=average),
            theirs(name, predictions, references, labels=pick, average=average),
            rtol=0,
            atol=1e-12,
        )
    got = arithmetic.accuracy(predictions, references)
    assert got == pytest.approx(sk.accuracy_score(references, predictions), abs=1e-15)


@pytest.mark.parametrize("name", SCORES)
@settings(max_examples=20)
@given(
    values=st.tuples(st.integers(-3, 3), st.integers(-3, 3)),
    bits=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12),
    pos_label=st.integers(-3, 3),
)
def test_binary_scores_are_scikit_learns_errors_included(name, values, bits, pos_label):
    predictions, references = ([values[bit] for bit in side] for side in zip(*bits, strict=True))
    try:
        want = theirs(name, predictions, references, pos_label=pos_label)
    except ValueError:
        with pytest.raises(UserError, match="pos_label"):
            ours(name, predictions, references, pos_label=pos_label)
    else:
        assert ours(name, predictions, references, pos_label=pos_label) == pytest.approx(want)


@settings(max_examples=20)
@given(pairs=pairs)
def test_matthews_and_confusion_are_scikit_learns(pairs):
    predictions, references = (np.array(side) for side in zip(*pairs, strict=True))
    p, r, labels = arithmetic.encode(predictions, references)
    counts = arithmetic.count_codes(p, r, len(labels), np.ones(len(p), np.int64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = sk.matthews_corrcoef(references, predictions)
        matrix = sk.confusion_matrix(references, predictions)
    assert float(arithmetic.matthews_correlation(counts)) == pytest.approx(want, abs=1e-12)
    np.testing.assert_array_equal(arithmetic.confusion(p, r, len(labels)), matrix)


def test_matthews_does_not_overflow_on_many_samples():
    confusion = np.array([[600_000_000, 100_000_000], [50_000_000, 250_000_000]])
    counts = arithmetic.Counts(confusion.diagonal(), confusion.sum(0), confusion.sum(1))
    small = confusion // 50_000_000
    want = arithmetic.matthews_correlation(
        arithmetic.Counts(small.diagonal(), small.sum(0), small.sum(1))
    )
    assert float(arithmetic.matthews_correlation(counts)) == pytest.approx(float(want), rel=1e-12)


@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(3, 40),
    scale=st.sampled_from([1e-200, 1.0, 1e307]),
    ties=st.booleans(),
)
def test_correlations_are_scipys(seed, n, scale, ties):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, n))
    if ties:
        x, y = np.round(x * 2), np.round(y * 2)
        x[0], x[1], y[0], y[1] = 0, 1, 0, 1
    assert arithmetic.pearsonr(scale * x, y + x) == pytest.approx(
        scipy.stats.pearsonr(x, y + x).statistic, abs=1e-9
    )
    assert arithmetic.spearmanr(scale * x, y) == pytest.approx(
        scipy.stats.spearmanr(x, y).statistic, abs=1e-12
    )
    assert arithmetic.mse(x, y) == pytest.approx(sk.mean_squared_error(y, x), rel=1e-12)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([], []),
        ([1.0], [2.0]),
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]),
        ([1.0, 2.0, 3.0], [0.1, 0.1, 0.1]),
        ([0.0, 0.0], [0.0, 0.0]),
        ([1.0, float("nan"), 3.0], [1.0, 2.0, 3.0]),
    ],
)
def test_correlations_without_a_value_are_nan_and_silent(x, y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(arithmetic.pearsonr(np.array(x), np.array(y)))
        assert np.isnan(arithmetic.spearmanr(np.array(x), np.array(y)))


def test_mistakes_are_one_sentence():
    rows = [[0, 1], [1, 0]]
    for arguments, said in [
        (([0, 1, 2], [0, 1, 1], {}), "name another pos_label or average"),
        ((rows, rows, {}), "multi-label"),
        ((rows, rows, {"average": "macro", "labels": [0, 2]}), "2 columns"),
        ((rows, [[0, 1], [1, 2]], {"average": "macro"}), "0 and 1"),
        (([[0], [0, 1]], rows, {"average": "macro"}), "unequal length"),
        ((rows, [0, 1], {"average": "macro"}), r"\[2, 2\]"),
        (([0, 1], [0, 1], {"average": "mean"}), "binary, micro, macro, weighted or None"),
    ]:
        predictions, references, kwargs = arguments
        with pytest.raises(UserError, match=said):
            ours("f1", predictions, references, **kwargs)
    with pytest.raises(UserError, match="there is no metric 'rouge'"):
        metrics.path("rouge")


# ---- the modules ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("evaluate"))


def module(cls, cache):
    return cls(cache_dir=cache, keep_in_memory=True)


@pytest.mark.parametrize("multi", [False, True])
def test_modules_in_batches_give_scikit_learns_values(cache, multi):
    rng = np.random.default_rng(3)
    shape = (60, 5) if multi else (60,)
    predictions, references = rng.integers(0, 2 if multi else 4, (2, *shape))
    want = {
        Accuracy: ("accuracy", sk.accuracy_score(references, predictions)),
        Precision: ("precision", theirs("precision", predictions, references, average="macro")),
        Recall: ("recall", theirs("recall", predictions, references, average="macro")),
        F1: ("f1", theirs("f1", predictions, references, average="macro")),
    }
    if not multi:
        want[MatthewsCorrelation] = (
            "matthews_correlation",
            sk.matthews_corrcoef(references, predictions),
        )
    for cls, (name, value) in want.items():
        metric = module(cls, cache)
        for start in range(0, 60, 25):
            batch = slice(start, start + 25)
            metric.add_batch(predictions=predictions[batch], references=references[batch])
        kwargs = {"average": "macro"} if cls in (Precision, Recall, F1) else {}
        got = metric.compute(**kwargs)
        assert got == {name: pytest.approx(value, abs=1e-12)}
        assert isinstance(got[name], float)


def test_number_modules_in_batches(cache):
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(2, 50))
    want = {
        PearsonR: {"pearsonr": scipy.stats.pearsonr(x, y).statistic},
        SpearmanR: {"spearmanr": scipy.stats.spearmanr(x, y).statistic},
        MSE: {"mse": sk.mean_squared_error(y, x)},
    }
    for cls, value in want.items():
        metric = module(cls, cache)
        for start in range(0, 50, 20):
            batch = slice(start, start + 20)
            metric.add_batch(predictions=x[batch], references=y[batch])
        assert metric.compute() == pytest.approx(value, abs=1e-12)


def test_confusion_matrix_module_takes_labels(cache):
    predictions, references = [0, 2, 2, 5, 0], [0, 2, 0, 5, 5]
    for labels in (None, [5, 0], [2, 7, 0]):
        got = module(ConfusionMatrix, cache).compute(
            predictions=predictions, references=references, labels=labels
        )
        want = sk.confusion_matrix(references, predictions, labels=labels)
        np.testing.assert_array_equal(got["confusion_matrix"], want)


def test_combined_modules_pass_arguments_on(cache):
    import evaluate

    combined = evaluate.combine([module(cls, cache) for cls in (F1, Precision, Recall)])
    combined.add(prediction=2, reference=0)
    combined.add_batch(predictions=[0, 1, 2], references=[0, 1, 1])
    predictions, references = [2, 0, 1, 2], [0, 0, 1, 1]
    want = {name: theirs(name, predictions, references, average="macro") for name in SCORES}
    assert combined.compute(average="macro") == pytest.approx(want)


# ---- through evaluate.load -----------------------------------------------------------------------

LOAD_ALL = """
import json, os, sys, traceback
from tasks import metrics  # first: it mends torchvision, which evaluate imports
import evaluate

def load_all(who):
    paths = {name: str(metrics.path(name)) for name in metrics.NAMES}
    out = {}
    for name in metrics.NAMES:
        metric = evaluate.load(paths[name], experiment_id=who)
        kind = str if name in ("wer", "cer") else int
        sides = {"predictions": [0, 1, 1, 1], "references": [0, 1, 0, 1]}
        sides = {side: [kind(value) for value in values] for side, values in sides.items()}
        value = metric.compute(**sides)[name]
        out["load " + name] = value.tolist() if hasattr(value, "tolist") else value
    pair = [evaluate.load(paths[name], experiment_id=who) for name in ("accuracy", "f1")]
    both = evaluate.combine(pair)
    both.add_batch(predictions=[0, 1], references=[0, 1])
    both.add_batch(predictions=[1, 1], references=[0, 1])
    out |= both.compute()
    with open(who, "w") as file:
        json.dump(out, file)

children = []
for who in ("first", "second"):  # forked after the slow imports, so that both load at once
    children.append(os.fork())
    if children[-1] == 0:
        try:
            load_all(who)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
codes = [os.waitpid(child, 0)[1] for child in children]
assert metrics.load("mse").compute(predictions=[1.0], references=[3.0]) == {"mse": 4.0}
sys.exit(any(codes))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_two_processes_load_every_module_offline_into_one_fresh_cache(tmp_path):
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "HF_EVALUATE_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "home"),
        "HF_MODULES_CACHE": str(tmp_path / "modules"),
        "HF_EVALUATE_CACHE": str(tmp_path / "evaluate"),
        "OMP_NUM_THREADS": "1",
    }
    run = subprocess.run(
        [sys.executable, "-c", LOAD_ALL],
        env=environment,
        cwd=tmp_path,  # not the checkout: the copies in the cache must find `tasks`
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    first, second = (json.loads((tmp_path / who).read_text()) for who in ("first", "second"))
    assert first == second
    assert first["accuracy"] == 0.75
    assert first["f1"] == pytest.approx(0.8)
    assert first["load confusion_matrix"] == [[1, 1], [0, 2]]
    assert first["load matthews_correlation"] == pytest.approx(1 / 3**0.5)
    assert first["load pearsonr"] == pytest.approx(1 / 3**0.5)
    assert first["load mse"] == 0.25
    # The copies it made in the cache are what it ran.
    copies = {path.stem for path in (tmp_path / "modules").rglob("*.py")}
    assert set(metrics.NAMES) <= copies


def test_importing_the_package_stays_light():
    code = (
        "import sys, tasks.metrics; heavy = {'torch', 'evaluate', 'datasets', 'sklearn', 'scipy'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = run_program(code)
    assert run.out.strip() == "[]"
