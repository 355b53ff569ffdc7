"""A model folder that lacks a part: one line, and nothing is trained on an empty one."""

import json
import shutil
from pathlib import Path

import pytest

from tasks.errors import UserError
from tests import tiny_speech
from tests.cli import run_cli
from zoo.model.loading import load_tokenizer
from zoo.vision.image_processor import load_processor

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fine", "dull")


def folder_of(path: Path, **files: str) -> Path:
    """A folder with a config of BERT, or of what `config` says, and the files."""
    path.mkdir(exist_ok=True)
    config = files.pop("config", "bert")
    (path / "config.json").write_text(json.dumps({"model_type": config}))
    for name, content in files.items():
        (path / name.replace("__", ".")).write_text(content)
    return path


@pytest.mark.parametrize(
    ("config", "files", "said"),
    [
        ("bert", {}, "has no tokenizer, so every word would be unknown: copy its files"),
        ("gpt2", {}, "has no tokenizer, so every word would be unknown"),
        (
            "gpt2",
            {"vocab__json": '{"a": 0, "b": 1}'},
            "has vocab.json of its tokenizer but not mer",
        ),
    ],
)
def test_a_tokenizer_without_its_files(
    tmp_path: Path, config: str, files: dict[str, str], said: str
) -> None:
    folder = folder_of(tmp_path, config=config, **files)
    with pytest.raises(UserError) as error:
        load_tokenizer(folder)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("config", "files"),
    [
        ("bert", {"vocab__txt": "\n".join(WORDS)}),
        ("gpt2", {"vocab__json": '{"a": 0, "b": 1, "ab": 2}', "merges__txt": "a b\n"}),
        ("canine", {}),  # reads characters, and needs no files
    ],
)
def test_a_tokenizer_with_its_files(tmp_path: Path, config: str, files: dict[str, str]) -> None:
    folder = folder_of(tmp_path, config=config, **files)
    assert len(load_tokenizer(folder)) >= len(files)


@pytest.mark.parametrize("model", ["bert_cls", "bert_mlm"])
def test_nothing_is_trained_without_a_tokenizer(
    model: str, tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(tiny_bert / name, weights / name)
    verb = "finetune" if model == "bert_cls" else "pretrain"
    flags = (verb, "--model", weights, "--data", reviews, "--output_dir", tmp_path / "run")
    done = run_cli(f"zoo.nlp.{model}", *flags)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"{model}: {weights} has no tokenizer, so every word would be un")
    assert not (tmp_path / "run").exists()


def test_nothing_is_labelled_without_a_tokenizer(tiny_bert: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(tiny_bert / name, tmp_path / name)
    flags = ("--zero_shot", "--labels", "superb,awful", "--text", "fine")
    done = run_cli("zoo.nlp.bert_cls", "predict", tmp_path, *flags)
    assert done.code == 2 and "has no tokenizer" in done.err, done.err


@pytest.mark.parametrize("part", ["tokenizer", "preprocessor_config.json"])
def test_whisper_without_a_part(part: str, utterances: Path, tmp_path: Path) -> None:
    weights = tiny_speech.whisper(tmp_path / "weights")
    for path in list(weights.iterdir()):
        if path.name.startswith((part, "vocab", "merges") if part == "tokenizer" else part):
            path.unlink()
    flags = ("finetune", "--model", weights, "--data", utterances, "--output_dir", tmp_path / "r")
    done = run_cli("zoo.speech.whisper_asr", *flags)
    said = "tokenizer" if part == "tokenizer" else "has no feature extractor"
    assert done.code == 2 and said in done.err and "Traceback" not in done.err, done.err


def test_an_image_processor_that_is_not_there(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, config="vit")
    with pytest.raises(UserError, match=r"has no image processor \(preprocessor_config.json\)"):
        load_processor(folder)
