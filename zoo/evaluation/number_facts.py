"""How well each number is predicted, where a regression has several."""

from dataclasses import dataclass
from typing import Any

from tasks.base import Task
from tasks.metrics.accumulator import ConstantAnswer
from tasks.metrics.intervals import MetricEstimate
from tasks.metrics.several_numbers import SeveralNumbersMetric
from zoo.evaluation import constant_answer
from zoo.machine import terminal
from zoo.machine.formatting import interval
from zoo.store import evidence


@dataclass(frozen=True)
class NumberScores:
    """How well one number of a regression is predicted."""

    name: str
    metrics: list[MetricEstimate]
    constant: ConstantAnswer | None
    """Its mean as the answer to every sample; None without samples."""


def rows_of(task: Task, accumulator: Any) -> list[NumberScores]:
    """Return the metrics of each number; empty for all else but a regression of several."""
    if not isinstance(accumulator, SeveralNumbersMetric):
        return []
    return [
        NumberScores(name, alone.compute(), alone.constant())
        for name, alone in zip(task.labels, accumulator.each(), strict=True)
    ]


def of_numbers(rows: list[NumberScores], **common: Any) -> list[evidence.Fact]:
    """Return the metrics that are defined as facts; `common` are fields that all have."""
    return [
        evidence.fact(
            "class",
            one.name,
            one.value,
            "1",
            n=one.n,
            interval=evidence.interval_of(one),
            label=row.name,
            **common,
        )
        for row in rows
        for one in row.metrics
        if one.value == one.value
    ]


def show(rows: list[NumberScores]) -> None:
    """Print a table of the numbers, if there are any."""
    always = ["always its mean"] if any(row.constant for row in rows) else []
    cells = [
        (
            row.name,
            one.name,
            f"{one.value:.4f}",
            interval(one.low, one.high),
            *constant_answer.cell(row.constant, one.name),
            f"{one.n:,}",
        )
        for row in rows
        for one in row.metrics
    ]
    if cells:
        header = ("number", "metric", "value", "95% interval", *always, "n")
        terminal.table(header, cells, "each number", after_gap=True)
