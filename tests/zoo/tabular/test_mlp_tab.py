"""mlp_tab from the command line: tables in, labels and numbers out."""

import csv
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import zoo
from tests.cli import Done, run_cli
from zoo.tabular.mlp_tab import ENTRY
from zoo.tabular.table_processor import TableFeatureExtractor

SHORT = ("--report_to", "none", "--num_train_epochs", 4, "--dtype", "fp32")
SHORT += ("--hidden_sizes", 16, "--learning_rate", 0.02)
NAMES = ("row id", "age of person", "城市", "size", "income", "grade")


def people(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows whose income follows from age and city, some without an age."""
    rng, rows = random.Random(seed), []
    for number in range(count):
        age, city = rng.uniform(18, 80), rng.choice(["东京", "Rome", "Bonn"])
        income = 30_000 + 500 * age + 20_000 * (city == "Rome")
        shown = f"{age:.1f}" if rng.random() > 0.1 else ""
        size, grade = f"{rng.gauss(170, 10):.1f}", "1.0" if income > 60_000 else "2.0"
        values = (f"n{number}", shown, city, size, f"{income:.0f}", grade)
        rows.append(dict(zip(NAMES, values, strict=True)))
    return rows


def write(path: Path, rows: list[dict[str, Any]], names: tuple[str, ...] = NAMES) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def finetune(folder: Path, data: Path, *flags: object) -> Done:
    return run_cli(ENTRY, "finetune", "--data", data, "--output_dir", folder, *SHORT, *flags)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("table") / "people.csv", people(300))


@pytest.fixture(scope="module")
def graded(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that tells grades, which the table writes as 1.0 and 2.0."""
    folder = tmp_path_factory.mktemp("graded") / "run"
    done = finetune(folder, table, "--label_column", "grade", "--ignore_columns", "income")
    assert done.code == 0, done.err
    assert "not read are row id, " in done.err
    return folder


@pytest.fixture(scope="module")
def measured(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that predicts two numbers of very different size."""
    folder = tmp_path_factory.mktemp("measured") / "run"
    done = finetune(folder, table, "--label_column", "income,size")
    assert done.code == 0, done.err
    assert "one scale" not in done.err, "the loss has them on one"
    return folder


def lines(done: Done) -> list[dict[str, Any]]:
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.lines]


ROW = {"age of person": 70, "城市": "Rome", "size": 170}


def test_grades_are_learned_and_evaluated(graded: Path, table: Path) -> None:
    task = zoo.load(str(graded), device="cpu").task
    assert task.labels == ("1.0", "2.0")
    assert [(one.name, one.kind) for one in task.schema] == [
        ("age of person", "number"), ("城市", "category"), ("size", "number"),
    ]  # fmt: skip
    done = run_cli(ENTRY, "evaluate", graded, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["metrics"]["accuracy"]["value"] > 0.8


def test_a_file_of_other_order_and_with_others(graded: Path, tmp_path: Path) -> None:
    rows = people(3, 1)
    rows[0]["城市"], rows[1]["size"] = "京都", ""
    names = ("size", "note", "城市", "age of person")
    file = write(tmp_path / "new rows.csv", [row | {"note": "x"} for row in rows], names)
    done = run_cli(ENTRY, "predict", graded, "--file", file)
    found = lines(done)
    assert [list(one)[:4] for one in found] == [list(names)] * 3
    assert {one["label"] for one in found} <= {"1.0", "2.0"}
    assert "城市: 1 values that the training has not" in done.err and "'京都' in " in done.err
    assert "size: no value in 1 rows" in done.err and "row 2" in done.err
    backward = write(tmp_path / "backward.csv", rows, tuple(reversed(NAMES)))
    again = lines(run_cli(ENTRY, "predict", graded, "--file", backward))
    assert [one["score"] for one in again] == pytest.approx([one["score"] for one in found])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--row", '{"age of person": "old", "城市": "Rome", "size": 1}'),
         "`row` 1: age of person is 'old', and training has numbers there"),
        (("--row", '{"城市": "Rome", "size": 1}'), "no column 'age of person' for the input"),
        (("--row", "{age: 3}"), "`row` 1 is no JSON"),
        (("--row", "[1]"), "`row` 1 is [1], and not an object of columns"),
        (("--file", "nowhere.csv"), "there is no such file"),
    ],
)  # fmt: skip
def test_rows_that_can_not_be_read(graded: Path, words: tuple[str, ...], said: str) -> None:
    done = run_cli(ENTRY, "predict", graded, *words)
    (line,) = done.err.splitlines()
    assert done.code == 2 and said.replace("`row`", "--row") in line, line


def test_rows_before_a_bad_one_are_answered(graded: Path) -> None:
    good = json.dumps(ROW)
    done = run_cli(ENTRY, "predict", graded, "--row", good, good, '{"age of person": 3}', good)
    assert done.code == 2 and len(done.lines) == 2, done.out
    assert "--row 3: the row has no column '城市'" in done.err


def test_several_numbers_in_their_own_units(measured: Path) -> None:
    row = {"age of person": 60, "城市": "Bonn", "grade": "1.0"}
    (found,) = lines(run_cli(ENTRY, "predict", measured, "--row", json.dumps(row)))
    assert found["label"] == ["income", "size"]
    income, size = found["score"]
    assert 40_000 < income < 90_000 and 150 < size < 190
    assert zoo.load(str(measured), device="cpu").task.pipeline == "tabular-regression"


def test_from_python_alone_and_in_a_list(graded: Path) -> None:
    model = zoo.load(str(graded), device="cpu")
    one = model.predict(ROW)
    many = model.predict([ROW, ROW | {"age of person": None}])
    assert one["label"] == "1.0" and many[0] == pytest.approx(one)
    assert many[1]["score"] != one["score"]


def test_transformers_alone_gives_the_same(graded: Path) -> None:
    import zoo.auto

    # isort: split
    import transformers

    extractor = transformers.AutoFeatureExtractor.from_pretrained(graded)
    assert isinstance(extractor, TableFeatureExtractor)
    model = transformers.AutoModel.from_pretrained(graded).eval()
    with torch.no_grad():
        logits = model(**extractor([ROW], return_tensors="pt")).logits
    ours = zoo.load(str(graded), device="cpu").logits(ROW)
    assert np.allclose(logits, ours, atol=1e-6)


@pytest.mark.parametrize("name", ["graded", "measured"])
def test_an_export_gives_the_same(name: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(name)
    done = run_cli(ENTRY, "export", folder, "--runtime", "onnx")
    assert done.code == 0 and "8 golden inputs" in done.out + done.err, done.err
    inputs = json.loads((folder / "golden" / "onnx.json").read_text())["inputs"]
    labels = {"size"} if name == "measured" else set()
    assert all(set(one["input"]["row"]) >= set(ROW) - labels for one in inputs)
    words = ("predict", folder, "--row", json.dumps(ROW | {"grade": "1.0"}))
    (ours,), (theirs,) = (
        lines(run_cli(ENTRY, *words, *more)) for more in ((), ("--deployment", "onnx"))
    )
    assert theirs["score"] == pytest.approx(ours["score"], rel=1e-5)


def test_what_is_suspicious_is_told(table: Path, tmp_path: Path) -> None:
    rows = [
        row | {"same": "x", "twin": {"1.0": "up", "2.0": "down"}[row["grade"]], "id": str(i)}
        for i, row in enumerate(people(200))
    ]
    rows[:20] = rows[20:40]
    names = (*NAMES, "same", "twin", "id")
    data = tmp_path / "data"
    data.mkdir()
    write(data / "train.csv", [*rows[:120], rows[150]], names)
    write(data / "test.csv", rows[150:], names)
    flags = ("--label_column", "grade", "--ignore_columns", "income", "--max_steps", 1)
    done = finetune(tmp_path / "run", data, *flags, "--validation_size", 0)
    assert done.code == 0, done.err
    assert "same is 'x' in every row" in done.err
    assert "twin alone tells the label" in done.err
    assert "1 row of test also in train" in done.err


def test_one_row_and_none(tmp_path: Path) -> None:
    one = write(tmp_path / "one.csv", people(1))
    done = finetune(tmp_path / "run", one, "--label_column", "grade")
    assert done.code == 2 and len(done.err.splitlines()[-1]) > 20
    none = write(tmp_path / "none.csv", [])
    done = finetune(tmp_path / "run", none, "--label_column", "grade")
    assert done.code == 2 and "no rows" in done.err


def test_weights_are_gone_on_with(graded: Path, table: Path, tmp_path: Path) -> None:
    words = ("--label_column", "grade", "--model", graded, "--learning_rate", 0)
    done = finetune(tmp_path / "on", table, *words, "--ignore_columns", "income")
    assert done.code == 0 and "all weights are kept" in done.err, done.err
    done = finetune(tmp_path / "other", table, *words)
    assert done.code == 2 and "reads the columns age of person (number)" in done.err


def test_pruned_by_structure(graded: Path, tmp_path: Path) -> None:
    words = ("--sparsity", 0.5, "--structured", "--stages", 1, "--steps", 2)
    done = run_cli(ENTRY, "prune", graded, *words, "--output_dir", tmp_path / "half")
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "half" / "config.json").read_text())["hidden_sizes"] == [8]
