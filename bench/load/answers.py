"""Whether services give the same answers: what is wrong gets no number."""

import json
from collections.abc import Sequence
from typing import Any

COMPARED = ("label", "labels", "text", "spans")
"""Fields of a prediction that are the same whatever computes it, but for a few near a border."""
CHECKED, TRIED = 60, 4
"""Inputs whose answers are compared with those of other services, or only have to be answered."""


def answer_of(body: str) -> Any:
    """Return what is compared of an answer: the label, the labels or the text of its prediction;
    None where there is no such thing."""
    try:
        content = json.loads(body)
        prediction = content["predictions"][0]
        name = next(name for name in COMPARED if name in prediction)
        return prediction[name]
    except (ValueError, KeyError, IndexError, TypeError, StopIteration):
        return None


def differing(wanted: Sequence[str], found: Sequence[str]) -> tuple[int, int]:
    """Return how many answers differ, and how many could be compared."""
    pairs = [(answer_of(a), answer_of(b)) for a, b in zip(wanted, found, strict=False)]
    pairs = [(a, b) for a, b in pairs if a is not None]
    return sum(a != b for a, b in pairs), len(pairs)
