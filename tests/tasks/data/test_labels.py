"""Labels: their order, what is no label, and splits that have none."""

import itertools
from typing import Any

import datasets
import pyarrow as pa
import pytest

from tasks.data.labels import are_numbers, encode_labels, in_order, label_names, unlabelled
from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.kinds.classification import LabelArgs, encode

SINGLE, MULTI = "single_label_classification", "multi_label_classification"
CODES = datasets.ClassLabel(names=["neg", "pos"])


def splits(feature: Any = None, **values: list[Any]) -> datasets.DatasetDict:
    """Splits with a column id and one of labels."""
    made = {}
    for name, labels in values.items():
        columns = {"id": list(range(len(labels))), "label": labels}
        if feature is None:
            made[name] = datasets.Dataset.from_dict(columns)
            continue
        features = datasets.Features({"id": datasets.Value("int64"), "label": feature})
        # as it comes out of a file: `from_dict` looks at codes, a reader does not
        made[name] = datasets.Dataset(pa.table(columns, schema=features.arrow_schema))
    return datasets.DatasetDict(made)


def refusal(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(UserError) as error:
        encode_labels(*args, **kwargs)
    assert "\n" not in str(error.value)
    return str(error.value)


# --- names and their order


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["10", "9", "nan", "2"], ["2", "9", "10", "nan"]),
        (["inf", "1", "-inf", "0"], ["0", "1", "-inf", "inf"]),
        (["1_000", "20", "3"], ["3", "20", "1_000"]),
        (["١٢", "20", "3"], ["3", "20", "١٢"]),
        ([" 1", "2", "1"], ["1", "2", " 1"]),
        (["1.0", "1", "01"], ["01", "1", "1.0"]),
        (["-1", "1e1", "2.5", ".5"], ["-1", ".5", "2.5", "1e1"]),
    ],
)
def test_the_order_of_classes_is_no_matter_of_chance(names: list[str], expected: list[str]) -> None:
    """A set comes in another order with every PYTHONHASHSEED."""
    for order in itertools.permutations(names):
        assert in_order(order) == expected


def test_what_is_missing_is_no_class() -> None:
    floats = splits(train=[1.0, float("nan"), 2.0, float("nan")])
    assert label_names(floats, SINGLE) == ["1.0", "2.0"]
    assert label_names(splits(train=["a", "", None, "b", " "]), SINGLE) == ["a", "b"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["0.5", "1", "2", "3", "4", "5"], True),
        (["0.5", "1", "2", "3", "4", ""], False),  # five numbers
        (["0.5", "1", "2", "3", "4", "5", ""], True),
        (["1", "2", "3", "4", "5", "nan"], False),
        (["1", "2", "3", "4", "5", "inf"], False),
        (["1", "2", "3", "4", "5", "1_0.5"], False),
        (["1", "2", "3", "4", "5", "6"], False),
    ],
)
def test_which_texts_are_numbers_to_regress_on(values: list[str], expected: bool) -> None:
    assert are_numbers(values) is expected


# --- codes


@pytest.mark.parametrize(
    ("feature", "values", "problem", "expected"),
    [
        (CODES, [0, 1, -1], SINGLE, 'train, row 3: the label is -1, which stands for "not label'),
        (
            CODES,
            [0, 1, 2],
            SINGLE,
            "train, row 3: the label is 2, and the 2 classes have the codes",
        ),
        (CODES, [0, None], SINGLE, "train, row 2: the label is empty"),
        (datasets.List(CODES), [[0], [1, -1]], MULTI, "train, row 2: the label is -1"),
        (datasets.List(CODES), [[0, 1], [7]], MULTI, "train, row 2: the label is 7"),
        (datasets.List(CODES), [[0, 1], None], MULTI, "train, row 2: the label is empty"),
        (None, ["a", "b", "  "], SINGLE, "train, row 3: the label is empty"),
        (None, [[], ["a", None], ["b"]], MULTI, "train, row 2: the label is empty"),
        (None, ["1", "nan"], "regression", "train, row 2: the label 'nan' is no number"),
        (None, ["1", "1_000"], "regression", "train, row 2: the label '1_000' is no number"),
        (None, [1.0, float("inf")], "regression", "train, row 2: the label inf is no finite"),
    ],
)
def test_labels_that_are_none_are_refused(
    feature: Any, values: list[Any], problem: Any, expected: str
) -> None:
    made = splits(feature, train=values)
    labels = [] if problem == "regression" else ["neg", "pos", "a", "b"]
    assert expected in refusal(made, labels, problem)


def test_codes_are_those_of_each_splits_own_names() -> None:
    other = datasets.ClassLabel(names=["pos", "neg"])
    made = splits(CODES, train=[0, 1, 1]) | splits(other, test=[0, 1])
    made = datasets.DatasetDict(made) | splits(validation=["neg", "pos"])
    encoded, counts = encode_labels(datasets.DatasetDict(made), ["neg", "pos"], SINGLE)
    assert {name: list(split["label"]) for name, split in encoded.items()} == {
        "train": [0, 1, 1],
        "test": [1, 0],
        "validation": [0, 1],
    }
    assert counts == [1, 2]


def test_a_label_that_differs_by_blanks_is_named() -> None:
    made = splits(test=["pos "])
    assert refusal(made, ["neg", "pos"], SINGLE).endswith("('pos' differs from it by blanks only)")


# --- splits without labels


@pytest.mark.parametrize(
    ("feature", "train", "test"),
    [
        (CODES, [0, 1], [-1, -1]),
        (CODES, [0, 1], [None, None]),
        (CODES, [0, 1], [-1, None]),
        (datasets.List(CODES), [[0], [1]], [[-1], [-1, -1]]),
        (datasets.List(CODES), [[0], []], [[], []]),
        (datasets.Value("string"), ["a", "b"], ["", " "]),
        (datasets.Value("string"), ["0", "1"], ["-1", "-1"]),  # GLUE written as csv
        (datasets.Value("int64"), [0, 1], [-1, -1]),
        (datasets.Value("float32"), [0.0, 4.5], [-1.0, -1.0]),  # STS-B
        (datasets.Value("float32"), [0.0, 4.5], [float("nan"), None]),
    ],
)
def test_a_split_without_labels_is_found(feature: Any, train: list[Any], test: list[Any]) -> None:
    assert unlabelled(splits(feature, train=train, test=test, validation=train)) == ["test"]


@pytest.mark.parametrize(
    ("feature", "train", "test"),
    [
        (CODES, [-1, -1], [0, -1]),  # in part: that is a mistake, and is refused
        (datasets.Value("int64"), [-1, 1], [-1, -1]),  # a class like any other
        (datasets.Value("string"), ["-1", "1"], ["-1"]),
        (datasets.Value("float32"), [-1.0, 4.5], [-1.0, -1.0]),
    ],
)
def test_a_split_with_labels_is_none_of_these(
    feature: Any, train: list[Any], test: list[Any]
) -> None:
    assert unlabelled(splits(feature, train=train, test=test)) == []


def test_nothing_is_cut_in_its_place_and_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    made = splits(CODES, train=[0, 1] * 20, validation=[0, 1] * 5, test=[-1] * 7)
    found = encode(LabelArgs(), DataArgs(), made)
    assert {name: split.num_rows for name, split in found.splits.items()} == {
        "train": 40,
        "validation": 10,
    }
    assert found.labels == ("neg", "pos")
    assert capsys.readouterr().err.startswith(
        "warning: test has no labels in any of its 7 rows: nothing is measured on it"
    )


def test_rows_are_counted_as_they_were_given() -> None:
    made = splits(train=["a", "b"] * 20 + [None] + ["a"] * 9)
    with pytest.raises(UserError, match="train, row 41: the label is empty"):
        encode(LabelArgs(), DataArgs(max_train_samples=4), made)


def test_minus_one_is_no_class_of_other_columns_either() -> None:
    made = splits(train=["0", "1"] * 9, test=["-1"] * 4)
    assert encode(LabelArgs(), DataArgs(), made).labels == ("0", "1")
