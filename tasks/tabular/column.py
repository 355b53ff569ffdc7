"""A column of a table as a model reads it; light, for the command line.

What is learned of columns is so little that it stands in zoo.json, and in the processor file of a
checkpoint: names, means, standard deviations, categories.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tasks.bounds import Bounded, Count

Kind = Literal["number", "category"]
PREFIX = "column/"
"""Of the columns of examples, so that none of them is called as the label is there."""


@dataclass(frozen=True)
class ColumnArgs(Bounded):
    """Which columns are read, and how."""

    columns: tuple[str, ...] = ()
    """columns to read; by default all but the label's, and those of texts that hardly repeat"""
    ignore_columns: tuple[str, ...] = ()
    """columns not to read, such as an id"""
    category_columns: tuple[str, ...] = ()
    """columns of numbers that are names, such as postal codes; texts are categories anyway"""
    max_categories: Count = 64
    """most categories of a column; rarer ones count as one, with those that training never saw"""


@dataclass(frozen=True)
class Column:
    """A column that a model reads."""

    name: str
    kind: Kind
    mean: float = 0.0  # of a number, over the training rows that have one
    std: float = 1.0  # of a number; 1 where it never changes
    values: tuple[str, ...] = ()  # the categories, the most frequent first
    has_others: bool = False  # whether training saw rarer categories, which count as one
    has_missing: bool = False  # whether training saw rows without a value

    @property
    def width(self) -> int:
        """The number of inputs of the network that the column becomes."""
        own = 1 if self.kind == "number" else len(self.values) + self.has_others
        return own + self.has_missing

    def example(self, step: int = 0) -> float | str | None:
        """Return a usual value: the mean and what lies beside it, in four digits, or one of the
        categories."""
        if self.kind == "number":
            return float(f"{self.mean + step * self.std:.4g}")
        return self.values[step % len(self.values)] if self.values else None

    @classmethod
    def of_json(cls, recorded: Mapping[str, Any]) -> "Column":
        """Return the column that `dataclasses.asdict` wrote."""
        return cls(**{**recorded, "values": tuple(recorded["values"])})
