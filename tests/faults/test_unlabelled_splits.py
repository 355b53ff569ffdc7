"""Splits that nobody has labelled, in every modality: told, not measured, and never trained on."""

import json
import shutil
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.speech import audio_classification, speech_recognition
from tasks.vision import image_classification
from tests.cli import run_cli
from tests.finetuning import EXACT, MODEL, Run, finetune, lines
from tests.media import PLAIN, png, png_bytes, wav
from tools.cards.cli import main as cards

CODES = datasets.ClassLabel(names=["negative", "positive"])


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))


def glue(folder: Path, reviews: Path, **codes: int) -> Path:
    """The reviews as `datasets` writes them, parquet with ClassLabels.

    Each of `codes` stands for the labels of all of test, or of three rows of another split.
    """
    folder.mkdir()
    features = datasets.Features(sentence=datasets.Value("string"), label=CODES)
    for split in ("train", "validation", "test"):
        rows = [line.rpartition(",") for line in (reviews / f"{split}.csv").read_text().split("\n")]
        texts = [text for text, _, label in rows[1:] if label]
        labels = [int(label == "positive") for _, _, label in rows[1:] if label]
        count = len(labels) if split == "test" else 3
        if split in codes:
            labels[:count] = [codes[split]] * count
        columns = {"sentence": texts, "label": labels}
        # not by `datasets`, which looks at codes when it writes them
        pq.write_table(pa.table(columns, features.arrow_schema), folder / f"{split}.parquet")
    return folder


@pytest.fixture(scope="module")
def trained(tiny_bert: Path, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on data whose test split is not labelled."""
    home = tmp_path_factory.mktemp("glue")
    data = glue(home / "data", reviews, test=-1)
    return finetune(tiny_bert, data, home / "run", *EXACT, "--max_steps", 2)


def test_finetune_tells_and_measures_validation(trained: Run) -> None:
    assert trained.done is not None
    told = [line for line in trained.done.err.splitlines() if "no labels" in line]
    assert told == [
        "warning: test has no labels in any of its 60 rows: nothing is measured on it (predict"
        " reads it); to have a part of train held back in its place, give data without it"
    ]
    facts = lines(trained.folder / "evidence.jsonl")
    measured = {fact["split"] for fact in facts if fact["kind"] == "metric"}
    assert measured == {"validation"}
    assert {fact["n"] for fact in facts if fact["kind"] == "metric"} == {60}
    assert trained.manifest["data"]["rows"] == {"train": 240, "validation": 60}
    assert trained.manifest["data"]["unlabelled"] == {"test": 60}
    assert len(json.loads((trained.folder / "config.json").read_text())["id2label"]) == 2


def test_the_card_says_so(trained: Run, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(trained.folder, tmp_path / "run"))
    assert cards([str(folder)]) == 0
    card = " ".join((folder / "README.md").read_text().split())
    assert "Its 60 rows of test have no labels: nothing was measured on them." in card


def test_evaluate_takes_the_first_split_with_labels(trained: Run) -> None:
    done = run_cli(MODEL, "evaluate", trained.folder)
    assert done.code == 0 and "on data, validation" in done.out.replace("\n", " "), done.out
    assert "warning: test has no labels in any of its 60 rows" in done.err
    refused = run_cli(MODEL, "evaluate", trained.folder, "--split", "test")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        "bert_cls: test of data has no labels in any of its rows, so nothing can be measured on it:"
        " predict reads it\n"
    )


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ({"train": -1}, 'train, row 1: the label is -1, which stands for "not labelled"'),
        ({"validation": -1}, "validation, row 1: the label is -1"),
        ({"train": -2}, "train, row 1: the label is -2, and the 2 classes have the codes 0 to 1"),
        ({"train": 2}, "train, row 1: the label is 2, and the 2 classes have the codes 0 to 1"),
        ({"test": 2}, "test, row 1: the label is 2, and the 2 classes have the codes 0 to 1"),
    ],
)
def test_rows_without_a_label_beside_others_stop_the_run(
    codes: dict[str, int], said: str, tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    data = glue(tmp_path / "data", reviews, **codes)
    done = run_cli(MODEL, "finetune", "--model", tiny_bert, "--data", data,
                   "--output_dir", tmp_path / "run")  # fmt: skip
    assert done.code == 2 and said in done.err and len(done.err.splitlines()) == 1, done.err
    assert not (tmp_path / "run").exists()


def test_a_test_set_of_kaggles(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    """Its test.csv has no column of labels, and writes the others in its own way."""
    data = tmp_path / "data"
    data.mkdir()
    train = (reviews / "train.csv").read_text()
    (data / "train.csv").write_text(train.replace("text,label", "Text,Target", 1))
    texts = [line.rpartition(",")[0] for line in (reviews / "test.csv").read_text().splitlines()]
    (data / "test.csv").write_text("\n".join(["id,TEXT", *(f"0,{t}" for t in texts[1:])]) + "\n")
    run = finetune(tiny_bert, data, tmp_path / "run", *EXACT, "--max_steps", 1)
    assert run.done is not None and "test has no labels in any of its 60 rows" in run.done.err
    assert run.manifest["data"]["rows"] == {"train": 216, "validation": 24}
    done = run_cli(MODEL, "evaluate", run.folder)
    assert done.code == 0 and "validation" in done.out, done.err


def test_a_file_that_is_only_a_test_split(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    done = run_cli(MODEL, "finetune", "--model", tiny_bert, "--data", reviews / "test.csv",
                   "--output_dir", tmp_path / "run")  # fmt: skip
    assert done.code == 2 and "has no split to train on, but test only" in done.err
    assert len(done.err.splitlines()) == 1


# --- media


def images(folder: Path, test: list[int]) -> Path:
    features = datasets.Features(image=PLAIN, label=CODES)
    for split, labels in (("train", [0, 1] * 4), ("test", test)):
        media = [{"bytes": png_bytes(10 * i), "path": None} for i in range(len(labels))]
        rows = datasets.Dataset.from_dict({"image": media, "label": labels}, features=features)
        rows.to_parquet(folder / f"{split}.parquet")
    return folder


def test_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = DataArgs(data=str(images(tmp_path, [-1, -1, -1])), validation_size=0.25)
    task, examples = image_classification.from_data(image_classification.Args(), data)
    assert task.labels == ("negative", "positive")
    assert {name: split.num_rows for name, split in examples.splits.items()} == {
        "train": 6, "validation": 2
    }  # fmt: skip
    assert "warning: test has no labels in any of its 3 rows" in capsys.readouterr().err
    found = image_classification.for_evaluation(task, data, None, examples.fingerprint)
    assert list(found.splits) == ["validation"]
    with pytest.raises(UserError, match="has no labels in any of its rows"):
        image_classification.for_evaluation(task, data, "test", examples.fingerprint)
    images(tmp_path, [0, -1, 1])
    with pytest.raises(UserError, match="test, row 2: the label is -1"):
        image_classification.from_data(image_classification.Args(), data)


def sounds(folder: Path, test: str) -> Path:
    """Four sounds to train on and two to test with; `test` is what its table says."""
    for split, content in (("train", None), ("test", test)):
        names = [f"{i}.wav" for i in range(4 if split == "train" else 2)]
        for name in names:
            wav(folder / split / name, 0.1)
        table = "file_name,label\n" + "".join(f"{n},{'ab'[i % 2]}\n" for i, n in enumerate(names))
        (folder / split / "metadata.csv").write_text(table if content is None else content)
    return folder


@pytest.mark.parametrize(
    "test", ["file_name,label\n0.wav,\n1.wav,\n", "file_name,Speaker\n0.wav,x\n1.wav,y\n"]
)
def test_sounds(test: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = DataArgs(data=str(sounds(tmp_path, test)), validation_size=0)
    task, examples = audio_classification.from_data(audio_classification.Args(), data)
    assert (task.labels, list(examples.splits)) == (("a", "b"), ["train"])
    assert "warning: test has no labels in any of its 2 rows" in capsys.readouterr().err


@pytest.mark.parametrize("test", ["", None])
def test_transcriptions(test: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split in ("train", "test"):
        rows = []
        for i in range(3):
            wav(tmp_path / split / f"{i}.wav", 0.1)
            text = "yes" if split == "train" else test
            rows.append(json.dumps({"file_name": f"{i}.wav", "text": text}))
        (tmp_path / split / "metadata.jsonl").write_text("\n".join(rows))
    data = DataArgs(data=str(tmp_path), validation_size=0)
    args = speech_recognition.Args()
    _, examples = speech_recognition.from_data(args, data)
    assert list(examples.splits) == ["train"]
    assert "warning: test has no transcriptions in any of its 3 rows" in capsys.readouterr().err
    rows[1] = json.dumps({"file_name": "1.wav", "text": "no"})
    (tmp_path / "test" / "metadata.jsonl").write_text("\n".join(rows))
    if test is None:
        with pytest.raises(UserError, match="test, row 1 has no transcription: every sound needs"):
            speech_recognition.from_data(args, data)
    else:  # silence
        assert "test" in speech_recognition.from_data(args, data)[1].splits


def test_paths_of_windows(tmp_path: Path) -> None:
    """A table that was written there and carried over with its files."""
    for i in range(6):
        png(tmp_path / "imgs" / f"{i}.png", 10 * i)
    png(tmp_path / "imgs\\odd.png", 99)  # a name may have a backslash here
    rows = [f"imgs\\{i}.png,{'ab'[i % 2]}" for i in range(6)] + ["imgs\\odd.png,a"]
    (tmp_path / "train.csv").write_text("image,label\n" + "\n".join(rows) + "\n")
    data = DataArgs(data=str(tmp_path / "train.csv"), validation_size=0, test_size=0)
    _, examples = image_classification.from_data(image_classification.Args(), data)
    assert [media["path"] for media in examples.splits["train"]["media"]] == [
        *(str(tmp_path / "imgs" / f"{i}.png") for i in range(6)),
        str(tmp_path / "imgs\\odd.png"),
    ]
    before = examples.fingerprint
    (tmp_path / "train.csv").write_text("image,label\n" + "imgs\\9.png,a\n")
    with pytest.raises(UserError, match=r"line 2, names imgs\\9.png, and there is no such file"):
        image_classification.from_data(image_classification.Args(), data)
    moved = Path(shutil.move(tmp_path / "imgs", tmp_path / "other"))
    moved.rename(tmp_path / "imgs")
    (tmp_path / "train.csv").write_text("image,label\n" + "\n".join(rows) + "\n")
    again = image_classification.from_data(image_classification.Args(), data)[1]
    assert again.fingerprint == before
