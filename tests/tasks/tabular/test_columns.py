"""Columns of tables: their kinds, what is learned of them, and the vectors that rows become."""

import math

import datasets
import numpy as np
import pytest

from tasks.errors import UserError
from tasks.tabular import cells, columns
from tasks.tabular.column import PREFIX, Column, ColumnArgs


def split_of(**values: list[object]) -> datasets.Dataset:
    return datasets.Dataset.from_dict(values)


def learned(split: datasets.Dataset, kinds: dict[str, str], most: int = 64) -> tuple[Column, ...]:
    renamed = split.rename_columns({name: PREFIX + name for name in split.column_names})
    import pyarrow as pa

    typed = datasets.Dataset(pa.table(columns.typed(renamed, kinds, "train")))
    return columns.learn(typed, kinds, most)


def test_kinds_of_texts_numbers_and_ids(capsys: pytest.CaptureFixture[str]) -> None:
    n = 40
    split = split_of(
        age=[str(i) for i in range(n)], size=[float(i) for i in range(n)],
        城市=["东京", "Rome"] * 20, is_new=[True, False] * 20, empty=[None] * n,
        name=[f"person {i}" for i in range(n)], label=[0, 1] * 20,
    )  # fmt: skip
    found = columns.choose(split, {"label"}, ColumnArgs(), "people.csv")
    numbers = {name for name, kind in found.items() if kind == "number"}
    assert numbers == {"age", "size"} and found["城市"] == found["is_new"] == "category"
    assert set(found) == {"age", "size", "城市", "is_new"}
    assert "not read are empty, name, " in capsys.readouterr().err
    asked = ColumnArgs(columns=("name", "age"), category_columns=("age",))
    assert columns.choose(split, {"label"}, asked, "x") == {"name": "category", "age": "category"}
    ignored = ColumnArgs(ignore_columns=("age", "城市"))
    assert set(columns.choose(split, {"label"}, ignored, "x")) == {"size", "is_new"}


@pytest.mark.parametrize(
    "texts",
    [
        ("1", "1,2", "1,2,3"),
        ("12-34-5678", "12-34-5679"),
        ("2024-01-01 spring sale", "2024-04-01 autumn sale"),
        ("2024.13.1", "2024.1.32"),
    ],
)
def test_what_only_looks_like_numbers_or_days_is_a_category(texts: tuple[str, ...]) -> None:
    split = split_of(kind=list(texts) * 12, label=[0] * 12 * len(texts))
    assert columns.choose(split, {"label"}, ColumnArgs(), "x") == {"kind": "category"}


def test_names_of_rows_with_commas_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    split = split_of(at=[f"{i},{i + 1}" for i in range(40)], x=[*range(40)], label=[0] * 40)
    assert columns.choose(split, {"label"}, ColumnArgs(), "x") == {"x": "number"}
    assert "not read are at, " in capsys.readouterr().err


@pytest.mark.parametrize("text", ["61,5", "1,234.5", "12 %", "-3,25"])
def test_numbers_as_people_write_them_are_no_categories(text: str) -> None:
    """Silently they would be names, and what lies between two of them nothing."""
    split = split_of(size=["7", "", text, text] * 10, label=[0] * 40)
    with pytest.raises(UserError, match=rf"t\.csv, row 3: size is '{text}', and numbers are taken"):
        columns.choose(split, {"label"}, ColumnArgs(), "t.csv")
    asked = ColumnArgs(category_columns=("size",))
    assert columns.choose(split, {"label"}, asked, "t.csv") == {"size": "category"}


def test_a_number_that_no_float32_holds_is_named_with_its_row() -> None:
    with pytest.raises(UserError, match="row 2: size is '1e300', and training takes finite"):
        learned(split_of(size=["1", "1e300"]), {"size": "number"})


def test_days_are_no_categories(capsys: pytest.CaptureFixture[str]) -> None:
    days = ["2026-11-28", "2026-11-28 10:00", "28.11.2026", "2026年11月28日", ""]
    split = split_of(day=days * 6, version=["1.2.3", "1.2.4", "2.0", "2.1", ""] * 6, label=[0] * 30)
    assert columns.choose(split, {"label"}, ColumnArgs(), "x") == {"version": "category"}
    assert "not read are day, which are empty, dates, " in capsys.readouterr().err
    asked = ColumnArgs(category_columns=("day",))
    assert columns.choose(split, {"label"}, asked, "x")["day"] == "category"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (ColumnArgs(columns=("agee",)), "no column 'agee' for the column to read"),
        (ColumnArgs(columns=("age",), ignore_columns=("age",)), "`ignore_columns` has 'age'"),
        (ColumnArgs(ignore_columns=("age",)), "has no column to read beside the label"),
        (ColumnArgs(columns=("when",)), "`columns` has 'when' of x: neither numbers nor texts"),
        (ColumnArgs(columns=("day",)), "`columns` has 'day' of x: neither .* numbers of dates"),
    ],
)
def test_columns_that_can_not_be_read(args: ColumnArgs, said: str) -> None:
    split = split_of(age=[1, 2], when=[[1], [2]], day=["2026-11-28", "1.1.2026"], label=[0, 1])
    with pytest.raises(UserError, match=said):
        columns.choose(split, {"label"}, args, "x")


def test_a_text_among_numbers_is_named_with_its_row() -> None:
    split = split_of(size=[*(str(i) for i in range(30)), "abc"], label=[0] * 31)
    with pytest.raises(UserError, match=r"t\.csv, row 31: size is 'abc', and 30 of its 31 values"):
        columns.choose(split, {"label"}, ColumnArgs(), "t.csv")
    asked = ColumnArgs(category_columns=("size",))
    assert columns.choose(split, {"label"}, asked, "t.csv") == {"size": "category"}
    with pytest.raises(UserError, match=r"train, row 31: size is 'abc', and training takes finite"):
        learned(split.remove_columns("label"), {"size": "number"})


def test_what_is_learned_makes_the_vectors() -> None:
    split = split_of(
        age=["1", " ", "3", "NA"], city=["b", "a ", "b", None],
        constant=[5.0] * 4, whole=[1.0, 2, 1, 3],
    )  # fmt: skip
    kinds = {"age": "number", "city": "category", "constant": "number", "whole": "category"}
    age, city, constant, whole = learned(split, kinds, 2)
    assert (age.mean, age.std, age.has_missing, age.width) == (2.0, 1.0, True, 2)
    assert (city.values, city.has_others, city.has_missing) == (("b", "a"), False, True)
    assert (constant.mean, constant.std, constant.width) == (5.0, 1.0, 1)
    assert (whole.values, whole.has_others) == (("1", "2"), True), "as a csv writes them"
    values = {
        "age": [3.0, math.nan, 1.0], "city": ["a", None, "never"],
        "constant": [5.0, 6.0, math.nan], "whole": ["1", "9", None],
    }  # fmt: skip
    found = columns.vectors((age, city, constant, whole), values)
    assert found.dtype == np.float32 and found.tolist() == [
        [1, 0, 0, 1, 0, 0, 1, 0, 0],
        [0, 1, 0, 0, 1, 1, 0, 0, 1],
        [-1, 0, 0, 0, 0, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize("value", ["abc", "1,5", "inf", math.inf, "1_0", [1], {}])
def test_what_is_no_number(value: object) -> None:
    with pytest.raises(ValueError):
        cells.number_of(value)


@pytest.mark.parametrize("value", [None, "", " ", "nan", "NA", "?", math.nan])
def test_what_is_no_value(value: object) -> None:
    assert math.isnan(cells.number_of(value))


def test_a_name_of_a_category_may_be_none() -> None:
    assert not cells.is_missing("none") and cells.is_missing("none", number=True)
    assert cells.text_of(3.0) == cells.text_of(3) == cells.text_of(" 3 ") == "3"
