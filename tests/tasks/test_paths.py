"""Paths as people give them."""

from pathlib import Path

import pytest

from tasks.paths import expanded, is_file, is_folder


def test_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/a b") == tmp_path / "a b" and expanded(Path("~")) == tmp_path
    assert expanded("a/~") == Path("a/~")
    assert expanded("~nobody-of-this-name x") == Path("~nobody-of-this-name x")


def test_what_is_no_name_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    assert is_file(tmp_path / "a") and not is_folder(tmp_path / "a") and is_folder(tmp_path)
    for name in ("x" * 300, "x/" * 5000, "a\0b"):
        assert not is_file(tmp_path / name) and not is_folder(Path(name))
