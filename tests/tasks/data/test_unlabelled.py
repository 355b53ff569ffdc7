"""Examples without labels: the rest of train, or other data, and never what is held out."""

import dataclasses
import hashlib
from pathlib import Path

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.data.source import DataArgs, Source, limit
from tasks.data.splits import left_out
from tasks.data.unlabelled import content, find
from tasks.errors import UserError
from tasks.nlp import text_classification
from tasks.speech import audio_classification
from tasks.vision import image_classification


def _texts(texts: list[str | None]) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"text": texts, "label": ["a"] * len(texts)})


def _no_load(other: DataArgs) -> Source:
    raise AssertionError("nothing else was asked for")


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 99))
def test_kept_and_left_out_make_up_train(n: int, most: int, seed: int) -> None:
    data = DataArgs(max_train_samples=most, split_seed=seed)
    train = _texts([str(i) for i in range(n)])
    kept = limit(datasets.DatasetDict(train=train), data)["train"]["text"]
    others = left_out(train, data)["text"]
    assert len(kept) == min(n, most)
    assert sorted([*kept, *others], key=int) == train["text"][:]


def test_the_rest_of_a_cut_train_split(reviews: Path, tmp_path: Path) -> None:
    """One file: validation and test are cut from it first."""
    file = tmp_path / "all.csv"
    file.write_text((reviews / "train.csv").read_text())
    data = DataArgs(data=str(file), max_train_samples=50, split_seed=3)
    args = text_classification.Args()
    _, examples = text_classification.from_data(args, data)
    pool = text_classification.unlabelled(args, data, "rest")
    assert list(pool.splits) == ["train"] and pool.splits["train"].column_names == ["text"]
    parts = [set(split["text"]) for split in (*examples.splits.values(), pool.splits["train"])]
    assert [len(part) for part in parts] == [50, 24, 24, 142]
    assert len(set.union(*parts)) == 240
    assert pool.fingerprint == examples.fingerprint


def test_rest_wants_a_limit_that_leaves_something(reviews: Path) -> None:
    args = text_classification.Args()
    with pytest.raises(UserError, match="`max_train_samples`"):
        text_classification.unlabelled(args, DataArgs(data=str(reviews)), "rest")
    with pytest.raises(UserError, match="leaves no rows"):
        data = DataArgs(data=str(reviews), max_train_samples=240)
        text_classification.unlabelled(args, data, "rest")


def test_other_texts_without_those_held_out_or_empty(reviews: Path, tmp_path: Path) -> None:
    data = DataArgs(data=str(reviews))
    args = text_classification.Args()
    _, examples = text_classification.from_data(args, data)
    held = examples.splits["test"]["text"][0], examples.splits["validation"]["text"][0]
    quoted = "".join(f'"{text}"\n' for text in held)
    other = tmp_path / "more.csv"
    other.write_text(f'sentence\nsomething new\n{quoted}""\nand more\n')
    pool = text_classification.unlabelled(args, data, str(other))
    assert pool.splits["train"]["text"][:] == ["something new", "and more"]
    assert pool.name == "more.csv" and pool.fingerprint != examples.fingerprint


def test_the_same_data_gives_its_training_rows(reviews: Path) -> None:
    data = DataArgs(data=str(reviews), max_train_samples=10)
    args = text_classification.Args()
    everything = text_classification.from_data(args, DataArgs(data=str(reviews)))[1].splits
    held_out = {*everything["validation"]["text"], *everything["test"]["text"]}
    pool = text_classification.unlabelled(args, data, str(reviews))
    expected = [text for text in everything["train"]["text"] if text not in held_out]
    assert pool.splits["train"]["text"][:] == expected and len(expected) > 230


def test_held_out_splits_only_are_refused() -> None:
    splits = datasets.DatasetDict(train=_texts(["x"]), test=_texts(["y"]))
    source = Source(splits, "s", "f")

    def load(other: DataArgs) -> Source:
        return Source(datasets.DatasetDict(test=_texts(["z"])), "o", "g")

    with pytest.raises(UserError, match="has a test split only"):
        find(source, splits, DataArgs(), "o", load)


def test_splits_with_other_names_count() -> None:
    """As the Hub's data sets have them: unsupervised, unlabeled."""
    splits = datasets.DatasetDict(train=_texts(["x"]), test=_texts(["y"]))

    def load(other: DataArgs) -> Source:
        assert other.data == "o" and other.data_config is None
        made = {"train": ["a"], "test": ["b"], "unsupervised": ["c", "y", None]}
        found = {name: _texts(list(texts)) for name, texts in made.items()}
        return Source(datasets.DatasetDict(found), "o", "g")

    data = DataArgs(data_config="labelled")
    pool = find(Source(splits, "s", "f"), splits, data, "o", load)
    assert pool.splits["train"]["text"][:] == ["a", "c"]


def test_images_of_a_folder_without_labels(images: Path, tmp_path: Path) -> None:
    """Also where a held-out file lies in it under another name."""
    flat = tmp_path / "flat"
    flat.mkdir()
    sources = sorted((images / "train").rglob("*.png"))[:5]
    held = sorted((images / "test").rglob("*.png"))[0]
    for i, file in enumerate((*sources, held)):
        (flat / f"{i}.png").write_bytes(file.read_bytes())
    args = image_classification.Args()
    pool = image_classification.unlabelled(args, DataArgs(data=str(images)), str(flat))
    assert len(pool.splits["train"]) == 5
    assert pool.splits["train"].column_names == ["media"]
    everything = image_classification.unlabelled(args, DataArgs(data=str(images)), str(images))
    assert len(everything.splits["train"]) == 144


def test_sounds(sounds: Path) -> None:
    data = DataArgs(data=str(sounds), max_train_samples=44)
    pool = audio_classification.unlabelled(audio_classification.Args(), data, "rest")
    assert len(pool.splits["train"]) == 100


def test_content_is_of_the_file_wherever_it_lies(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"same")
    by_path = {"media": {"bytes": None, "path": str(tmp_path / "a")}}
    in_table = {"media": {"bytes": b"same", "path": "b"}}
    digest = hashlib.sha256(b"same").hexdigest()
    assert content(by_path) == content(in_table) == digest
    gone = {"media": {"bytes": None, "path": str(tmp_path / "gone")}}
    assert content(gone) == str(tmp_path / "gone")


def test_rest_reads_nothing_else() -> None:
    splits = datasets.DatasetDict(train=_texts(["x", "y", "z"]), test=_texts(["t"]))
    data = dataclasses.replace(DataArgs(), max_train_samples=1)
    pool = find(Source(splits, "s", "f"), splits, data, "rest", _no_load)
    assert len(pool.splits["train"]) == 2
