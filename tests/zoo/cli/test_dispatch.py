"""`zoo finetune MODEL`, `zoo predict FOLDER INPUT`: the model by its name, or by its folder."""

import json
from pathlib import Path

import pytest

from tests import cases
from tests.cli import run_cli
from tests.finetuning import Run
from zoo.machine import commands
from zoo.model import registry


@pytest.fixture(scope="module")
def run(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A network trained through the command of all models."""
    folder = tmp_path_factory.mktemp("dispatch") / "带 空格"
    words = cases.vision(images).arguments(folder, "--max_steps", 3)
    done = run_cli("zoo", words[0], "cnn_cls", *words[1:])
    assert done.code == 0, done.err
    return Run(folder, done)


def test_the_folder_tells_the_model(run: Run, images: Path) -> None:
    done = run_cli("zoo", "evaluate", run.folder, "--mistakes", 1)
    assert done.code == 0, done.err
    assert "accuracy" in done.out
    files = sorted((images / "test").rglob("*.png"))[:3]
    given = run_cli("zoo", "predict", run.folder, *files, "--top_k", 2)
    assert given.code == 0, given.err
    assert [json.loads(line)["image"] for line in given.lines] == [str(file) for file in files]
    flag = run_cli("zoo.vision.cnn_cls", "predict", run.folder, "--image", *files, "--top_k", 2)
    assert given.out == flag.out and flag.code == 0
    behind = run_cli("zoo", "predict", "--top_k", 2, run.folder, *files)
    assert behind.out == given.out


def test_the_checkpoint_comes_first(run: Run, images: Path) -> None:
    file = next((images / "test").rglob("*.png"))
    for verb in ("predict", "evaluate"):
        done = run_cli("zoo", verb, file, run.folder)
        assert done.code == 2
        assert f"the checkpoint comes first: python -m zoo {verb} '{run.folder}' {file}" in done.err


def test_info_names_a_command_that_can_be_typed(run: Run) -> None:
    done = run_cli("zoo", "info", run.folder)
    assert done.code == 0 and f"info '{run.folder}' --json" in done.out


def test_a_folder_of_pictures_without_a_flag(run: Run, images: Path) -> None:
    done = run_cli("zoo", "predict", run.folder, images / "test")
    assert done.code == 0 and len(done.lines) == cases.SIZES["test"], done.err


def test_help_with_a_folder_is_that_of_its_model(run: Run) -> None:
    done = run_cli("zoo", "predict", run.folder, "--help")
    assert done.code == 0 and "--image FILE|FOLDER|GLOB" in done.out and "--text" not in done.out
    done = run_cli("zoo", "predict", "--help")
    assert done.code == 0 and "[INPUT ...]" in done.out and "--image" not in done.out


def test_info_and_runs_of_what_was_trained(run: Run) -> None:
    shown = run_cli("zoo", "info", run.folder)
    assert shown.code == 0, shown.err
    assert len(shown.lines) <= 24 and max(map(len, shown.lines)) <= 100
    assert "accuracy" in shown.out and "norm group" in shown.out and "seed          42" in shown.out
    row = json.loads(run_cli("zoo", "runs", run.folder.parent, "--json").out)
    facts = json.loads(run_cli("zoo", "info", run.folder, "--json").out)["evidence"]
    metric = next(fact for fact in facts if fact["kind"] == "metric")
    assert row["model"] == "cnn_cls" and row["metric"] == metric["name"] == "accuracy"
    assert row["value"] == metric["value"] and row["n"] == cases.SIZES["test"]
    assert row["train_seconds"] > 0 and row["train_rows"] == cases.SIZES["train"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["finetune"], "which model? python -m zoo finetune MODEL"),
        (["finetune", "--data", "x"], "which model?"),
        (["finetune", "bert_cl"], "no model called 'bert_cl'; did you mean bert_cls?"),
        (["finetune", "zzz"], "no model called 'zzz'; there are bert_cls"),
        (["finetune", "mae"], "mae has no finetune; it has pretrain"),
        (["pretrain", "bert_cls"], "bert_cls has no pretrain; it has finetune"),
        (["predict"], "which checkpoint? python -m zoo predict FOLDER"),
        (["predict", "runs/none", "a.jpg"], "no checkpoint at runs/none"),
        (["predict", "distilbert", "x"], "finetune bert_cls --model distilbert gives them yours"),
        (["evaluate", "tests"], "holds no zoo.json"),
        (["bert_cls", "predict", "x"], "the verb comes first: python -m zoo predict bert_cls"),
        (["bert_cls"], "python -m zoo finetune bert_cls"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_one_line(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tests").mkdir()
    monkeypatch.chdir(tmp_path)
    done = run_cli("zoo", *words)
    assert done.code == 2 and said in done.err and done.err.count("\n") == 1
    assert not done.out


@pytest.mark.parametrize("verb", ["finetune", "pretrain"])
def test_help_without_a_model_lists_those_there_are(verb: str) -> None:
    done = run_cli("zoo", verb, "--help")
    for entry in registry.entries():
        assert (f"  {entry.name} " in done.out) == (verb in entry.verbs)


def test_the_command_is_shown_as_it_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/opt/venv/bin/zoo"])
    out = run_cli("zoo", "finetune", "cnn_cls", "--help").out
    assert "usage: zoo finetune cnn_cls [FLAGS]" in out
    assert "  zoo finetune cnn_cls --data photos/" in out
    out = run_cli("zoo.nlp.bert_cls", "predict", "--help").out
    assert '  zoo predict runs/bert_cls "fine, I loved it"' in out
    assert commands.of_model("zoo.nlp.bert_cls", "predict", "a b") == "zoo predict 'a b'"
    named = commands.of_model("zoo.nlp.bert_cls", "finetune", "--model", "x")
    assert named == "zoo finetune bert_cls --model x"
    monkeypatch.setattr("sys.argv", ["/x/zoo/nlp/bert_cls.py"])
    said = commands.of_model("zoo.nlp.bert_cls", "predict", "a b")
    assert said == "python -m zoo.nlp.bert_cls predict 'a b'"
    out = run_cli("zoo.nlp.bert_cls", "predict", "--help").out
    assert '  python -m zoo.nlp.bert_cls predict runs/bert_cls --text "fine, I loved it"' in out
