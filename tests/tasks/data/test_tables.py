"""One file to one table: what it may expand to, and what stands in it that is no table."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.data import parquet, tables
from tasks.errors import UserError


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as error:
        tables.read(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    return str(error.value)


def written(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


# --- what a file may expand to


def repeated(rows: int, length: int) -> pa.Table:
    """A long text in every row, which takes its room once in a file."""
    places = pa.array([0] * rows, pa.int32())
    text = pa.DictionaryArray.from_arrays(places, pa.array(["x" * length]))
    return pa.table({"text": text, "label": ["a", "b"] * (rows // 2)})


def test_a_parquet_file_that_expands_out_of_proportion(tmp_path: Path) -> None:
    """Under a kilobyte, and 2.9 GB of memory before."""
    path = tmp_path / "small.parquet"
    pq.write_table(repeated(2900, 1_000_000), path, compression="zstd")
    usual = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(pool)
    try:
        assert "would take more than 1,024 MiB of memory" in refusal(path)
    finally:
        pa.set_memory_pool(usual)
    assert 2**20 < pool.max_memory() < 2**30 + 2**28


@pytest.mark.parametrize("kind", ["flat", "lists"])
def test_numbers_that_repeat(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "numbers.parquet"
    same = pa.array(np.full(1_000_000, 7))
    ends = pa.array([0, len(same)], pa.int32())
    values = same if kind == "flat" else pa.ListArray.from_arrays(ends, same)
    pq.write_table(pa.table({"n": values}), path, compression="zstd")
    assert tables.read(path).num_rows in (1, len(same))
    monkeypatch.setattr(parquet, "MOST_EXPANDED", 2**22)
    assert "would take more than 4 MiB of memory" in refusal(path)


def test_columns_of_json_that_are_mostly_empty(tmp_path: Path) -> None:
    lines = (json.dumps({f"k{i}": 1}) for i in range(12_000))
    path = written(tmp_path / "wide.jsonl", "\n".join(lines))
    assert "would take more than 1,024 MiB of memory" in refusal(path)


@pytest.mark.parametrize("kind", ["string", "large_string", "dictionary", "binary", "nested"])
def test_what_repeats_in_measure_is_read_as_it_was_written(tmp_path: Path, kind: str) -> None:
    values = ["long " * 200, None, "é"] * 700
    table = repeated(2100, 3)
    if kind == "dictionary":
        table = table.append_column("more", pa.array(values).dictionary_encode())
    elif kind == "nested":
        table = table.append_column("more", pa.array([[v, {"a": "b"}["a"]] for v in values]))
    elif kind == "binary":
        table = table.append_column("more", pa.array(values).cast(pa.binary()))
    else:
        table = table.append_column("more", pa.array(values, getattr(pa, kind)()))
    table = table.set_column(0, "text", table.column("text").cast(pa.string()))
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    read = tables.read(path)
    assert read.schema == pq.read_table(path).schema
    assert read.to_pylist() == table.to_pylist()


def test_many_columns_are_read_in_time_that_grows_with_them(tmp_path: Path) -> None:
    names = [f"k{i}" for i in range(30_000)]
    path = written(tmp_path / "wide.csv", f"{','.join(names)}\n{','.join('1' * 30_000)}\n")
    assert tables.read(path).num_columns == 30_000


@pytest.mark.parametrize("kind", ["string", "large_string"])
def test_texts_of_parquet_that_are_not_utf8(kind: str, tmp_path: Path) -> None:
    """Half a character, as writers of other languages let it through."""
    content = [b"fine"] * 1500 + [b"x\xed\xa0\xbd"]
    binary = pa.array(content, pa.large_binary() if kind == "large_string" else pa.binary())
    texts = pa.Array.from_buffers(getattr(pa, kind)(), len(content), binary.buffers())
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet")
    assert "a.parquet, row 1501: 'text' holds what is not UTF-8" in refusal(tmp_path / "a.parquet")


def test_indices_that_a_dictionary_does_not_have() -> None:
    """As a damaged file has them; nothing may be looked up by them."""
    places, texts = pa.array([0, 9], pa.int32()), pa.array(["a"])
    damaged = pa.DictionaryArray.from_arrays(places, texts, safe=False)
    with pytest.raises(pa.ArrowInvalid, match="out of bounds"):
        parquet.expanded_size(damaged)


def test_damaged_parquet_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a", "b"]}), path)
    content = path.read_bytes()
    for place in (len(content) // 2, len(content) // 3):
        path.write_bytes(content[:place] + b"\xff" * 9 + content[place + 9 :])
        assert "is not a readable parquet file: " in refusal(path)


# --- other delimiters


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "text;label\ngood, very good;pos\n", "separated by semicolons: save it with com"),
        (
            "a.csv",
            '\n"text";"label"\n"good, very good";"pos"\n',
            "separated by semicolons: save it",
        ),
        (
            "a.csv",
            "a, b;c;d\n1;2;3\n",
            "has 1 field, but the header has 2 (a,  b;c;d): are they sep",
        ),
        ("a.csv", "sep=;\ntext;label\ngood;pos\n", "separated by semicolons"),
        ("a.csv", "text\tlabel\ngood\tpos\n", "separated by tabs: save it with commas or call it"),
        ("a.csv", "text|label\ngood|pos\n", "separated by bars (|): save it with commas"),
        ("A.TSV", "text,label\ngood,pos\n", "separated by commas: save it with tabs or call it .c"),
    ],
)
def test_another_delimiter_is_told(tmp_path: Path, name: str, content: str, said: str) -> None:
    assert said in refusal(written(tmp_path / name, content))


@pytest.mark.parametrize(
    "header", ["text", '"text; all, of it"', "text;more,label;less", '"text"\n\n']
)
def test_a_header_that_only_holds_the_sign(tmp_path: Path, header: str) -> None:
    """A quoted comma is no delimiter, and a table of one column is one."""
    values = ",".join(["x"] * (2 if header.startswith("text;") else 1))
    assert tables.read(written(tmp_path / "a.csv", f"{header}\n{values}\n")).num_rows == 1


# --- texts that are none, and JSON that is no table


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{"t": "ok"}\n{"t": "x\\ud83d"}\n', "line 2: 't' holds half a character"),
        ("a.json", '[{"t": ["ok"]}, {"t": ["\\udc00"]}]', "entry 2: 't' holds half a character"),
        ("a.jsonl", '{"t\\ud83d": 1}\n', "has a column 't\\ud83d'"),
        ("a.jsonl", '{"t\\u0000": 1}\n', "has a column 't\\x00', with a zero byte in its name"),
        ("a.csv", "t\0e\0,l\0\nx,y\n", "has a column 't\\x00e\\x00', with a zero byte in its name"),
        ("a.json", "[" * 100_000, "is nested too deep"),
        ("a.jsonl", '{"t": ' + "[" * 100_000 + "\n", "line 1, is no row: it is nested too deep"),
        ("a.jsonl", '{"t": ' + "1" * 5000 + "}\n", "line 1, is no row: Exceeds the limit"),
    ],
)
def test_json_that_is_no_table(tmp_path: Path, name: str, content: str, said: str) -> None:
    assert said in refusal(written(tmp_path / name, content))


@pytest.mark.parametrize("suffix", ["CSV", "Tsv", "JSON", "JsonL", "PARQUET"])
def test_suffixes_in_any_case(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    rows = {"text": ["a", "b"], "label": ["x", "y"]}
    if suffix == "PARQUET":
        pq.write_table(pa.table(rows), path)
    elif suffix.startswith("J"):
        path.write_text('{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n')
    else:
        path.write_text("text,label\na,x\nb,y\n".replace(",", "\t" if suffix == "Tsv" else ","))
    assert tables.read(path).to_pydict() == rows
    assert tables.place_of(path, 1) == {
        "CSV": "line 3", "Tsv": "line 3", "JSON": "line 2", "JsonL": "line 2", "PARQUET": "row 2"
    }[suffix]  # fmt: skip


def test_a_zero_byte_in_a_name_of_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a"], "t\0": ["b"]}), path)
    assert "has a column 't\\x00', with a zero byte in its name" in refusal(path)
