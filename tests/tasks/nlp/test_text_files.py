"""Folders of texts: IMDb's layout, 20 Newsgroups', and one's own."""

from pathlib import Path

import datasets
import pytest

from tasks.data.source import DataArgs, Source, load
from tasks.errors import UserError
from tasks.nlp import documents, text_classification, text_files
from tasks.nlp.text_classification import Args


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))


def no_embedded() -> datasets.DatasetDict:
    raise AssertionError("the embedded data were not asked for")


def read(path: Path) -> Source:
    return load(DataArgs(data=str(path)), no_embedded, text_files.load)


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def rows(source: Source) -> dict[str, list[tuple[str, str | None]]]:
    return {
        name: list(zip(split["text"], split["label"], strict=True))
        for name, split in source.splits.items()
    }


IMDB = {
    "README": "Large Movie Review Dataset",
    "imdbEr.txt": "0.1",
    "imdb.vocab": "the",
    "train/pos/0_9.txt": "fine<br />film",
    "train/pos/1_7.txt": "good",
    "train/neg/0_3.txt": "bad",
    "train/unsup/0_0.txt": "whatever",
    "train/urls_pos.txt": "http://www.imdb.com/title/tt0453418/usercomments",
    "train/labeledBow.feat": "9 0:9",
    "test/pos/0_10.txt": "great",
    "test/neg/0_2.txt": "worse",
}


@pytest.mark.parametrize("inside", ["", "aclImdb/", "imdb/aclImdb/"])
def test_imdb(tmp_path: Path, inside: str, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {f"{inside}{name}": content for name, content in IMDB.items()})
    found = read(tmp_path)
    assert rows(found) == {
        "train": [("bad", "neg"), ("fine<br />film", "pos"), ("good", "pos")],
        "test": [("worse", "neg"), ("great", "pos")],
        "unsupervised": [("whatever", None)],
    }
    (note,) = capsys.readouterr().err.splitlines()
    assert note.startswith(f"note: texts of {tmp_path} outside of the folders of labels")
    assert f"{inside}README, {inside}imdbEr.txt, {inside}train/urls_pos.txt" in note


def test_a_classifier_learns_of_imdb_without_its_unlabelled_reviews(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, IMDB)
    data = DataArgs(data=str(tmp_path), validation_size=0)
    task, examples = text_classification.from_data(Args(), data)
    assert task.labels == ("neg", "pos")
    assert list(examples.splits) == ["train", "test"]
    assert examples.unlabelled == {"unsupervised": 1}
    assert "unsupervised has no labels in any of its 1 rows" in capsys.readouterr().err
    others = text_classification.unlabelled(Args(), data, str(tmp_path / "train" / "unsup"))
    assert others.splits["train"]["text"] == ["whatever"]


def test_20_newsgroups(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mail = "From: a@b.c\nSubject: caf\xe9\n\nhello".encode("latin-1")
    write(
        tmp_path,
        {
            "20news-bydate-train/alt.atheism/49960": mail,
            "20news-bydate-train/sci.space/59848": "orbit",
            "20news-bydate-test/sci.space/60151": "moon",
        },
    )
    found = read(tmp_path)
    assert rows(found) == {
        "train": [(mail.decode("latin-1"), "alt.atheism"), ("orbit", "sci.space")],
        "test": [("moon", "sci.space")],
    }
    assert found.splits["train"]["encoding"] == ["latin-1", "utf-8"]
    expected = f"note: 1 of 3 texts of {tmp_path} are not UTF-8 and were read as Latin-1"
    for _ in range(2):  # out of the cache, too
        assert expected in capsys.readouterr().err
        again = read(tmp_path)
    assert rows(again) == rows(found) and again.fingerprint == found.fingerprint
    one = read(tmp_path / "20news-bydate-train")
    assert rows(one) == {"train": rows(found)["train"]}, "one split, of its own folder"


def test_labels_may_be_anything_a_folder_is_called(tmp_path: Path) -> None:
    write(tmp_path, {"很 好/一.txt": "这部电影很好", "train/1.txt": "a", "bus stop/deep/1": "b"})
    assert rows(read(tmp_path)) == {
        "train": [("b", "bus stop"), ("a", "train"), ("这部电影很好", "很 好")]
    }, "a train is a vehicle beside a bus"


@pytest.mark.parametrize(
    ("content", "text", "encoding"),
    [
        ("é".encode(), "é", "utf-8"),
        ("é".encode("utf-8-sig"), "é", "utf-8"),
        ("é".encode("utf-16"), "é", "utf-16"),
        (b"\xe9\x80", "é\x80", "latin-1"),
        (b"", "", "utf-8"),
    ],
)
def test_encodings(content: bytes, text: str, encoding: str) -> None:
    assert text_files.decoded(content, "a") == (text, encoding)


def test_a_file_with_zero_bytes_is_no_text(tmp_path: Path) -> None:
    write(tmp_path, {"a/1": b"\x7fELF\0\0", "b/1.txt": "b"})
    with pytest.raises(UserError, match="a/1 has zero bytes, so it is no text"):
        read(tmp_path)


def test_texts_without_labels_have_no_column_of_them(tmp_path: Path) -> None:
    write(tmp_path, {"1.txt": "one", "2.txt": "two"})
    split = read(tmp_path).splits["train"]
    assert split.column_names == ["text", "file", "encoding"]
    assert split["file"] == ["1.txt", "2.txt"]
    wanted = f"put the texts of each label into a folder of its name ({tmp_path.name}/LABEL/"
    with pytest.raises(UserError) as error:
        text_classification.from_data(Args(), DataArgs(data=str(tmp_path)))
    assert wanted in str(error.value)


OF_TEST = {"test/neg/0_1.txt": "dull", "test/pos/0_9.txt": "fine", "test/urls_neg.txt": "http://a"}


@pytest.mark.parametrize(
    ("folder", "labels", "expected", "told"),
    [
        ("test", ("neg", "pos"), ["neg/0_1.txt", "pos/0_9.txt"], "left out: urls_neg.txt"),
        ("", ("neg", "pos"), ["test/neg/0_1.txt", "test/pos/0_9.txt"], "test/urls_neg.txt"),
        ("test", (), ["neg/0_1.txt", "pos/0_9.txt", "urls_neg.txt"], ""),
        ("test", ("bad", "good"), ["neg/0_1.txt", "pos/0_9.txt", "urls_neg.txt"], ""),
        ("test/neg", ("neg", "pos"), ["0_1.txt"], ""),
    ],
)
def test_texts_to_predict_on_are_those_of_the_labels(
    tmp_path: Path,
    folder: str,
    labels: tuple[str, ...],
    expected: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Folders that are called otherwise than the labels are just folders: all in them is read."""
    write(tmp_path, OF_TEST)
    root = tmp_path / folder
    found = text_files.texts_in(root, labels)
    assert [file.relative_to(root).as_posix() for file in found] == expected
    said = capsys.readouterr().err
    assert told in said and bool(said) == bool(told)


def test_a_folder_that_is_no_split_beside_those_that_are(tmp_path: Path) -> None:
    write(tmp_path, {"train/a/1.txt": "x", "test/a/1.txt": "y", "more/a/1.txt": "z"})
    with pytest.raises(UserError, match=r"more stands beside test, train, but is no split"):
        read(tmp_path)


def test_a_table_wins_over_texts_beside_it(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": "text,label\nx,a\ny,b\n", "notes/1.txt": "no example"})
    assert rows(read(tmp_path)) == {"train": [("x", "a"), ("y", "b")]}


@pytest.mark.parametrize("documents_first", [True, False])
def test_two_readers_of_one_folder(tmp_path: Path, documents_first: bool) -> None:
    """Each has copies of its own: one wants labels, the other reads documents."""
    write(tmp_path, {"pos/a.txt": "fine", "neg/b.txt": "bad"})
    readers = [documents.load, text_files.load]
    for reader in readers if documents_first else reversed(readers):
        splits, _ = reader(tmp_path)
        assert ("label" in splits["train"].column_names) == (reader is text_files.load)
        assert sorted(splits["train"]["text"]) == ["bad", "fine"]


def test_a_changed_text_is_read_anew(tmp_path: Path) -> None:
    write(tmp_path, {"a/1.txt": "x", "b/1.txt": "y"})
    before = read(tmp_path)
    write(tmp_path, {"a/1.txt": "z"})
    after = read(tmp_path)
    assert rows(after)["train"][0] == ("z", "a") and before.fingerprint != after.fingerprint


@pytest.mark.parametrize("name", ["aclImdb_v1.tar.gz", "a.zip", "b.tgz"])
def test_archives_are_to_be_unpacked(tmp_path: Path, name: str) -> None:
    write(tmp_path, {name: b"PK"})
    with pytest.raises(UserError, match="is an archive: unpack it, and give the folder"):
        read(tmp_path / name)
