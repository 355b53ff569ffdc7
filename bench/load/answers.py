"""Whether services give the same answers: what is wrong gets no number."""

import json
import statistics
from collections.abc import Sequence
from typing import Any

COMPARED = ("label", "labels", "text", "spans")
"""Fields of a prediction that are the same whatever computes it, but for a few near a border."""
NUMBERS = ("score",)
"""The field of a predicted number, or of several: its label is the same whatever it is."""
NEAR, ROUNDED = 0.1, 1e-6
"""Numbers are the same that differ by less than this share of their standard deviation over the
inputs, and by what rounding does to the largest of them."""
CHECKED, TRIED = 60, 4
"""Inputs whose answers are compared with those of other services, or only have to be answered."""


def answer_of(body: str, fields: Sequence[str] = COMPARED) -> Any:
    """Return what is compared of an answer: the first of these fields that its prediction has; None
    where there is no such thing."""
    try:
        content = json.loads(body)
        prediction = content["predictions"][0]
        name = next(name for name in fields if name in prediction)
        return prediction[name]
    except (ValueError, KeyError, IndexError, TypeError, StopIteration):
        return None


def differing(
    wanted: Sequence[str], found: Sequence[str], of_numbers: bool = False
) -> tuple[int, int]:
    """Return how many answers differ, and how many could be compared.

    Args:
        of_numbers: whether they are numbers, which need not be equal to the last digit.
    """
    fields = NUMBERS if of_numbers else COMPARED
    pairs = [
        (answer_of(a, fields), answer_of(b, fields)) for a, b in zip(wanted, found, strict=False)
    ]
    pairs = [(a, b) for a, b in pairs if a is not None]
    if not of_numbers:
        return sum(a != b for a, b in pairs), len(pairs)
    rows = [(_numbers(a), _numbers(b)) for a, b in pairs]
    width = len(rows[0][0]) if rows else 0
    columns = list(zip(*(a for a, _ in rows if len(a) == width), strict=True))
    near = [NEAR * statistics.pstdev(each) + ROUNDED * max(map(abs, each)) for each in columns]
    return sum(not _are_near(a, b, near) for a, b in rows), len(rows)


def _numbers(value: Any) -> list[float]:
    """Return a number, or several, as a list; an empty one where it is something else."""
    several = value if isinstance(value, list) else [value]
    return [float(each) for each in several if isinstance(each, int | float)]


def _are_near(a: Sequence[float], b: Sequence[float], near: Sequence[float]) -> bool:
    return len(a) == len(b) == len(near) and all(
        abs(x - y) <= most for x, y, most in zip(a, b, near, strict=True)
    )
