"""Rows as columns are rows: a list of dicts to whoever asks for them."""

import numpy as np
import pytest

from tasks.rows import ColumnRows, column

IMAGES = np.arange(12).reshape(3, 2, 2)


def made() -> ColumnRows:
    return ColumnRows({"sample_id": [4, 5, 6], "image": IMAGES, "label": ["a", None, "b"]}, 3)


def test_they_are_the_rows_of_their_columns() -> None:
    rows = made()
    assert len(rows) == 3 and [row["sample_id"] for row in rows] == [4, 5, 6]
    assert rows[1] == rows[-2] and rows[1]["label"] is None
    assert [row["label"] for row in rows[1:]] == [None, "b"]
    assert (rows[2]["image"] == IMAGES[2]).all()
    with pytest.raises(IndexError):
        rows[3]


def test_columns_are_those_that_were_given_as_long_as_no_row_was_made() -> None:
    rows = made()
    assert column(rows, "image") is IMAGES and column(rows, "view") is None
    for row in rows:
        row["sample_id"] += 1
        row["image"] = row["image"] + 1
        row["view"] = "late"
    assert column(rows, "sample_id") == [5, 6, 7] and column(rows, "view") == ["late"] * 3
    assert (np.stack(column(rows, "image")) == IMAGES + 1).all()


def test_of_a_list_it_is_what_the_rows_have() -> None:
    rows = [{"label": 0, "image": 1}, {"label": 2}]
    assert column(rows, "label") == [0, 2] and column(rows, "text") is None
    assert column([], "label") is None and column([{"label": None}], "label") is None
    empty = ColumnRows({"label": []}, 0)
    assert len(empty) == 0 and column(empty, "label") is None
    assert column(ColumnRows({"label": [None, 1]}, 2), "label") is None


def test_columns_of_other_lengths_make_no_rows() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ColumnRows({"label": [1, 2], "sample_id": [1]}, 2)[0]
