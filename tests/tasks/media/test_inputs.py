"""Names of a command line to files."""

import io
import os
import sys
from pathlib import Path

import pytest

from tasks.errors import UserError
from tasks.media.inputs import expand

SUFFIXES = frozenset({".wav", ".flac"})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.wav", "b.FLAC", "notes.txt", "deep/c.wav", "deep/er/d.wav", "[x].wav"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*names: str) -> list[str]:
    return [path.as_posix() for path in expand(names, SUFFIXES, "audio files")]


def refusal(*names: str) -> str:
    with pytest.raises(UserError) as problem:
        found(*names)
    assert "\n" not in str(problem.value)
    return str(problem.value)


def test_files_folders_globs(home: Path) -> None:
    assert found("b.FLAC", "a.wav", "notes.txt") == ["b.FLAC", "a.wav", "notes.txt"]
    assert found("deep") == ["deep/c.wav", "deep/er/d.wav"]
    assert found("*.wav") == ["[x].wav", "a.wav"]
    assert found("**/*.wav") == ["[x].wav", "a.wav", "deep/c.wav", "deep/er/d.wav"]
    assert found("*") == ["[x].wav", "a.wav", "b.FLAC"]
    assert found("*.txt") == ["notes.txt"]
    assert found(f"{home}/*.wav") == [f"{home}/[x].wav", f"{home}/a.wav"]
    assert found("[x].wav") == ["[x].wav"]
    assert found() == []


def test_names_on_standard_input(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a.wav\r\n\ndeep/c.wav\n"))
    assert found("b.FLAC", "-") == ["b.FLAC", "a.wav", "deep/c.wav"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("a.wav\nnix.wav\n"))
    assert refusal("-") == "standard input, line 2: there is no file nix.wav"


def test_names_are_bytes_whatever_the_terminal_s_encoding(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["grüße.wav", os.fsdecode(b"\xff.wav")]
    for name in names:
        Path(name).touch()
    content = b"\xef\xbb\xbf" + b"\n".join(map(os.fsencode, names)) + b"\n"
    for encoding in ("latin-1", "ascii", "utf-8"):
        stream = io.TextIOWrapper(io.BytesIO(content), encoding)
        monkeypatch.setattr(sys, "stdin", stream)
        assert found("-") == names
    monkeypatch.setattr(sys, "stdin", None)
    assert "standard input is closed" in refusal("-")


def test_what_is_not_there(home: Path) -> None:
    assert refusal("a.wave") == "there is no file or folder a.wave; did you mean a.wav?"
    assert refusal("*.mp3") == "no audio files match *.mp3"
    assert refusal("empty") == "the folder empty has no audio files (flac, wav)"
    assert "too long to be the name of a file" in refusal("x" * 300)
    assert "too long to be the name of a file" in refusal("deep/" + "ü" * 200)


def test_nothing_is_looked_for_before_its_turn(home: Path) -> None:
    files = expand(["a.wav", "nix.wav"], SUFFIXES, "audio files")
    assert next(files) == Path("a.wav")
    with pytest.raises(UserError):
        next(files)


def test_odd_names(home: Path) -> None:
    names = ["grüße \U0001f600.wav", "a b\tc.wav", os.fsdecode(b"\xff.wav")]
    for name in names:
        Path(name).touch()
    assert found(*names) == names
    assert set(names) < set(found("."))
