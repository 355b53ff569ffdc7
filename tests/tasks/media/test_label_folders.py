"""Folders by label, and folders of files without any."""

from pathlib import Path

import datasets
import pytest

from tests.media import labelled, parquet, png, png_bytes, read, refusal, write


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)


# --- a folder by label


@pytest.mark.parametrize("inside", ["", "archive/", "archive/inner/"])
def test_labels_are_folders(tmp_path: Path, inside: str) -> None:
    for name in ("b/2.png", "a/10.PNG", "a/deep/er/1.jpg", "a/notes.txt", "a/.hidden.png"):
        png(tmp_path / inside / name)
    png(tmp_path / inside / "__MACOSX" / "a" / "._1.png")
    png(tmp_path / inside / ".git" / "1.png")
    source = read(tmp_path)
    assert labelled(source) == {"train": [("10.PNG", "a"), ("1.jpg", "a"), ("2.png", "b")]}
    assert source.splits["train"].features["label"] == datasets.Value("string")
    assert source.name == tmp_path.name


def test_splits_are_folders_above_the_labels(tmp_path: Path) -> None:
    for split in ("Train", "val", "validation", "testing"):
        for label in "ab":
            png(tmp_path / split / label / f"{split}.png")
    (tmp_path / "scripts").mkdir()
    rows = labelled(read(tmp_path))
    assert list(rows) == ["train", "validation", "test"]
    assert rows["validation"] == [
        ("val.png", "a"),
        ("val.png", "b"),
        ("validation.png", "a"),
        ("validation.png", "b"),
    ]


def test_a_train_is_also_a_vehicle(tmp_path: Path) -> None:
    for label in ("bus", "car", "train"):
        png(tmp_path / label / "1.png")
    assert [label for _, label in labelled(read(tmp_path))["train"]] == ["bus", "car", "train"]


def test_equal_names_under_different_labels_are_different_files(tmp_path: Path) -> None:
    png(tmp_path / "a" / "1.png", 1)
    png(tmp_path / "b" / "1.png", 2)
    split = read(tmp_path).splits["train"]
    assert [Path(value["path"]).read_bytes() for value in split["media"]] == [
        png_bytes(1),
        png_bytes(2),
    ]


def test_a_tables_of_something_else_does_not_hide_the_labels(tmp_path: Path) -> None:
    png(tmp_path / "a" / "1.png")
    png(tmp_path / "b" / "1.png")
    write(tmp_path / "class_to_idx.json", '{"a": 0, "b": 1}')
    write(tmp_path / "a" / "image.csv", "image,label\nnowhere.png,1\n")
    assert labelled(read(tmp_path)) == {"train": [("1.png", "a"), ("1.png", "b")]}


@pytest.mark.parametrize("other", [None, "notes.txt"])
def test_an_empty_label_folder_is_named(tmp_path: Path, other: str | None) -> None:
    png(tmp_path / "a" / "1.png")
    (tmp_path / "höher").mkdir()
    if other:
        write(tmp_path / "höher" / other, "x")
    assert refusal(tmp_path) == (
        f"the label folder 'höher' of {tmp_path} has no image files (.jpg, .png): put some there,"
        " or remove it"
    )


def test_a_label_that_only_one_split_lacks_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("train/a/1.png", "train/b/1.png", "test/a/1.png"):
        png(tmp_path / name)
    (tmp_path / "test" / "b").mkdir()
    assert [label for _, label in labelled(read(tmp_path))["test"]] == ["a"]
    assert capsys.readouterr().err == "warning: no image files in the label folder 'b' of test\n"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["1.png", "2.png"], "has 2 image files without a label, the first is 1.png: move each"),
        (["a/1.png", "b/1.png", "stray.png"], "has 1 image file without a label, the first is s"),
        (["train/a/1.png", "test/1.png"], "test has 1 image file without a label"),
        (["train/1.png", "test/1.png"], "has 1 image file without a label"),
        (["train/a/1.png", "test/"], "test has no image files (.jpg, .png)"),
        (["train/a/1.png", "extra/a/1.png"], "extra stands beside train, but is no split"),
        (["train/a/1.png", "test/a/1.png", "1.png"], "1.png stands beside the folders of the"),
        (["a/1.wav"], "has only .wav, and no image files (.jpg, .png) or tables of them (csv"),
        ([], "has no files, and no image files"),
        (["a/"], "has no files, and no image files"),
    ],
)
def test_unusable_folders(tmp_path: Path, names: list[str], expected: str) -> None:
    for name in names:
        if name.endswith("/"):
            (tmp_path / name).mkdir(parents=True)
        else:
            png(tmp_path / name)
    assert expected in refusal(tmp_path)


# --- without labels


def test_unlabeled_files_lie_anywhere(tmp_path: Path) -> None:
    for name in ("1.png", "a/2.png", "test/3.png", "x/dev/y/4.jpg", "test.png"):
        png(tmp_path / name)
    write(tmp_path / "metadata.csv", "file_name,label\n1.png,x\n")
    splits = read(tmp_path, unlabeled=True).splits
    names = {
        name: [Path(value["path"]).name for value in split["media"]]
        for name, split in splits.items()
    }
    assert names == {
        "train": ["1.png", "2.png", "test.png"],
        "test": ["3.png"],
        "validation": ["4.jpg"],
    }
    assert all(split.column_names == ["media"] for split in splits.values())


def test_unlabeled_tables_lose_their_other_columns(tmp_path: Path) -> None:
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    parquet(tmp_path / "a.parquet", [{"bytes": b"x", "path": None}], features)
    source = read(tmp_path / "a.parquet", unlabeled=True)
    assert source.splits["train"][0] == {"media": {"bytes": b"x", "path": None}}
    assert source.fingerprint == read(tmp_path / "a.parquet").fingerprint
