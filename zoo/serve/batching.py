"""Batches out of the inputs that a worker was handed: by length, within a budget of padded work."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """How large a prepared input is: the rows that it fills (several for a text cut in windows) and
    the length of the longest of them, in the modality's own unit along the padded axis."""

    rows: int = 1
    length: int = 1


def batches(sizes: Sequence[Size], budget: int, overhead: float = 1.0) -> list[list[int]]:
    """Return the places of inputs in batches: inputs of similar length together, the shortest
    first, and in none more than `budget` of rows times the longest length, padding included.

    Of all cuts of the inputs in the order of their lengths it is the one that costs least, where a
    batch costs its rows times its longest length, and `overhead` beside. An input that is larger
    than the budget is a batch by itself. Each place is in one batch.

    Args:
        overhead: what a pass costs however small it is, in the unit of rows times length.
    """
    order = sorted(range(len(sizes)), key=lambda place: (sizes[place].length, place))
    least = [0.0] * (len(order) + 1)  # cost of the inputs up to here
    begins = [0] * (len(order) + 1)  # where the last batch of them begins
    for end in range(1, len(order) + 1):
        longest = sizes[order[end - 1]].length
        rows, least[end] = 0, math.inf
        for begin in range(end - 1, -1, -1):
            rows += sizes[order[begin]].rows
            work = rows * longest
            if work > budget and begin < end - 1:
                break
            cost = least[begin] + work + overhead
            if cost <= least[end]:
                least[end], begins[end] = cost, begin
    made: list[list[int]] = []
    end = len(order)
    while end:
        made.append(order[begins[end] : end])
        end = begins[end]
    return made[::-1]


def padding(sizes: Sequence[Size]) -> float:
    """Return the share of a batch's work that is padding."""
    work = sum(size.rows for size in sizes) * max(size.length for size in sizes)
    if not work:  # empty texts alone
        return 0.0
    return 1 - sum(size.rows * size.length for size in sizes) / work
