"""Batches out of the inputs that a worker was handed: by length, within a budget of padded work."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """How large a prepared input is: the rows that it fills (several for a text cut in windows) and
    the length of the longest of them, in the modality's own unit along the padded axis."""

    rows: int = 1
    length: int = 1


def batches(sizes: Sequence[Size], budget: int) -> list[list[int]]:
    """Return the places of inputs in batches: inputs of similar length together, the shortest
    first, and in none more than `budget` of rows times the longest length, padding included.

    An input that is larger than the budget is a batch by itself. Each place is in one batch.
    """
    made: list[list[int]] = []
    rows = 0
    for place in sorted(range(len(sizes)), key=lambda place: (sizes[place].length, place)):
        size = sizes[place]
        rows += size.rows
        if not made or rows * size.length > budget:  # it is the longest so far
            made.append([])
            rows = size.rows
        made[-1].append(place)
    return made


def padding(sizes: Sequence[Size]) -> float:
    """Return the share of a batch's work that is padding."""
    work = sum(size.rows for size in sizes) * max(size.length for size in sizes)
    if not work:  # empty texts alone
        return 0.0
    return 1 - sum(size.rows * size.length for size in sizes) / work
