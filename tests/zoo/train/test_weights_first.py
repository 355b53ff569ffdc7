"""What a run starts from is looked for before its data are read or made."""

from pathlib import Path

import pytest

from tests.cli import run_cli

MODELS = ("nlp.bert_cls", "nlp.bert_mlm", "vision.resnet_cls", "vision.vit_cls", "speech.ast_cls")
MODELS += ("speech.wav2vec2_ctc", "speech.whisper_asr", "nlp.t5_seq2seq")


@pytest.mark.parametrize("model", MODELS)
def test_missing_weights_are_told_before_missing_data(model: str, tmp_path: Path) -> None:
    verb = "pretrain" if model.endswith("mlm") else "finetune"
    words = ("--model", tmp_path / "nowhere", "--data", tmp_path / "no.csv")
    done = run_cli(f"zoo.{model}", verb, *words, "--output_dir", tmp_path / "run")
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert line.endswith(f": there is no folder {tmp_path / 'nowhere'}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "model", ["nlp.rnn_cls", "vision.cnn_cls", "speech.kws_cls", "speech.conformer_ctc"]
)
def test_a_missing_teacher_is_told_before_missing_data(model: str, tmp_path: Path) -> None:
    words = ("--teacher", tmp_path / "nowhere", "--data", tmp_path / "no.csv")
    done = run_cli(f"zoo.{model}", "finetune", *words, "--output_dir", tmp_path / "run")
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert line.endswith(
        f"--teacher: no checkpoint at {tmp_path / 'nowhere'}: there is no such folder"
    )


def test_new_weights_need_none(tmp_path: Path) -> None:
    words = ("--data", tmp_path / "no.csv", "--output_dir", tmp_path / "run")
    done = run_cli("zoo.vision.resnet_cls", "finetune", *words)
    assert done.code == 2 and "no.csv" in done.err
