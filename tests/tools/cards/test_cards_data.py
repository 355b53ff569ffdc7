"""What a card says of the data and of each class is what was counted; its commands run."""

import contextlib
import csv
import json
import re
import shlex
from collections import Counter
from pathlib import Path

import pytest

from tests.cli import Done, run_cli
from tests.tiny_text import review_rows
from tests.tools.cards.folders import Folder, make
from tools.cards.cli import main as cards
from tools.cards.numbers import MARK
from tools.cards.write import write
from zoo.store import evidence

FLAGS = ("--vocab_size", 300, "--hidden_size", 16, "--max_steps", 3, "--report_to", "none")
TRAIN = {"negative": 104, "positive": 8}
"""Rows of each class that are written, before the validation split is cut from them."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of somebody's with data: train and test, out of balance, with texts that stand
    twice."""
    folder = tmp_path_factory.mktemp("home") / "anna" / "her reviews"
    folder.mkdir(parents=True)
    by_label: dict[str, list[str]] = {"negative": [], "positive": []}
    for text, label in review_rows():
        by_label[label].append(text)
    train = [(text, label) for label, n in TRAIN.items() for text in by_label[label][:n]]
    train += [train[0], train[1]]  # two rows that repeat
    test = [(text, label) for label in TRAIN for text in by_label[label][120:150]]
    test += [train[3], train[4], train[5]]  # three that leak
    test.append((test[0][0], "positive"))  # one text with two labels
    for name, rows in (("train", train), ("test", test)):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *rows])
    return folder


@pytest.fixture(scope="module")
def run(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A checkpoint that was trained by typing a path that leads up."""
    work = tmp_path_factory.mktemp("work")
    up = f"../{home.parent.parent.name}/anna/her reviews"
    words = ("finetune", "--data", up, *FLAGS, "--output_dir", "runs/x")
    typed = list(map(str, words))
    with contextlib.chdir(work), evidence.recorded_as("zoo.nlp.rnn_cls", typed):
        done = run_cli("zoo.nlp.rnn_cls", *words)
    assert done.code == 0, done.err
    write(work / "runs" / "x")
    return Folder(work / "runs" / "x")


def test_nobody_is_named(run: Folder) -> None:
    for name in ("README.md", "evidence.jsonl"):
        assert "anna" not in (run.path / name).read_text(encoding="utf-8")
    (command,) = {fact.command for fact in run.facts if "finetune" in (fact.command or "")}
    assert "--data 'her reviews'" in command


def test_what_was_counted_in_the_data(run: Folder) -> None:
    counted = {(f.name, f.split, f.label): (f.value, f.n) for f in run.facts if f.kind == "data"}
    rows = json.loads((run.path / "zoo.json").read_text())["data"]
    assert rows["source_rows"] == {"train": 114, "test": 64}
    assert rows["rows"]["train"] + rows["rows"]["validation"] == 114 and rows["rows"]["test"] == 64
    assert counted["contradictory", None, None] == (1, 178)
    leaks = {split: n for (name, split, _), (n, _) in counted.items() if name[:6] == "shared"}
    assert leaks["test"] == 3
    of_train = {label: n for (name, _, label), (n, _) in counted.items() if name == "rows"}
    assert sum(of_train.values()) == rows["rows"]["train"] and of_train["positive"] in (7, 8)

    card = MARK.sub("", run.card)
    cut = rows["rows"]["validation"]
    assert (
        "The data itself has 114 rows of train and 64 rows of test. Validation was cut from its "
        f"train split, seed 0. Rows: {114 - cut} of train, {cut} of validation, 64 of test." in card
    )
    assert (
        "- 3 examples stand both in test and in train: what is measured there is too good." in card
    )
    assert "- 1 example has different labels in different rows." in card
    assert (
        f"out of balance: {of_train['positive']} rows of `positive`, {of_train['negative']} of "
        "`negative`." in card
    )


def test_each_class_is_what_its_predictions_say(run: Folder, home: Path) -> None:
    done = run_cli("zoo.nlp.rnn_cls", "predict", run.path, "--file", home / "test.csv")
    assert done.code == 0, done.err
    said = [json.loads(line)["label"] for line in done.lines]
    with (home / "test.csv").open(encoding="utf-8") as file:
        truth = [row["label"] for row in csv.DictReader(file)]
    for label in ("negative", "positive"):
        hits = sum(one == other == label for one, other in zip(said, truth, strict=True))
        predicted, n = said.count(label), truth.count(label)
        expected = {"recall": hits / n, "f1": 2 * hits / (predicted + n)}
        if predicted:
            expected["precision"] = hits / predicted
        found = {f.name: f for f in run.facts if (f.kind, f.label) == ("class", label)}
        row = found.pop("recognised")
        assert (row.value, row.n, row.split) == (hits, n, "test")
        assert row.counts == Counter(s for s, t in zip(said, truth, strict=True) if t == label)
        assert {name: f.value for name, f in found.items()} == pytest.approx(expected)
        assert {(f.n, f.split) for f in found.values()} == {(n, "test")}
        assert {f.id for f in found.values()} <= set(MARK.findall(run.card))


def test_every_command_on_a_card_runs_as_it_stands(
    run: Folder, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where what it says that it needs lies in the working directory."""
    assert "`her reviews` does not come with the zoo" in run.card
    (tmp_path / "her reviews").symlink_to(home)
    monkeypatch.chdir(tmp_path)
    copy = run.copy(tmp_path / "copy")
    lines = [
        line
        for part in re.findall(r"^```sh\n(.*?)^```", run.card, re.MULTILINE | re.DOTALL)
        for line in part.splitlines()
        if not line.startswith("#")
    ]
    assert len(lines) == 3
    for line in lines:
        python, dash_m, module, *words = shlex.split(line)
        assert (python, dash_m) == ("python", "-m")
        words = [str(copy.path) if word == "path/to/this/folder" else word for word in words]
        if module == "tools.cards":
            assert cards(words) == 0
        else:
            done: Done = run_cli(module, *words)
            assert done.code == 0, done.err
    before, after = (
        {f.name: f.value for f in facts if (f.kind, f.split) == ("metric", "test")}
        for facts in (run.facts, copy.facts[len(run.facts) :])
    )
    assert before == after
    again = Folder(tmp_path / "runs" / "x")
    assert again.subject == run.subject, "the same command, the same weights"


def test_evaluate_prints_each_class_and_adds_it(run: Folder, home: Path, tmp_path: Path) -> None:
    copy = run.copy(tmp_path / "copy")
    done = run_cli("zoo.nlp.rnn_cls", "evaluate", copy.path, "--data", home, "--split", "train")
    assert done.code == 0, done.err
    table = done.out.partition("each class\n")[2].partition("\n\n")[0]
    assert re.search(r"^negative .* \d+$", table, re.MULTILINE)
    new = copy.facts[len(run.facts) :]
    assert {(f.split, f.label) for f in new if f.kind == "class"} >= {("train", "negative")}


def test_old_records_say_nothing_of_it(tmp_path: Path) -> None:
    folder = make(tmp_path / "run")
    folder.add(folder.metric("accuracy", 0.8))
    card = write(folder.path).read_text(encoding="utf-8")
    for said in ("cut from", "itself has", "Each class", "out of balance", "both in"):
        assert said not in card


def test_many_classes_are_not_recorded(tmp_path: Path) -> None:
    from tasks.metrics.classification import ClassificationMetric
    from tasks.nlp.text_classification import Args, TextClassification
    from zoo.evaluation import class_facts

    labels = tuple(map(str, range(class_facts.MOST_CLASSES + 1)))
    task = TextClassification(Args(), labels, "single_label_classification")
    assert (
        class_facts.rows_of(task, ClassificationMetric("single_label_classification", len(labels)))
        == []
    )
    number = TextClassification(Args(), (), "regression")
    assert class_facts.rows_of(number, ClassificationMetric("regression")) == []


def test_several_labels_are_counted_each() -> None:
    import numpy as np

    from tasks.metrics.classification import ClassificationMetric

    accumulator = ClassificationMetric("multi_label_classification", 3)
    truth = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]])
    said = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]])
    accumulator.update(np.arange(3), said, truth)
    hits, predicted, actual, _ = accumulator.by_class()
    assert (hits.tolist(), predicted.tolist(), actual.tolist()) == ([1, 1, 0], [2, 1, 0], [1, 2, 0])


def test_a_label_is_part_of_what_a_fact_says(tmp_path: Path) -> None:
    folder = make(tmp_path / "run")
    one, other = (
        evidence.fact("class", "f1", 0.5, "1", label=label, subject="s", run="r", n=3)
        for label in ("a", "b")
    )
    assert one.id != other.id
    evidence.append(folder.path, [one, other])
    assert [fact.label for fact in evidence.read(folder.path)] == ["a", "b"]
