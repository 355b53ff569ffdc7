"""Files that people have, from the command line: folders of texts, MNIST's files, texts to clean,
several numbers to predict."""

import csv
import itertools
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli import run_cli
from tests.finetuning import finetune, run_finetune
from tests.tiny_text import review_rows
from tools.cards import record
from tools.cards.render import render
from zoo.store import evidence

BERT, RNN, CNN, KWS = (
    "zoo.nlp.bert_cls",
    "zoo.nlp.rnn_cls",
    "zoo.vision.cnn_cls",
    "zoo.speech.kws_cls",
)
QUIET = ("--logging_steps", 1, "--report_to", "none")


def imdb(root: Path) -> Path:
    """The reviews as folders of texts, in IMDb's layout."""
    names = {"positive": "pos", "negative": "neg"}
    for i, (text, label) in enumerate(review_rows()):
        split = "test" if i % 6 == 0 else "train"
        file = root / split / names[label] / f"{i}_7.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}<br /><br />end")
    (root / "train" / "unsup").mkdir()
    (root / "train" / "unsup" / "0_0.txt").write_text("the film")
    (root / "README").write_text("reviews")
    return root


def test_bert_learns_of_folders_cleans_them_and_what_it_predicts_on(
    tiny_bert: Path, tmp_path: Path
) -> None:
    data, folder = imdb(tmp_path / "aclImdb"), tmp_path / "run"
    words = ("--max_steps", 3, "--clean", "html,space,duplicates")
    run = finetune(tiny_bert, data, folder, *words)
    assert run.done is not None
    assert "clean html,space,duplicates of aclImdb: 360 texts changed" in run.done.err
    assert run.manifest["config"]["task"]["args"]["clean"] == "html,space,duplicates"
    assert run.manifest["config"]["task"]["labels"] == ["neg", "pos"]
    assert set(run.manifest["data"]["rows"]) == {"train", "validation", "test"}
    assert run_cli(BERT, "evaluate", folder).code == 0
    texts = ("the film was fine", "  the <b>film</b>\nwas<br/>fine")
    done = run_cli(BERT, "predict", folder, "--text", *texts)
    plain, marked = (json.loads(line) for line in done.lines)
    assert marked["text"] == texts[1] and marked["score"] == plain["score"]
    (data / "test" / "urls_pos.txt").write_text("http://a/b\n")
    done = run_cli("zoo", "predict", folder, "--file", data / "test")
    assert len(done.lines) == 60 and "left out: urls_pos.txt" in done.err
    (data / "test" / "urls_pos.txt").unlink()
    told = run_cli(BERT, "finetune", "--data", data, "--output_dir", folder, "--resume", *QUIET,
                   "--model", tiny_bert, "--max_steps", 4, "--clean", "html")  # fmt: skip
    assert told.code == 2
    assert "was begun with --clean html,space,duplicates, not html" in told.err
    cleaned = run.manifest["data"]["cleaned"]
    assert cleaned["texts_changed"] == 360 and cleaned["rows_before"] >= cleaned["rows"] > 0
    page = render(record.read(folder))
    assert "The zoo cleans every text first" in page
    assert "The data were cleaned (`html,space,duplicates`): 360 texts changed, and " in page


def test_rnn_learns_of_newsgroups_and_cuts_what_is_missing(tmp_path: Path) -> None:
    root = tmp_path / "20news-bydate-train"
    for i, (text, label) in enumerate(review_rows()[:120]):
        file = root / {"positive": "rec.很 好", "negative": "talk.bad"}[label] / str(1000 + i)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(f"Subject: caf\xe9\n\n{text}".encode("latin-1"))
    small = ("--vocab_size", 300, "--embedding_size", 8, "--hidden_size", 8)
    folder = tmp_path / "run"
    words = ("finetune", "--data", root, "--output_dir", folder, "--max_steps", 2, *small, *QUIET)
    run = run_finetune(RNN, folder, [str(word) for word in words])
    assert run.done is not None and "120 of 120 texts" in run.done.err
    assert run.manifest["config"]["task"]["labels"] == ["rec.很 好", "talk.bad"]
    assert run.manifest["data"]["rows"] == {"train": 96, "validation": 12, "test": 12}


def test_an_unknown_word_is_one_line(tiny_bert: Path, reviews: Path) -> None:
    done = run_cli(BERT, "finetune", "--model", tiny_bert, "--data", reviews, "--clean", "htm")
    assert done.code == 2 and done.out == ""
    assert done.err.splitlines()[-1].endswith(
        "--clean 'htm' is none of html, space, duplicates; did you mean html?"
    )


def test_a_network_learns_of_mnist_s_own_files(tmp_path: Path) -> None:
    raw, rng = tmp_path / "MNIST" / "raw", np.random.default_rng(0)
    raw.mkdir(parents=True)
    for split, n in (("train", 60), ("t10k", 20)):
        arrays = {"images-idx3": rng.integers(0, 256, (n, 8, 8)), "labels-idx1": np.arange(n) % 10}
        for what, array in arrays.items():
            head = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
            (raw / f"{split}-{what}-ubyte").write_bytes(head + array.astype(np.uint8).tobytes())
    run = run_finetune(CNN, tmp_path / "run", [str(word) for word in (
        "finetune", "--data", tmp_path, "--output_dir", tmp_path / "run", "--max_steps", 2,
        "--widths", 8, 16, *QUIET
    )])  # fmt: skip
    assert run.manifest["config"]["task"]["labels"] == [str(i) for i in range(10)]
    assert run.manifest["data"]["rows"] == {"train": 54, "validation": 6, "test": 20}


# --- several numbers


def sized(folder: Path, kind: str) -> Path:
    """Inputs with two numbers that can be told from them, in a table."""
    rng, rows = np.random.default_rng(0), []
    for i, (wide, high) in enumerate(itertools.product(range(1, 9), range(1, 9))):
        name = f"{i:02}"
        if kind == "text":
            name = f"the film was {'fine ' * wide}and {'dull ' * high}".strip()
        elif kind == "image":
            picture = np.zeros((10, 10), np.uint8)
            picture[:high, :wide] = 255
            Image.fromarray(picture).save(folder / f"{name}.png")
            name += ".png"
        else:
            import soundfile

            wave = 0.1 * high * np.sin(np.arange(1200) * 0.05 * wide) + rng.normal(0, 0.01, 1200)
            soundfile.write(folder / f"{name}.wav", wave, 8000)
            name += ".wav"
        rows.append((name, wide, high / 2))
    path = folder / "sizes.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text" if kind == "text" else "file_name", "width", "height"))
        writer.writerows(rows)
    return path


MODELS = {
    "text": (BERT, (), ("--text", "the film was fine and dull")),
    "image": (CNN, ("--widths", 8, 16), ("--image", "00.png")),
    "sound": (
        KWS,
        ("--sampling_rate", 8000, "--num_mel_bins", 16, "--hidden_size", 16, "--num_layers", 1),
        ("--audio", "00.wav"),
    ),
}


@pytest.fixture(scope="module", params=MODELS)
def measured(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, list[str]]:
    """The model, a checkpoint of two numbers, and the flags of an input."""
    module, flags, (flag, value) = MODELS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    data = sized(folder, request.param)
    if request.param == "text":
        flags = ("--model", request.getfixturevalue("tiny_bert"))
    else:
        value = str(folder / value)
    words = ("finetune", "--data", data, "--output_dir", folder / "run", *flags, *QUIET)
    words += ("--label_column", "width,height", "--max_steps", 12, "--learning_rate", 3e-3)
    run = run_finetune(module, folder / "run", [str(word) for word in words])
    assert run.losses[-1] < run.losses[0]
    return module, folder / "run", [flag, value]


def test_several_numbers_from_data_to_predictions(
    measured: tuple[str, Path, list[str]], tmp_path: Path
) -> None:
    module, folder, given = measured
    config = json.loads((folder / "config.json").read_text())
    assert config["id2label"] == {"0": "width", "1": "height"}
    assert config["problem_type"] == "regression"
    done = run_cli(module, "evaluate", folder)
    assert done.code == 0, done.err
    for said in ("pearsonr", "each number", "always its mean", "width", "height", "student-t"):
        assert said in done.out
    told = json.loads(run_cli(module, "evaluate", folder, "--json").out)["numbers"]
    assert [row["name"] for row in told] == ["width", "height"]
    for row in told:
        mse, always = row["metrics"]["mse"], row["constant"]["metrics"]["mse"]
        assert mse["value"] > 0 and mse["n"] > 0 and always > 0
        assert f"{always:.4f}" in done.out
    facts = [fact for fact in evidence.read(folder) if fact.kind == "class"]
    assert {fact.label for fact in facts} == {"width", "height"}
    errors = {fact.label: fact.value for fact in facts if fact.name == "mse"}
    (mean, *_) = [f.value for f in evidence.read(folder) if f.kind == "metric" and f.name == "mse"]
    assert mean == pytest.approx((errors["width"] + errors["height"]) / 2)
    done = run_cli(module, "predict", folder, *given, "--top_k", 2)
    said = json.loads(done.out)
    assert said["label"] == ["width", "height"]
    assert said["scores"] == dict(zip(said["label"], said["score"], strict=True))
    for name in ("a.csv", "a.parquet"):
        assert run_cli(module, "predict", folder, *given, "--output", tmp_path / name).code == 0
    assert "Each number, on the test split" in render(record.read(folder))


def test_several_numbers_are_exported_and_quantized(
    measured: tuple[str, Path, list[str]],
) -> None:
    module, folder, given = measured
    done = run_cli(module, "export", folder, "--runtime", "onnx")
    assert done.code == 0, done.err
    assert any(fact.name == "pearsonr_drop" for fact in evidence.read(folder))
    eager, exported = (
        json.loads(run_cli(module, "predict", folder, *given, *words).out)["score"]
        for words in ((), ("--deployment", "onnx"))
    )
    assert exported == pytest.approx(eager, abs=1e-4)


def test_another_checkpoint_of_other_numbers_is_no_teacher(
    measured: tuple[str, Path, list[str]], tmp_path: Path
) -> None:
    module, folder, _ = measured
    data = folder.parent / "sizes.csv"
    model = json.loads((folder / "zoo.json").read_text())["config"]["options"].get("model")
    words = [] if model is None else ["--model", model]
    done = run_cli(module, "finetune", "--data", data, "--output_dir", tmp_path / "b", *words,
                   "--teacher", folder, "--label_column", "width", "--max_steps", 1,
                   "--problem_type", "regression")  # fmt: skip
    assert done.code == 2 and "has other labels than this data" in done.err
