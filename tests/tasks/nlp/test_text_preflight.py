"""The checks of texts and labels: each mistake is found and counted, and sound data pass."""

import math
from typing import Any

import datasets
import numpy as np
import pytest

from tasks.nlp import text_preflight
from tasks.preflight import Finding


def check(
    problem_type: str = "single_label_classification",
    lengths: dict[str, Any] | None = None,
    names: list[str] | None = None,
    **splits: list[tuple[Any, Any]],
) -> list[Finding]:
    made = datasets.DatasetDict(
        {
            name: datasets.Dataset.from_dict(
                {"text": [row[0] for row in rows], "label": [row[1] for row in rows]}
            )
            for name, rows in splits.items()
        }
    )
    lengths = {name: np.array(values) for name, values in (lengths or {}).items()}
    findings = text_preflight.check(made, ["text"], "label", lengths, 8, problem_type, names)
    assert all("\n" not in finding.message for finding in findings)
    return findings


def rows(prefix: str, labels: list[Any]) -> list[tuple[str, Any]]:
    return [(f"{prefix} {place}", label) for place, label in enumerate(labels)]


SOUND = {"train": rows("train", ["a", "b"] * 10), "test": rows("test", ["a", "b"] * 3)}


def changed(split: str, *more: tuple[Any, Any]) -> dict[str, list[tuple[Any, Any]]]:
    return SOUND | {split: [*SOUND[split], *more]}


def test_sound_data_pass() -> None:
    assert check(**SOUND, lengths={"train": [8] * 20}) == []
    assert check("regression", train=rows("train", [0.5, 1.5]), test=rows("test", [9.0])) == []
    several = [["a"], ["b"], ["a", "b"], []]
    assert check("multi_label_classification", train=rows("x", several)) == []
    thirty = [f"class {place}" for place in range(30)]
    assert check(train=rows("train", thirty * 4)) == []


@pytest.mark.parametrize(
    ("splits", "level", "message"),
    [
        (
            changed("train", (" \n", "a"), (None, "b")),
            "warning",
            "train: 2 rows with an empty text, the first is 21",
        ),
        (
            changed("test", ("train  3", "b")),
            "warning",
            "1 text of test also in train: what is measured there is too good",
        ),
        (
            changed("train", ("train 0", "a"), ("train 0", "a")),
            "warning",
            "train: 2 rows repeat a text of the same split",
        ),
        (
            changed("test", ("test 0", "b")),
            "warning",
            "1 text with different labels in different rows",
        ),
        (
            changed("test", ("new", "c"), ("newer", "d"), ("newest", "c")),
            "error",
            "test has labels that train never shows: c, d (in 3 rows)",
        ),
        (changed("train", ("new", "c")), "warning", "test has no example of c"),
        (changed("train", ("new", None)), "error", "train: 1 row without a label, the first is 21"),
        (
            {"train": rows("train", ["a"] * 5)},
            "error",
            "train has only the class a, and a classifier needs two or more",
        ),
        (
            {"train": rows("train", ["a"] * 22 + ["b"] * 2)},
            "warning",
            "train is out of balance: b has 2 rows (8.3%), a has 22 (91.7%), 11.0 times as many",
        ),
        (
            {"train": rows("train", ["a"] * 20 + ["b"] * 20 + ["c"])},
            "warning",
            "train is out of balance: c has 1 row (2.4%), a has 20 (48.8%), 20.0 times as many",
        ),
    ],
)
def test_each_mistake_is_found(
    splits: dict[str, list[tuple[Any, Any]]], level: Any, message: str
) -> None:
    assert Finding(level, message) in check(**splits)


def test_texts_that_are_all_empty() -> None:
    found = check(train=[("", "a"), (" ", "b")], test=[("", "a"), ("x", "b")])
    assert Finding("error", "train: all 2 rows have an empty text") in found
    assert Finding("warning", "test: 1 row with an empty text, the first is 1") in found


def test_texts_that_the_tokenizer_cannot_read() -> None:
    made = datasets.DatasetDict(
        {name: datasets.Dataset.from_dict({"text": ["a", "b"]}) for name in ("train", "test")}
    )

    def told(train: float, test: float) -> list[str]:
        shares = {"train": train, "test": test}
        found = text_preflight.check(made, ["text"], None, {}, 8, None, unknown_shares=shares)
        assert all(finding.level == "warning" for finding in found)
        return [finding.message for finding in found if "[UNK]" in finding.message]

    assert told(0.049, 0.0) == []
    (message,) = told(0.6412, 0.6)
    assert "of the tokens, 64.1% of train, 60.0% of test are unknown ([UNK])" in message
    assert "`model` bert-base-chinese" in message and "rnn_cls" in message
    assert len(told(0.0, 0.05)) == 1


@pytest.mark.parametrize(
    ("labels", "level", "message"),
    [
        (
            ["pos", "pos ", "neg", "pos"],
            "warning",
            "train has classes that differ by blanks or unseen signs only: 'pos' (2 rows), 'pos '"
            " (1 row); if they are one, write them alike",
        ),
        (
            ["\u00e9", "e\u0301", "\ufeffx", "x"],
            "warning",
            "train has classes that differ by blanks or unseen signs only: 'x' (1 row),"
            " '\\ufeffx' (1 row); if they are one, write them alike",
        ),
        (
            ["1", "2", "nan", "2"],
            "warning",
            "train has 1 row with the label 'nan', which is how tables write a missing value, and"
            " here a class like any other: leave such rows out if it is none",
        ),
    ],
)
def test_classes_whose_names_look_wrong(labels: list[str], level: Any, message: str) -> None:
    assert Finding(level, message) in check(train=rows("train", labels))


def test_classes_that_differ_by_more_than_blanks_pass() -> None:
    assert check(train=rows("train", ["a", "A", "a b", "ab"] * 5)) == []


def test_an_unknown_class_that_differs_by_blanks_is_quoted() -> None:
    (found,) = [f for f in check(**changed("test", ("new", "b "))) if f.level == "error"]
    assert found.message == "test has labels that train never shows: 'b ' (in 1 row)"


def test_validation_and_test_in_common_is_no_leak_from_train() -> None:
    findings = check(**SOUND, validation=[("test 0", "a"), ("x", "b")])
    assert [finding.message for finding in findings] == ["1 text of validation also in test"]


def test_truncation() -> None:
    findings = check(**SOUND, lengths={"train": [9, 8, 8, 20], "test": [8] * 6})
    assert findings == [
        Finding(
            "warning",
            "train: 50.0% of the texts are longer than 8 tokens (the longest has 20)",
        )
    ]


def test_pairs_count_as_one_text() -> None:
    split = datasets.Dataset.from_dict(
        {"text": ["a", "a", "b"], "pair": ["x", "y", ""], "label": [0, 1, 0]}
    )
    findings = text_preflight.check(
        datasets.DatasetDict({"train": split}),
        ["text", "pair"],
        "label",
        {},
        8,
        "single_label_classification",
    )
    assert [finding.message for finding in findings] == [
        "train: 1 row with an empty text, the first is 3"
    ]


def test_errors_come_first_and_labels_go_by_their_names() -> None:
    test = [*rows("test", [0, 1]), ("", 2)]
    findings = check(train=rows("train", [0, 1]), test=test, names=["no", "yes", "maybe"])
    assert [finding.level for finding in findings] == ["error", "warning"]
    assert findings[0].message == "test has labels that train never shows: maybe (in 1 row)"


def test_numbers() -> None:
    findings = check("regression", train=rows("train", [1.0, math.nan, None, 2.0, math.inf]))
    assert findings == [
        Finding("error", "train: 3 rows with a label that is no finite number, the first is 2")
    ]
    (constant,) = check("regression", train=rows("train", [1.5, 1.5]))
    assert constant == Finding("error", "train: every label is 1.5, so there is nothing to learn")


def test_several_numbers_of_different_size() -> None:
    values = [[1.0, 100.0], [2.0, 300.0], [3.0, 200.0]]
    train = [("a", values[0]), ("b", values[1]), ("c", values[2])]
    (finding,) = check("regression", train=train, names=["width", "price"])
    assert finding.level == "warning"
    assert finding.message == (
        "train: price varies 100 times as much as width (standard deviations 81.6 and 0.816), so"
        " the loss is hardly about width: bring them to one scale"
    )
    same = [("a", [1.0, 5.0]), ("b", [2.0, 5.0])]
    (finding,) = check("regression", train=same, names=["width", "price"])
    assert finding == Finding(
        "error", "train: every label of price is 5, so there is nothing to learn"
    )


def test_several_labels_a_row() -> None:
    findings = check(
        "multi_label_classification",
        train=rows("train", [["a", "b"], ["a"], ["b"]]),
        test=rows("test", [["a", "c"], ["b"], []]),
    )
    assert findings == [Finding("error", "test has labels that train never shows: c (in 1 row)")]
    (empty,) = check("multi_label_classification", train=rows("train", [[], []]))
    assert empty == Finding("error", "train has no labels at all")
