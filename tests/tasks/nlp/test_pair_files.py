"""Two files side by side, and folders of them."""

from pathlib import Path

import pytest

from tasks.data.source import DataArgs
from tasks.errors import UserError
from tasks.nlp import pair_files


def load(data: object) -> pair_files.Source:
    return pair_files.load(DataArgs(data=str(data)), lambda: pytest.fail("embedded"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.en").write_text("a cat\n\na line\u2028of one\r\n")
    (tmp_path / "train.fr").write_text("un chat\n\nune ligne")
    (tmp_path / "newstest.en").write_text("one\n")
    (tmp_path / "newstest.fr").write_text("un\n")
    return tmp_path


def test_line_by_line(folder: Path) -> None:
    """An empty line has its place, a line is cut at its end and nowhere else."""
    source = load(f"{folder}/train.en,{folder}/train.fr")
    assert source.name == "train.en and train.fr"
    rows = source.splits["train"]
    assert rows["source"][:] == ["a cat", "", "a line\u2028of one"]
    assert rows["target"][:] == ["un chat", "", "une ligne"]
    turned = load(f"{folder}/train.fr, {folder}/train.en")
    assert turned.splits["train"]["source"][:] == rows["target"][:]
    assert turned.fingerprint != source.fingerprint
    again = load(f"{folder}/train.en,{folder}/train.fr")
    assert again.fingerprint == source.fingerprint


def test_a_name_says_the_split(folder: Path, tmp_path: Path) -> None:
    (folder / "my test.en").write_text("one\n")
    (folder / "my test.fr").write_text("un\n")
    assert list(load(f"{folder}/my test.en,{folder}/my test.fr").splits) == ["test"]


def test_a_folder_of_splits_and_languages(folder: Path) -> None:
    (folder / "newstest.en").rename(folder / "test.en")
    (folder / "newstest.fr").rename(folder / "test.fr")
    (folder / "README").write_text("about")
    source = load(folder)
    assert {name: rows.num_rows for name, rows in source.splits.items()} == {"train": 3, "test": 1}
    assert source.splits["test"].column_names == ["en", "fr"]


def test_other_numbers_of_lines_are_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"train.en has 3 lines and .*newstest.fr 1: side by side"):
        load(f"{folder}/train.en,{folder}/newstest.fr")


def test_a_file_that_is_written_meanwhile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lines would be kept under the fingerprint of others."""
    lines_of = pair_files.lines_of

    def written(path: Path) -> list[str]:
        found = lines_of(path)
        with path.open("a") as file:
            file.write("\none more")
        return found

    (folder / "train.en").write_text("of its own\n\na line")
    with monkeypatch.context() as patch, pytest.raises(UserError, match="was written to while it"):
        patch.setattr(pair_files, "lines_of", written)
        load(f"{folder}/train.en,{folder}/train.fr")
    rows = load(f"{folder}/train.en,{folder}/train.fr").splits["train"]
    assert rows["target"][:] == ["un chat", "", "une ligne", "one more"]


def test_what_is_missing_is_named(folder: Path) -> None:
    with pytest.raises(UserError, match=r"there is no file or folder .*train.de"):
        load(f"{folder}/train.en,{folder}/train.de")
    (folder / "test.en").write_text("one\n")
    with pytest.raises(UserError, match=r"has test.en, but no file of test in 'fr' beside it"):
        load(folder)
    (folder / "t.csv").write_text("en,fr\na,b\n")
    with pytest.raises(UserError, match="is a table: two files side by side have a text a line"):
        load(f"{folder}/train.en,{folder}/t.csv")


def test_a_file_that_is_no_text(folder: Path) -> None:
    (folder / "train.fr").write_bytes("\u00e9t\u00e9\n\n\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"train.fr is not UTF-8 text"):
        load(f"{folder}/train.en,{folder}/train.fr")
    (folder / "empty.en").write_text("")
    with pytest.raises(UserError, match=r"empty.en is empty"):
        load(f"{folder}/empty.en,{folder}/empty.en")


def test_a_comma_in_a_name_is_no_second_file(tmp_path: Path) -> None:
    (tmp_path / "a,b.csv").write_text("en,fr\na,b\n")
    assert load(tmp_path / "a,b.csv").splits["train"].column_names == ["en", "fr"]
