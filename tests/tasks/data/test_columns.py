"""Columns of a data set's splits: found in each, whatever the case of their letters."""

from typing import Any

import datasets
import pyarrow as pa
import pytest

from tasks.data import columns
from tasks.data.source import Source
from tasks.errors import UserError
from tasks.nlp.text_columns import canonical


def made(**splits: dict[str, list[Any]]) -> datasets.DatasetDict:
    return datasets.DatasetDict(
        {name: datasets.Dataset.from_dict(values) for name, values in splits.items()}
    )


TRAIN = {"id": [1, 2], "Text": ["a", "b"], "Target": ["x", "y"]}
WANTED = {"Text": "text", "Target": "label"}


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ({"Text": ["c"], "Target": ["x"]}, {"text": ["c"], "label": ["x"]}),
        ({"target": ["x"], "TEXT": ["c"], "more": [0]}, {"text": ["c"], "label": ["x"]}),
        ({"id": [3], "text": ["c"]}, {"text": ["c"], "label": [None]}),  # a test set of Kaggle's
        ({"text": ["d"], "Text": ["c"], "LABEL": ["x"]}, {"text": ["c"], "label": [None]}),
    ],
)
def test_each_split_may_write_them_in_its_own_way(
    test: dict[str, list[Any]], expected: dict[str, list[Any]]
) -> None:
    found = columns.select(made(train=TRAIN, test=test), WANTED, "data")
    assert found["train"].to_dict() == {"text": ["a", "b"], "label": ["x", "y"]}
    assert found["test"].to_dict() == expected
    assert found["test"].features["label"] == found["train"].features["label"]


def test_blanks_at_the_ends_of_a_name_do_not_count() -> None:
    """Nobody sees them in a spreadsheet; a name that is met exactly wins."""
    names = ["text ", " 情感 标签 ", "score", "score "]
    assert columns.find_column(names, None, ("text",), "text", "data") == "text "
    assert columns.find_column(names, "情感 标签", (), "label", "data") == " 情感 标签 "
    assert columns.find_column(names, "score ", (), "label", "data") == "score "
    test = {"Text ": ["c"], " target": ["x"]}
    found = columns.select(made(train=TRAIN, test=test), WANTED, "data")
    assert found["test"].to_dict() == {"text": ["c"], "label": ["x"]}


def test_a_split_without_its_text_is_refused() -> None:
    with pytest.raises(UserError) as error:
        columns.select(made(train=TRAIN, test={"body": ["c"]}), WANTED, "data")
    assert str(error.value) == (
        "test of data has no column 'Text', as its other splits have; its columns are body"
    )


def test_train_says_what_the_columns_are_called() -> None:
    assert columns.names_of(made(test={"a": [1]}, train=TRAIN)) == ["id", "Text", "Target"]
    assert columns.names_of(made(test={"a": [1]})) == ["a"]


# --- texts


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", None, ""], ["a", "", ""]),
        ([None, None], ["", ""]),
        (["1", "nan"], ["1", "nan"]),
    ],
)
def test_a_missing_text_is_an_empty_one(values: list[Any], expected: list[str]) -> None:
    splits = made(train={"text": values, "label": list(range(len(values)))})
    found = canonical(Source(splits, "data", ""), "text", label="label")["train"]
    assert list(found["text"]) == expected
    assert list(found["label"]) == list(range(len(values)))


@pytest.mark.parametrize(
    ("values", "kind"), [([1, 2], "int64"), ([0.5], "double"), ([True], "bool"), ([["a"]], "list")]
)
def test_what_is_no_text_is_refused(values: list[Any], kind: str) -> None:
    splits = made(train={"text": ["a"]}, test={"text": values})
    with pytest.raises(UserError, match=f"'text' of data holds {kind}.* in test, not texts: name"):
        canonical(Source(splits, "data", ""), "text")


def test_a_column_is_one_thing() -> None:
    with pytest.raises(UserError, match="the column 'Text' of data can't be two things at once"):
        canonical(Source(made(train=TRAIN), "data", ""), "Text", label="Text")


LISTS = pa.array([[1], [2, 3], [], [4]], pa.list_(pa.int64()))


@pytest.mark.parametrize("values", [pa.array([5, 6, 7, 8]), LISTS], ids=["numbers", "lists"])
@pytest.mark.parametrize("is_cut", [False, True])
def test_a_column_of_other_values(
    values: pa.Array, is_cut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of a split that was cut from a larger one are not copied."""
    monkeypatch.delattr(datasets.Dataset, "flatten_indices")
    rows = [4, 0, 2, 5] if is_cut else range(4)
    split = datasets.Dataset.from_dict({"label": list("abcdef"), "place": list(range(6))})
    split = split.select(rows)
    found = columns.with_column(split, "label", values)
    assert found.column_names == ["place", "label"] and len(found) == 4
    assert list(found) == [
        {"place": row, "label": value} for row, value in zip(rows, values.to_pylist(), strict=True)
    ]
    assert columns.values_of(found, "label").to_pylist() == values.to_pylist()
    assert found.select([3, 1])["label"][:] == [values.to_pylist()[i] for i in (3, 1)]
    again = columns.with_column(split, "label", values)
    assert again._fingerprint == found._fingerprint != split._fingerprint
