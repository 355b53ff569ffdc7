"""What `predict` looks at: files, folders, globs, and names on standard input."""

import io
from contextlib import ExitStack
from pathlib import Path

import pytest

from tasks.errors import UserError
from tasks.vision import image_inputs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "b.JPG",
        "a.png",
        "notes.txt",
        "deep/er/ünï çødé.webp",
        "deep/c.tif",
        "empty/notes.txt",
        "x" * 200 + "/" + "y" * 200 + ".png",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"never opened")
    return tmp_path


def read(*names: str | Path) -> list[str]:
    with ExitStack() as stack:
        asked = image_inputs.Inputs(image=tuple(str(name) for name in names))
        found = list(image_inputs.read(asked, stack))
    assert all(media["bytes"] is None for media in found)
    return [media["path"] for media in found]


def named(folder: Path, *names: str) -> list[str]:
    return [str(folder / name) for name in names]


def test_folders_files_and_globs(folder: Path) -> None:
    long = "x" * 200 + "/" + "y" * 200 + ".png"
    every = named(folder, "a.png", "b.JPG", "deep/c.tif", "deep/er/ünï çødé.webp", long)
    assert read(folder) == every
    assert read(folder / "b.JPG", folder / "a.png") == named(folder, "b.JPG", "a.png")
    assert read(folder / "notes.txt") == named(folder, "notes.txt")
    assert read(folder / "deep/**/*.webp") == named(folder, "deep/er/ünï çødé.webp")
    assert read(folder / "*") == named(folder, "a.png", "b.JPG")
    assert read(folder / "*.png", folder / "deep") == named(
        folder, "a.png", "deep/c.tif", "deep/er/ünï çødé.webp"
    )


def test_a_name_with_the_marks_of_a_glob_is_a_file_where_it_is_there(folder: Path) -> None:
    (folder / "a[1].png").write_bytes(b"")
    assert read(folder / "a[1].png") == named(folder, "a[1].png")


def test_names_on_standard_input(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = named(folder, "b.JPG", "a.png")
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join([names[0], "", names[1]]) + "\n"))
    assert read("-") == names
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{names[0]}\nnothing.png\n"))
    with pytest.raises(UserError, match=r"line 2: there is no file nothing\.png"):
        read("-")


def test_names_come_one_by_one(folder: Path) -> None:
    with ExitStack() as stack:
        asked = image_inputs.Inputs(image=(str(folder / "a.png"), str(folder / "missing.png")))
        found = image_inputs.read(asked, stack)
        assert next(found)["path"] == str(folder / "a.png")
        with pytest.raises(UserError, match=r"missing\.png"):
            next(found)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, "give `image` with files, folders or globs"),
        ("a.pgn", "there is no file or folder .*a.pgn; did you mean .*a.png?"),
        ("empty", "empty has no images"),
        ("*.gif", "no images or videos match .*gif"),
        ("z" * 300 + ".png", "too long"),
    ],
)
def test_refusals(folder: Path, name: str | None, expected: str) -> None:
    with pytest.raises(UserError, match=expected) as error:
        read(*([folder / name] if name else []))
    assert "\n" not in str(error.value)
