"""What one answer to everything is worth stands beside every metric, and is told where it is all
that a model gives."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.metrics.classification import ClassificationMetric
from tasks.metrics.several_numbers import SeveralNumbersMetric
from tasks.metrics.spans import SpanMetric
from tasks.metrics.transcription import TranscriptionMetric
from tasks.nlp.text_classification import Args, TextClassification
from tasks.speech.decoding import ctc
from tests.cases import Case
from tests.cli import run_cli
from tests.finetuning import MODEL, Run, finetune, lines
from tools.cards.numbers import MARK
from tools.cards.write import write
from zoo.evaluation import class_facts, constant_answer
from zoo.evaluation.class_facts import ClassScores

LABELS = ("负面", "正面", "中性")
SINGLE = "single_label_classification"


def classifier(problem: str = SINGLE, labels: tuple[str, ...] = LABELS) -> TextClassification:
    return TextClassification(Args(), labels, problem)  # type: ignore[arg-type]


def counted(said: list[Any], truth: list[Any], problem: str = SINGLE) -> ClassificationMetric:
    accumulator = ClassificationMetric(problem, len(LABELS))
    accumulator.update(np.arange(len(truth)), np.array(said), np.array(truth))
    return accumulator


def test_a_column_is_named_by_its_answer_and_has_a_dash_where_it_is_undefined() -> None:
    constant = counted([0, 1, 1], [1, 1, 0]).constant()
    assert constant_answer.heading(classifier(), constant) == ["always '正面'"]
    assert constant_answer.cell(constant, "accuracy") == ["0.6667"]
    assert constant_answer.cell(constant, None) == [""]
    number = counted([1.0, 2.0], [3.0, 5.5], "regression").constant()
    assert constant_answer.heading(classifier("regression", ()), number) == ["always 4.25"]
    assert constant_answer.cell(number, "pearsonr") == ["-"]
    assert constant_answer.heading(classifier(), None) == constant_answer.cell(None, "x") == []


def test_several_numbers_have_their_names() -> None:
    task = classifier("regression", ("stars", "价格"))
    numbers = SeveralNumbersMetric(2)
    numbers.update(np.arange(2), np.full((2, 2), 4.0), np.array([[1.0, 10.0], [2.0, 20.0]]))
    constant = numbers.constant()
    assert constant is not None
    assert constant_answer.name_of(task, constant.answer) == "stars 1.5, 价格 15"
    assert constant_answer.heading(task, constant) == ["always the means"]
    assert constant_answer.cell(constant, "mse") == [f"{(0.25 + 25) / 2:.4f}"]
    said = constant_answer.warning(task, numbers)
    assert said == "it answers about stars 4, 价格 4 to every row"


def test_a_long_answer_is_cut_and_an_empty_one_is_nothing() -> None:
    assert constant_answer.quoted(classifier(labels=("x" * 50,)), 0) == repr("x" * 27 + "...")
    assert constant_answer.quoted(classifier(), "") == "nothing"
    assert constant_answer.quoted(classifier(labels=("a\n\x1b[1m",)), 0) == r"'a\n\x1b[1m'"


class Writes:
    """A task whose answers are texts."""

    labels = ()


class Generator(Writes):
    """One that writes token by token."""

    longest_text = 5

    def given_tokens(self, rows: Any, count: int) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("said", "truth", "problem", "expected"),
    [
        ([1, 1, 1], [0, 1, 2], SINGLE, "it answers '正面' to every row: one class only"),
        ([1, 0, 1], [0, 1, 2], SINGLE, None),
        (
            [[0, 1, 1]] * 2,
            [[0, 1, 0], [0, 0, 0]],
            "multi_label_classification",
            "it gives every row the same labels: '正面, 中性'",
        ),
        (
            [[0, 0, 0]] * 2,
            [[0, 1, 0], [0, 0, 0]],
            "multi_label_classification",
            "it gives every row the same labels: nothing",
        ),
        ([2.0, 2.0], [1.0, 3.0], "regression", "it answers about 2 to every row"),
    ],
)
def test_a_classifier_that_gives_one_answer(
    said: list[Any], truth: list[Any], problem: str, expected: str | None
) -> None:
    accumulator = counted(said, truth, problem)
    assert constant_answer.warning(classifier(problem), accumulator) == expected


@pytest.mark.parametrize(
    ("task", "texts", "expected"),
    [
        (Writes(), ["", " "], "it writes nothing yet: CTC needs more steps"),
        (Generator(), ["", ""], "it writes nothing"),
        (Generator(), ["you", "you"], "it writes 'you' for every row"),
        (Writes(), ["a", ""], None),
    ],
)
def test_a_writer_that_writes_one_text(task: Any, texts: list[str], expected: str | None) -> None:
    accumulator = TranscriptionMetric()
    accumulator.update(np.arange(2), texts, ["one", "two"])
    assert constant_answer.warning(task, accumulator) == expected


def test_a_tagger_that_knows_one_tag() -> None:
    accumulator = SpanMetric(["O", "B-A"])
    accumulator.update(np.arange(1), [np.array([0, 0])], [np.array([0, 1])])
    task: Any = type("Tags", (), {"labels": ("O", "B-A"), "of_rows": False, "unit": "tokens"})()
    assert constant_answer.warning(task, accumulator) == (
        "it answers 'O' to every word: one tag only"
    )


def test_classes_without_rows_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    rows = class_facts.rows_of(classifier(), counted([0, 2, 2, 0], [0, 1, 1, 0]))
    assert [(row.label, row.n, row.predicted) for row in rows] == [
        ("负面", 2, 2), ("正面", 2, 0), ("中性", 0, 2)
    ]  # fmt: skip
    class_facts.show(rows)
    table = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[:2] for line in table[2:4]] == [["负面", "1.0000"], ["正面", "-"]]
    assert table[4] == "without any row: '中性' (predicted 2)"
    facts = class_facts.of_classes(rows, subject="s", run="r")
    assert [(fact.label, fact.name) for fact in facts] == [
        *(("负面", name) for name in ("precision", "recall", "f1")),
        *(("正面", name) for name in ("recall", "f1")),
    ]  # fmt: skip
    assert facts[0].interval is not None and facts[0].interval["method"] == "wilson"
    assert facts[3].n == 2 and facts[3].value == 0
    class_facts.show([ClassScores("a", 1, 1, {})])
    assert "without any row" not in capsys.readouterr().out


@pytest.fixture(scope="module")
def run(tiny_bert: Path, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A classifier that has learned nothing and says one thing, on data out of balance."""
    folder = tmp_path_factory.mktemp("constant")
    data = folder / "data"
    data.mkdir()
    for split in ("train", "validation", "test"):
        header, *rows = (reviews / f"{split}.csv").read_text(encoding="utf-8").splitlines()
        kept = [row for i, row in enumerate(rows) if row.endswith("negative") or i % 3 == 0]
        text = "\n".join([header, *kept]).replace("negative", "负面").replace("positive", "正面")
        (data / f"{split}.csv").write_text(text + "\n", encoding="utf-8")
    flags = ("--max_steps", 6, "--learning_rate", 5e-3, "--class_weights", "none")
    return finetune(tiny_bert, data, folder / "run", *flags, "--warmup_steps", 0)


def _accuracy(facts: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """That of the kind "metric" or "constant"; nothing else has these names."""
    found = {"metric": "accuracy", "constant": "constant_accuracy"}[name]
    (fact,) = {one["value"]: one for one in facts if one["name"] == found}.values()
    assert fact["kind"] == name
    return fact


def test_it_stands_in_the_closing_table_the_evidence_and_the_card(run: Run) -> None:
    facts = lines(run.folder / "evidence.jsonl")
    constant = _accuracy(facts, "constant")
    assert constant["label"] == "负面" and constant["split"] == "test"
    assert 0.6 < constant["value"] < 0.9 and constant["n"] == _accuracy(facts, "metric")["n"]
    header = next(line for line in run.done.lines if "95% interval" in line)
    row = next(line for line in run.done.lines if line.startswith("accuracy"))
    assert "always '负面'" in header and f"{constant['value']:.4f}" in row.split()
    card = write(run.folder).read_text(encoding="utf-8")
    assert "| metric | value | always `负面` | n | interval |" in card
    ids = {fact["id"] for fact in facts if fact["kind"] == "constant"}
    assert ids <= set(MARK.findall(card)) and len(ids) == 8


def test_evaluate_says_the_same_in_tables_and_as_json(run: Run, tmp_path: Path) -> None:
    told = run_cli(MODEL, "evaluate", run.folder)
    assert told.code == 0, told.err
    done = run_cli(MODEL, "evaluate", run.folder, "--json")
    assert done.code == 0 and len(done.lines) == 1, done.err
    found = json.loads(done.out)
    facts = lines(run.folder / "evidence.jsonl")
    assert found["constant"]["answer"] == "负面" and "负面" in done.out
    assert found["constant"]["metrics"]["accuracy"] == _accuracy(facts, "constant")["value"]
    accuracy = found["metrics"]["accuracy"]
    assert accuracy["value"] == _accuracy(facts, "metric")["value"]
    assert accuracy["low"] < accuracy["value"] < accuracy["high"] and accuracy["n"] > 30
    assert {"f1_weighted", "precision_weighted", "recall_weighted"} <= set(found["metrics"])
    assert found["metrics"]["recall_weighted"]["value"] == pytest.approx(accuracy["value"])
    assert [row["label"] for row in found["classes"]] == sorted(["负面", "正面"])
    for row in found["classes"]:
        line = next(one for one in told.lines if one.startswith(row["label"]))
        assert line.split()[-1] == str(row["n"])
        recall = row["recall"]
        shown = f"{recall['value']:.4f} [{recall['low']:.2f}, {recall['high']:.2f}]"
        assert shown in line
    assert "always '负面'" in told.out


def test_a_model_of_one_answer_is_told_so(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    """A bias decides where nothing else was learned."""
    from safetensors.torch import load_file, save_file

    flags = ("--max_steps", 1, "--learning_rate", 0)
    run = finetune(tiny_bert, reviews, tmp_path / "run", *flags)
    file = run.folder / "model.safetensors"
    weights = load_file(file)
    weights["classifier.bias"][1] = 1e4
    save_file(weights, file, {"format": "pt"})
    manifest = json.loads((run.folder / "zoo.json").read_text())
    from tasks.data.fingerprint import sha256

    manifest["files"]["model.safetensors"] = sha256(file)
    (run.folder / "zoo.json").write_text(json.dumps(manifest))
    done = run_cli(MODEL, "evaluate", run.folder)
    assert done.code == 0, done.err
    assert "warning: it answers 'positive' to every row: one class only" in done.lines
    card = write(run.folder).read_text(encoding="utf-8")
    assert "It answers `positive` to every row of the test split." in card
    found = json.loads(run_cli(MODEL, "evaluate", run.folder, "--json").out)
    assert found["warning"] == "it answers 'positive' to every row: one class only"
    assert "precision" not in found["classes"][0] and found["classes"][0]["predicted"] == 0


@pytest.mark.parametrize("case", ["speech"], indirect=True)
def test_what_writes_nothing_yet_is_told_while_it_trains(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As every CTC does until its blanks are fewer; this one is too small for that."""
    monkeypatch.setattr(ctc, "greedy_batch", lambda logits, blank: [[] for _ in logits])
    run = case.finetune(tmp_path / "run", "--max_steps", 2)
    assert "on validation it writes nothing yet: CTC needs more steps" in run.done.err
    assert "warning: on test it writes nothing yet: CTC needs more steps" in run.done.lines
    header = next(line for line in run.done.lines if "95% interval" in line)
    assert "always nothing" in header
    row = next(line for line in run.done.lines if line.startswith("wer"))
    assert row.split()[-3] == "1.0000"
