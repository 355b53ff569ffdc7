"""Cells of a table: numbers, texts, and those that hold nothing."""

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tasks.bounds import LARGEST_FLOAT32
from tasks.data.label_checks import NO_VALUE
from tasks.data.labels import NUMBER

if TYPE_CHECKING:
    import pyarrow as pa

NO_NUMBER = NO_VALUE | {"na", "none", "?", "-"}
"""How tables write that a number is not known, in small letters. Among categories these may be
names: "none" of a garage."""
_MONTH, _DAY = "(?:0?[1-9]|1[0-2])", "(?:0?[1-9]|[12][0-9]|3[01])"
DATE = re.compile(
    rf"(?:\d{{4}}[-/.年]{_MONTH}[-/.月]{_DAY}日?|{_DAY}([-/.]){_DAY}\1\d{{4}})"
    r"([T ]\s*\d{1,2}:\d{2}.*)?",
    re.ASCII,
)
"""A day, perhaps with a time behind it; with re.ASCII only 0 to 9 are digits."""
OF_PEOPLE = re.compile(r"[-+]?(\d{1,3}(,\d{3})+(\.\d+)?|\d+,\d+)|[-+]?\d+([.,]\d+)?\s?%", re.ASCII)
"""A number with a comma or a per cent sign in it."""


def is_missing(value: Any, number: bool = False) -> bool:
    """Return whether a cell holds nothing: None, NaN, blanks; of a number also "NA" and such."""
    if isinstance(value, str):
        text = value.strip()
        return not text or (number and text.casefold() in NO_NUMBER)
    return value is None or (isinstance(value, float) and math.isnan(value))


def is_number(value: Any) -> bool:
    """Return whether a text is written as a number, with a point and no other signs in it."""
    return isinstance(value, str) and NUMBER.fullmatch(value.strip()) is not None


def is_date(value: Any) -> bool:
    """Return whether a text is a day, as 2026-11-28, 28.11.2026 or 2026年11月28日."""
    return isinstance(value, str) and DATE.fullmatch(value.strip()) is not None


def has_other_signs(value: Any) -> bool:
    """Return whether a text is a number that is written as people do: 61,5 or 1,234.5 or 12 %."""
    return isinstance(value, str) and OF_PEOPLE.fullmatch(value.strip()) is not None


def number_of(value: Any) -> float:
    """Return the number in a cell, NaN where it holds nothing.

    Raises ValueError for anything that is no number, or none that float32 can hold.
    """
    if is_missing(value, number=True):
        return math.nan
    if isinstance(value, str) and not is_number(value):
        raise ValueError(value)
    try:
        found = float(value)
    except (TypeError, OverflowError):
        raise ValueError(value) from None
    if not abs(found) <= LARGEST_FLOAT32:
        raise ValueError(value)
    return found


def text_of(value: Any) -> str:
    """Return the name of a category as a text: blanks around it count for nothing, and whole
    numbers have no point."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def distinct(values: "pa.ChunkedArray") -> tuple[list[Any], npt.NDArray[np.int64]]:
    """Return the different values of a column, and the place of each row's among them, int64 [n];
    -1 where it is null."""
    import pyarrow as pa

    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    encoded = encoded.unify_dictionaries()
    if not encoded.num_chunks:
        return [], np.zeros(0, np.int64)
    codes = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in encoded.chunks]
    return encoded.chunk(0).dictionary.to_pylist(), np.concatenate(codes).astype(np.int64)


def numbers(values: "pa.ChunkedArray") -> tuple[npt.NDArray[np.float64], int | None]:
    """Return the numbers in a column, float64 [n], NaN where a cell holds nothing, and the first
    row that holds something else; None where there is no such row."""
    words, codes = distinct(values)
    found = np.full(len(words) + 1, math.nan)  # the last is that of -1, which is null
    wrong = set()
    for place, word in enumerate(words):
        try:
            found[place] = number_of(word)
        except ValueError:
            wrong.add(place)
    row = next((i for i, c in enumerate(codes.tolist()) if c in wrong), None) if wrong else None
    return found[codes], row
