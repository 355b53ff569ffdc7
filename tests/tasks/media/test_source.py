"""Images and sound as data: where they come from, as what files, and what a fingerprint follows."""

import os
import socket
from pathlib import Path

import datasets
import pytest

from tasks.data import files, fingerprint
from tasks.data.source import DataArgs
from tasks.media import files as media_files
from tasks.media.source import load_media, name_of
from tests.cli import run_program
from tests.media import AUDIO, IMAGES, PLAIN, labelled, png, read, refusal, write

NAMES = datasets.ClassLabel(names=["no", "yes"])


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    return folder


def test_importing_the_modules_is_light() -> None:
    code = (
        "import sys, tasks.media.source, tasks.media.decoding; "
        "print({'torch', 'datasets', 'pyarrow', 'PIL', 'soundfile'} & set(sys.modules))"
    )
    done = run_program(code)
    assert done.out.strip() == "set()"


def test_names_in_messages() -> None:
    assert name_of({"bytes": None, "path": "a/b.png"}, 3) == "a/b.png"
    assert name_of({"bytes": b"x", "path": None}, 11) == "row 12"


# --- the Hub and embedded data


def test_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    features = datasets.Features({"img": datasets.Image(), "label": NAMES})
    value = {"bytes": b"no image", "path": "a.png"}
    rows = datasets.Dataset.from_dict({"img": [value] * 3, "label": [0, 1, 0]}, features=features)
    found = datasets.DatasetDict({"train": rows.select([2, 1]), "test": rows})
    monkeypatch.setattr("tasks.data.hub.load", lambda *_: (found, "commit"))
    source = read("someone/images")
    assert source.splits["train"].features == datasets.Features({"media": PLAIN, "label": NAMES})
    assert source.splits["train"].to_dict() == {"media": [value] * 2, "label": [0, 1]}
    assert source.splits["test"].select([0])[0] == {"media": value, "label": 0}
    assert (source.name, source.fingerprint) == ("someone/images", "commit")
    assert "has no column 'scan' for the image" in refusal("someone/images", column="scan")
    urls = datasets.DatasetDict({"train": datasets.Dataset.from_dict({"image": ["https://x"]})})
    monkeypatch.setattr("tasks.data.hub.load", lambda *_: (urls, "commit"))
    assert "holds string, not image files" in refusal("someone/urls")


def test_embedded() -> None:
    features = datasets.Features({"media": PLAIN, "label": NAMES})
    rows = {"media": [{"bytes": b"x", "path": None}], "label": [1]}
    made = datasets.DatasetDict({"train": datasets.Dataset.from_dict(rows, features=features)})
    source = load_media(DataArgs(), IMAGES, lambda: made)
    assert source.splits["train"].to_dict() == rows
    assert source.name == "embedded"


# --- files as they come


def test_names_that_are_long_or_not_ascii(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["déjà vu " * 12] * 20)  # 2 kB of path
    for folder in (tmp_path / "文字", tmp_path / "plain"):
        png(folder / ("x" * 246 + ".png"))
        png(folder / "naïve 'quoted', \"so\"\n.png")
    assert len(labelled(read(tmp_path))["train"]) == 4
    png(deep / "ä" / "1.png")
    png(deep / "b" / "1.png")
    assert labelled(read(deep)) == {"train": [("1.png", "b"), ("1.png", "ä")]}
    write(tmp_path / "a.csv", f"file\n{'x' * 246}.png\n").rename(tmp_path / "文字" / "a.csv")
    assert read(tmp_path / "文字" / "a.csv").splits["train"].num_rows == 1


def test_a_path_longer_than_the_system_takes_is_named(tmp_path: Path) -> None:
    assert refusal("x" * 300 + ".csv").endswith("x.csv cannot be read: File name too long")
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=here)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("1.png", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    assert refusal(tmp_path).endswith("cannot be read: File name too long")


def test_a_name_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    png(tmp_path / "a" / "1.png")
    try:
        png(tmp_path / "b" / os.fsdecode(b"f\xfcr.png"))
    except OSError:
        pytest.skip("the file system takes no such name")
    assert r"the name of f\xfcr.png in" in refusal(tmp_path)


def test_only_regular_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    png(tmp_path / "d" / "a" / "1.png")
    target = png(tmp_path / "target.png")
    (tmp_path / "d" / "b").mkdir()
    (tmp_path / "d" / "b" / "link.png").symlink_to(target)
    (tmp_path / "d" / "b" / "round").symlink_to(tmp_path / "d")
    os.mkfifo(tmp_path / "d" / "a" / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(tmp_path / "d" / "a")  # a socket's path is short
        listening.bind("socket.png")
        assert labelled(read(tmp_path / "d")) == {"train": [("1.png", "a"), ("link.png", "b")]}
    os.mkfifo(tmp_path / "pipe.csv")
    assert "neither a folder nor a regular file" in refusal(tmp_path / "pipe.csv")
    write(tmp_path / "a.csv", "image\nd/a/pipe.png\n")
    assert "line 2, names d/a/pipe.png, which is no regular file" in refusal(tmp_path / "a.csv")
    (tmp_path / "d" / "b" / "dangling.png").symlink_to(tmp_path / "nothing")
    assert "dangling.png is a symbolic link to nothing" in refusal(tmp_path / "d")


def test_a_linked_label_folder_is_followed(tmp_path: Path) -> None:
    png(tmp_path / "store" / "1.png")
    png(tmp_path / "d" / "a" / "1.png")
    (tmp_path / "d" / "b").symlink_to(tmp_path / "store")
    assert labelled(read(tmp_path / "d")) == {"train": [("1.png", "a"), ("1.png", "b")]}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("1.png", "is a .png file: image data are a folder of them (LABEL/*), or a table (csv"),
        ("1.zip", "is an archive: unpack it, and give the folder that comes out"),
        ("one", "is a file without a suffix"),
    ],
)
def test_one_file_is_no_data_set(tmp_path: Path, name: str, expected: str) -> None:
    assert expected in refusal(png(tmp_path / name))


@pytest.mark.parametrize("name", ["1.png", "a/b/1.png", "./here", "clips.wav"])
def test_a_missing_path_is_no_hub_id(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.data.hub.load", lambda *_: pytest.fail("the Hub was asked"))
    assert refusal(name).startswith(f"there is no file or folder {name}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read all")
def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    png(tmp_path / "a" / "1.png").chmod(0)
    assert f"{tmp_path / 'a' / '1.png'} cannot be read: Permission denied" in refusal(tmp_path)


# --- fingerprints and copies


def three_ways(root: Path) -> list[Path]:
    """The same kind of data as a folder by label, one with metadata, and a table of paths."""
    for name in ("1.png", "2.png"):
        png(root / "labels" / "a" / name, int(name[0]))
        png(root / "labels" / "b" / name, 7)
        png(root / "listed" / name, int(name[0]))
        png(root / "table" / "images" / name, int(name[0]))
    write(root / "listed" / "metadata.csv", "file_name,label\n1.png,a\n2.png,b\n")
    write(root / "table" / "x.csv", "image,label\nimages/1.png,a\n../listed/2.png,b\n")
    return [root / "labels", root / "listed", root / "table" / "x.csv"]


def test_a_moved_folder_is_the_same_data_at_another_place(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    paths = three_ways(one)
    before = [read(path) for path in paths]
    rows = [labelled(source) for source in before]
    one.rename(two)
    after = [read(two / path.relative_to(one)) for path in paths]
    assert [labelled(source) for source in after] == rows
    for source in after:
        assert all(str(two) in value["path"] for value in source.splits["train"]["media"])
    assert [source.fingerprint for source in before] == [source.fingerprint for source in after]
    marks = {source.splits["train"]._fingerprint for source in before + after}
    assert len(marks) == 6  # `map` must not serve the rows of the other place


def test_relative_and_absolute_ways_to_a_folder_are_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in three_ways(tmp_path):
        monkeypatch.chdir(tmp_path)
        absolute, relative = read(path), read(path.relative_to(tmp_path))
        assert absolute.fingerprint == relative.fingerprint
        monkeypatch.chdir("/")
        assert labelled(absolute) == labelled(relative)


def test_the_fingerprint_follows_names_and_bytes(tmp_path: Path) -> None:
    paths = three_ways(tmp_path)
    images = ("labels/a/1.png", "listed/1.png", "table/images/1.png")
    for path, name in zip(paths, images, strict=True):
        known = read(path).fingerprint
        old = (tmp_path / name).stat()
        png(tmp_path / name, 200)
        os.utime(tmp_path / name, ns=(old.st_atime_ns, old.st_mtime_ns))
        assert read(path).fingerprint != known
        png(tmp_path / name, 1)
        assert read(path).fingerprint == known
    known = read(tmp_path / "labels").fingerprint
    (tmp_path / "labels/a/1.png").rename(tmp_path / "labels/b/3.png")
    assert read(tmp_path / "labels").fingerprint != known


def test_many_files_have_the_fingerprint_of_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        png(tmp_path / "ab"[number % 2] / f"{number}.png", number)
    alone = read(tmp_path).fingerprint
    monkeypatch.setattr("tasks.data.fingerprint.FILES_A_JOB", 2)
    assert read(tmp_path).fingerprint == alone
    missing = tmp_path / "a" / "missing.png"
    with pytest.raises(FileNotFoundError):
        fingerprint.of_files(
            [(str(n), tmp_path / "a" / "0.png") for n in range(5)] + [("x", missing)]
        )


def test_the_copy_holds_paths_and_no_bytes_of_files(tmp_path: Path, own_cache: Path) -> None:
    marker = b"bytes that no copy may hold"
    for name in ("a/1.png", "b/1.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(marker)
    assert labelled(read(tmp_path))["train"]
    copies = [path for path in own_cache.rglob("*") if path.is_file()]
    assert copies
    assert not any(marker in path.read_bytes() for path in copies)


# --- the real ones


def test_fashion_mnist(zoo_data: Path) -> None:
    source = read(zoo_data / "fashion_mnist")
    assert {name: split.num_rows for name, split in source.splits.items()} == {
        "train": 60_000,
        "test": 10_000,
    }
    assert source.splits["test"].features["label"].names[9] == "Ankle boot"
    assert source.splits["test"][0]["media"]["bytes"].startswith(b"\x89PNG")
    assert source.fingerprint == files.load(zoo_data / "fashion_mnist")[1]


def test_spoken_prompts(zoo_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = read(zoo_data / "spoken_prompts", AUDIO)
    assert {name: split.num_rows for name, split in source.splits.items()} == {
        "train": 432,
        "test": 122,
    }
    assert source.splits["test"][0]["transcription"] == "Activated."
    assert capsys.readouterr().err == ""


def test_walk_is_sorted(tmp_path: Path) -> None:
    for name in ("b/1", "a/2", "a/1", "c"):
        write(tmp_path / name, "")
    folders, found = media_files.walk(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in folders] == ["a", "b"]
    assert [str(path.relative_to(tmp_path)) for path in found] == ["a/1", "a/2", "b/1", "c"]
