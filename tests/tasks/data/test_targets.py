"""Several numbers to predict: how their columns are named, read, and refused."""

import math
from pathlib import Path

import datasets
import pytest

from tasks.data import label_checks
from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.nlp import text_classification
from tasks.nlp.text_classification import Args, TextClassification

HEADER = "text,width,Height\n"
ROWS = "".join(f"box {i},{i}.5,{2 * i}\n" for i in range(12))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))


def made(path: Path, content: str, **args: str):
    path.write_text(content)
    data = DataArgs(data=str(path), validation_size=0, test_size=0)
    return text_classification.from_data(Args(**args), data)


def refusal(path: Path, content: str, **args: str) -> str:
    with pytest.raises(UserError) as error:
        made(path, content, **args)
    return str(error.value)


def test_columns_with_commas(tmp_path: Path) -> None:
    task, examples = made(tmp_path / "a.csv", HEADER + ROWS, label_column="height, width")
    assert (task.labels, task.problem_type, task.classes) == (
        ("Height", "width"),
        "regression",
        (),
    )
    assert examples.splits["train"]["label"][3] == [6.0, 3.5]
    assert task.model_config() == {
        "num_labels": 2,
        "problem_type": "regression",
        "id2label": {0: "Height", 1: "width"},
        "label2id": {"Height": 0, "width": 1},
    }
    again = text_classification.from_config(task.config())
    assert isinstance(again, TextClassification) and again.labels == task.labels


@pytest.mark.parametrize("asked", ["auto", "regression"])
def test_lists_of_decimal_numbers(tmp_path: Path, asked: str) -> None:
    rows = "".join(f'{{"text": "box {i}", "label": [{i}.5, {i}]}}\n' for i in range(4))
    task, examples = made(tmp_path / "a.jsonl", rows, problem_type=asked)
    assert (task.labels, task.problem_type) == (("label_0", "label_1"), "regression")
    assert examples.splits["train"]["label"][1] == [1.5, 1.0]


def test_lists_of_whole_numbers_are_labels_as_ever(tmp_path: Path) -> None:
    rows = "".join(f'{{"text": "box {i}", "label": [{i % 2}, 7]}}\n' for i in range(4))
    task, _ = made(tmp_path / "a.jsonl", rows)
    assert (task.labels, task.problem_type) == (("0", "1", "7"), "multi_label_classification")


def test_a_column_whose_own_name_has_a_comma(tmp_path: Path) -> None:
    task, _ = made(tmp_path / "a.csv", 'text,"a,b"\nx,yes\ny,no\n', label_column="a,b")
    assert task.labels == ("no", "yes")


def test_evaluation_reads_them_in_the_order_of_training(tmp_path: Path) -> None:
    task, examples = made(tmp_path / "a.csv", HEADER + ROWS, label_column="width,Height")
    other = tmp_path / "other.csv"
    other.write_text("HEIGHT,text,width\n7,box,3\n")
    found = text_classification.for_evaluation(task, DataArgs(data=str(other)), None, "")
    assert found.splits["train"]["label"] == [[3.0, 7.0]]
    assert examples.splits["train"]["label"][0] == [0.5, 0.0]


def test_a_test_without_numbers_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train.csv").write_text(HEADER + ROWS)
    (tmp_path / "test.csv").write_text("text\nbox\n")
    data = DataArgs(data=str(tmp_path), validation_size=0)
    _, examples = text_classification.from_data(Args(label_column="width,Height"), data)
    assert list(examples.splits) == ["train"] and examples.unlabelled == {"test": 1}
    assert "test has no labels in any of its 1 rows" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "args", "said"),
    [
        (HEADER + "a,1,x\n", {}, "train, row 1: Height: the label 'x' is no number"),
        (HEADER + "a,1,2\nb,1,\n", {}, "train, row 2: Height: the label is empty"),
        (HEADER + "a,1,2\n", {"label_column": "width,width"}, "names the column 'width' twice"),
        (HEADER + "a,1,2\n", {"label_column": "width,depth"}, "no column 'depth' for the label"),
        (
            HEADER + "a,1,2\n",
            {"problem_type": "multi_label"},
            "`problem_type` multi_label wants one column of labels, and these are several",
        ),
    ],
)
def test_refusals(tmp_path: Path, content: str, args: dict[str, str], said: str) -> None:
    asked = {"label_column": "width,Height", **args}
    assert said in refusal(tmp_path / "a.csv", content, **asked)


def test_lists_of_different_lengths(tmp_path: Path) -> None:
    rows = '{"text": "a", "label": [1.5, 2]}\n{"text": "b", "label": [1.5]}\n'
    said = "train, row 2: the label [1.5] is not 2 numbers, as training has them (label_0, label_1)"
    assert refusal(tmp_path / "a.jsonl", rows) == said


@pytest.mark.parametrize("kind", ["images", "sounds"])
def test_their_checks_are_those_of_all_kinds(kind: str) -> None:
    """What `image_preflight` and `audio_preflight` ask of labels."""
    values = {"train": [[1.0, 5.0], [2.0, 5.0]], "test": [[0.0, 1.0]]}
    (finding,) = label_checks.check(values, ["width", kind])
    assert finding.level == "error"
    assert finding.message == f"train: every label of {kind} is 5, so there is nothing to learn"
    assert list(label_checks.check({"train": [1.0, 1.0]})) == [], "a single number is as ever"


def test_no_number_is_lost_on_the_way(tmp_path: Path) -> None:
    task, examples = made(tmp_path / "a.csv", HEADER + ROWS, label_column="width,Height")
    rows = task.label_arrays([examples.splits["train"][i] for i in range(12)])["labels"]
    assert rows.shape == (12, 2) and rows.dtype == "float32"
    assert math.isclose(rows.sum(), sum(i + 0.5 + 2 * i for i in range(12)))
