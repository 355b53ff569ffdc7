"""What `predict` is given as text: every kind of file, read as training reads it."""

import io
import json
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from tasks.errors import UserError
from tasks.nlp.text_inputs import Inputs, item, read, text_columns

BOM = b"\xef\xbb\xbf"
SINGLE = {"text": "body", "text_pair": None, "label": "mood"}
PAIR = {"text": "sentence1", "text_pair": "sentence2", "label": "label"}
LONG = "long " * 40_000


def found(
    path: Path | None, known: Mapping[str, str | None] | None = None, **asked: Any
) -> list[Any]:
    with ExitStack() as stack:
        rows = list(read(Inputs(file=path, **asked), known or {}, stack))
    return [
        {key: value.to_pylist()[0] if key == "others" else value for key, value in row.items()}
        for row in rows
    ]


def refusal(path: Path | None, known: Mapping[str, str | None] | None = None, **asked: Any) -> str:
    with pytest.raises(UserError) as error:
        found(path, known, **asked)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("mark", [b"", BOM], ids=["plain", "mark"])
@pytest.mark.parametrize(
    ("name", "content", "count"),
    [
        ("a.csv", 'text,n\n"fine, I said",1\n"two\nlines",2\n', "1"),
        ("a.CSV", 'text,n\n"fine, I said",1\n"two\nlines",2\n', "1"),
        ("a.tsv", 'text\tn\nfine, I said\t1\n"two\nlines"\t2\n', "1"),
        ("a.jsonl", '{"text": "fine, I said", "n": 1}\n\n{"text": "two\\nlines", "n": 2}\n', 1),
        ("a.json", '[{"text": "fine, I said", "n": 1},\n {"text": "two\\nlines", "n": 2}]', 1),
        ("a.Json", '{"text": ["fine, I said", "two\\nlines"], "n": [1, 2]}', 1),
    ],
)
def test_tables(name: str, content: str, count: object, mark: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(mark + content.encode())
    rows = found(path)
    assert [row["text"] for row in rows] == ["fine, I said", "two\nlines"]
    assert rows[0]["others"] == {"n": count}


def test_parquet_keeps_the_types_of_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.PARQUET"
    table = pa.table({"text": ["a"] * 2500, "n": pa.array(range(2500), pa.int16())})
    pyarrow.parquet.write_table(table, path)
    with ExitStack() as stack:
        rows = list(read(Inputs(file=path), {}, stack))
    assert [row["others"].column("n")[0].as_py() for row in rows] == list(range(2500))
    assert rows[0]["others"].schema.field("n").type == pa.int16()


@pytest.mark.parametrize("mark", [b"", BOM], ids=["plain", "mark"])
def test_text_a_line(mark: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(mark + f"fine, I said\r\n\n{LONG}\ncafé\rold Mac\nend".encode())
    texts = ["fine, I said", "", LONG, "café", "old Mac", "end"]
    assert found(path) == [{"text": text} for text in texts]


def test_a_long_field(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f'text,n\n"{LONG}",1\n')
    assert found(tmp_path / "a.csv")[0]["text"] == LONG


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def give(content: bytes, encoding: str = "utf-8") -> None:
        stream = io.TextIOWrapper(io.BytesIO(content), encoding, errors="surrogateescape")
        monkeypatch.setattr(sys, "stdin", stream)

    give(BOM + "fine\ncafé\n".encode())
    assert found(None) == [{"text": "fine"}, {"text": "café"}]
    give("fine\ncafé\n".encode("latin-1"), "latin-1")
    assert found(Path("-")) == [{"text": "fine"}, {"text": "café"}]
    give(b"fine\ncaf\xe9\n")
    assert refusal(None) == "standard input, line 2: not UTF-8 text"
    monkeypatch.setattr(sys, "stdin", None)
    assert "standard input is closed" in refusal(None)


def test_lines_come_one_by_one(tmp_path: Path) -> None:
    """Nothing behind a line is looked at before the next one is asked for."""
    (tmp_path / "a.txt").write_bytes(b"fine\ndull\ncaf\xe9\n")
    with ExitStack() as stack:
        rows = read(Inputs(file=tmp_path / "a.txt"), {}, stack)
        assert [next(rows)["text"], next(rows)["text"]] == ["fine", "dull"]
        with pytest.raises(UserError, match="line 3: not UTF-8"):
            next(rows)


def test_a_missing_text_is_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": null}\n{"text": "a"}\n')
    assert found(tmp_path / "a.jsonl") == [{"text": ""}, {"text": "a"}]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b'text,n\nfine,1\n"dull,2\nbad,3\n', "line 3, is broken: a quote is opened"),
        ("a.csv", b"text,n\nfine,1,2\n", "line 2, has 3 fields, but the header has 2"),
        ("a.csv", b"text,text\nfine,dull\n", "two columns called 'text'"),
        ("a.csv", b"", "is empty"),
        ("a.csv", "text\ncaf\xe9\n".encode("latin-1"), "line 2, is not UTF-8"),
        ("a.jsonl", b'{"text": 5}\n{"text": 12}\n', "holds int64, not texts"),
        ("a.jsonl", b'{"text": ["a"]}\n', "not texts"),
        ("a.json", b'[{"text": "fine"}, 5]', "entry 2, is 5, not an object"),
        ("a.jsonl", b'{"words": "fine"}\n', "its columns are words"),
        ("a.parquet", b"PAR1", "not a readable parquet file"),
        ("a.txt", "fine\n".encode("utf-16"), "line 1: not UTF-8 text (it looks like UTF-16)"),
        ("a.xls", b"PK", "is a .xls file, which is none of csv, json, jsonl, parquet, tsv, xlsx"),
        ("a.txt.gz", b"\x1f\x8b", "is a .gz file"),
    ],
)
def test_files_that_can_not_be_read(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert said in refusal(tmp_path / name)


def test_what_is_no_file(tmp_path: Path) -> None:
    assert "there is no such file" in refusal(tmp_path / "no.csv")
    assert "is a folder" in refusal(tmp_path)
    assert refusal(tmp_path / "a.csv", text=("a",)) == "give `text` or `file`, not both"


def test_a_folder_has_a_text_a_file(tmp_path: Path) -> None:
    (tmp_path / "pos").mkdir()
    (tmp_path / "pos" / "2.txt").write_text("two\nlines")
    (tmp_path / "1").write_bytes(b"caf\xe9")
    (tmp_path / "a.csv").write_text("text\nno\n")
    assert found(tmp_path) == [
        {"text": "café", "others": {"file": "1"}},
        {"text": "two\nlines", "others": {"file": "pos/2.txt"}},
    ]
    assert "one text a file, and this model was trained on pairs" in refusal(tmp_path, PAIR)


def test_the_columns_of_the_training_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,text,body,sentence1,sentence2\n7,t,b,s1,s2\n")
    (single,) = found(path, SINGLE)
    others = {"id": "7", "text": "t", "sentence1": "s1", "sentence2": "s2"}
    assert single == {"text": "b", "others": others}
    (pair,) = found(path, PAIR)
    others = {"id": "7", "text": "t", "body": "b"}
    assert pair == {"text": "s1", "text_pair": "s2", "others": others}
    (asked,) = found(path, PAIR, text_column="body", text_pair_column="none")
    assert asked["text"] == "b" and "text_pair" not in asked
    (unknown,) = found(path)
    assert unknown["text"] == "t" and "text_pair" not in unknown


def test_another_column_in_the_place_of_the_training_s_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert text_columns(["n", "Review"], "a.csv", SINGLE) == ("Review", None)
    assert "'Review' is read in its place" in capsys.readouterr().err
    assert text_columns(["n", "BODY"], "a.csv", SINGLE) == ("BODY", None)
    assert capsys.readouterr().err == ""
    with pytest.raises(UserError, match=r"training read 'sentence2'.*`text_pair_column`"):
        text_columns(["sentence1", "n"], "a.csv", PAIR)
    with pytest.raises(UserError, match="'a' can't be both the text and its pair"):
        text_columns(["a", "b"], "a.csv", PAIR, "a", "a")


def test_single_texts_for_a_model_of_pairs(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("fine\n")
    for file, asked in ((None, {"text": ("a",)}), (None, {}), (tmp_path / "a.txt", {})):
        assert "trained on pairs of texts" in refusal(file, PAIR, **asked)
    assert found(None, PAIR, text=("a", "b"), text_pair=("c", "d")) == [
        {"text": "a", "text_pair": "c"},
        {"text": "b", "text_pair": "d"},
    ]
    assert "`text` has 1 and `text_pair` 2" in refusal(
        None, PAIR, text=("a",), text_pair=("b",) * 2
    )
    for asked in ({"text_pair_column": "id"}, {"text": ("a",), "text_pair": ("b",)}):
        assert "trained on single texts" in refusal(None, SINGLE, **asked)
    assert refusal(None, text_pair=("b",)) == "`text_pair` goes with `text`"


def test_texts_of_the_command_line() -> None:
    assert found(None, text=("", "中文")) == [{"text": ""}, {"text": "中文"}]
    assert refusal(None, text=("caf\udce9",)) == "`text`: not UTF-8 text"


@pytest.mark.parametrize(
    ("raw", "known", "expected"),
    [
        ("a", SINGLE, ("a",)),
        ({"text": "a", "label": 1}, SINGLE, ("a",)),
        (("a", "b"), PAIR, ("a", "b")),
        (["a", "b"], PAIR, ("a", "b")),
        ({"text": "a", "text_pair": "b"}, PAIR, ("a", "b")),
        (("a", "b"), {}, ("a", "b")),
    ],
)
def test_an_item(raw: object, known: Mapping[str, str | None], expected: tuple[str, ...]) -> None:
    assert tuple(item(raw, known).values()) == expected


@pytest.mark.parametrize(
    ("raw", "known", "said"),
    [
        ("a", PAIR, "trained on pairs of texts"),
        (("a", "b"), SINGLE, "trained on single texts"),
        (b"abc", SINGLE, "b'abc' is a bytes, and no text; decode it"),
        (None, SINGLE, "None is a NoneType, and no text"),
        (("a", 5), PAIR, "5 is a int, and no text"),
        ({"txt": "a"}, SINGLE, "a mapping needs 'text'; this one has txt"),
        ("\udcff", SINGLE, "not UTF-8 text"),
    ],
)
def test_what_is_no_item(raw: object, known: Mapping[str, str | None], said: str) -> None:
    with pytest.raises(UserError) as error:
        item(raw, known)
    assert said in str(error.value) and "\n" not in json.dumps(str(error.value))
