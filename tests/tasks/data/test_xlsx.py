"""Tables of Excel: the first sheet, its types, and what is refused."""

import datetime
import sys
from pathlib import Path
from typing import Any

import datasets
import pytest

from tasks.data import tables
from tasks.data.source import DataArgs, Source, load
from tasks.errors import UserError
from tasks.nlp import text_inputs
from tests import media

openpyxl = pytest.importorskip("openpyxl")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))


def no_embedded() -> datasets.DatasetDict:
    raise AssertionError("the embedded data were not asked for")


def read(path: Path) -> Source:
    return load(DataArgs(data=str(path)), no_embedded)


def write(path: Path, *sheets: list[list[Any]], hidden: tuple[int, ...] = ()) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for place, rows in enumerate(sheets):
        sheet = book.create_sheet(f"page {place + 1}")
        for row in rows:
            sheet.append(row)
        if place in hidden:
            sheet.sheet_state = "hidden"
    book.save(path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as error:
        read(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_types(tmp_path: Path) -> None:
    day = datetime.datetime(2026, 11, 26)
    rows = [
        ["text", "label", "score", "yes", "any", "day"],
        ['很好 "a", b', 1, 2, True, 5, day],
        [None, None, None, None, None, None],
        ["0123", 0, 2.5, False, "x", day],
        [None, 1, None, True, 2.5, None],
    ]
    found = read(write(tmp_path / "a.xlsx", rows)).splits["train"]
    assert found.to_dict() == {
        "text": ['很好 "a", b', "0123", None],
        "label": [1, 0, 1],
        "score": [2.0, 2.5, None],
        "yes": [True, False, True],
        "any": ["5", "x", "2.5"],
        "day": ["2026-11-26", "2026-11-26", None],
    }
    assert tables.place_of(tmp_path / "a.xlsx", 1) == "row 4", "blank rows count on a sheet"


def test_a_folder_of_split_files(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write(tmp_path / f"{split}.xlsx", [["text", "label"], [split, "a"]])
    assert {name: split["text"] for name, split in read(tmp_path).splits.items()} == {
        "train": ["train"],
        "test": ["test"],
    }


def test_the_first_sheet_with_rows_that_is_not_hidden(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = ([["text"], ["hidden"]], [], [["text"], ["third"]], [["text"], ["fourth"]])
    path = write(tmp_path / "a.xlsx", *pages, hidden=(0,))
    for _ in range(2):
        assert read(path).splits["train"]["text"] == ["third"]
        assert capsys.readouterr().err == (
            f"note: of the sheets of {path} the first, 'page 3', is read, and not 'page 4': save"
            " another as a file of its own to use it\n"
        ), "out of the cache, too"


def test_predict_reads_one(tmp_path: Path) -> None:
    import contextlib

    path = write(tmp_path / "a.xlsx", [["id", "review"], [7, "fine"], [8, None]])
    with contextlib.ExitStack() as stack:
        inputs = text_inputs.Inputs(file=path)
        rows = list(text_inputs.read(inputs, {}, stack))
    assert [row["text"] for row in rows] == ["fine", ""]
    assert rows[0]["others"].to_pylist() == [{"id": 7}]


def test_a_table_of_pictures(tmp_path: Path) -> None:
    media.png(tmp_path / "imgs" / "a.png")
    write(tmp_path / "a.xlsx", [["file_name", "label"], ["imgs/a.png", "x"]])
    assert media.labelled(media.read(tmp_path / "a.xlsx")) == {"train": [("a.png", "x")]}
    write(tmp_path / "a.xlsx", [["file_name", "label"], [None, None], ["imgs/b.png", "x"]])
    assert "a.xlsx, row 3, names imgs/b.png, and there is no such file" in media.refusal(
        tmp_path / "a.xlsx"
    )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "has no rows in any sheet"),
        ([["text", "label"]], "has a header (text, label) and no rows below it"),
        ([["text", "text"], ["a", "b"]], "has two columns called 'text'"),
        ([["text"], ["a", "b"]], "row 2, has a value in column 2, and the header has 1 (text)"),
    ],
)
def test_unusable_tables(tmp_path: Path, rows: list[list[Any]], said: str) -> None:
    assert said in refusal(write(tmp_path / "a.xlsx", rows))


@pytest.mark.parametrize("content", [b"PK", b"PK\x03\x04" + bytes(40), b"text,label\n"])
def test_damaged_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.xlsx").write_bytes(content)
    assert "is not a readable xlsx file" in refusal(tmp_path / "a.xlsx")


def test_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.xlsx", [["text"], ["a"]])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    assert "openpyxl, which reads those, is not installed: pip install openpyxl" in refusal(path)


def test_formulas_without_values(tmp_path: Path) -> None:
    """A program that writes a table computes nothing: the values are not there."""
    rows = [["text", "label"], ["a", '=IF(1=2,"x","y")'], ["b", '=IF(1=1,"x","y")']]
    message = refusal(write(tmp_path / "table.xlsx", rows))
    assert '=IF(1=2,"x","y") and no value of it' in message and "save it" in message
    empty = write(tmp_path / "empty.xlsx", [["text", "note"], ["a", None], ["b", None]])
    assert read(empty).splits["train"]["note"][:] == [None, None]
