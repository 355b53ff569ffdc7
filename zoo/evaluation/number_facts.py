"""How well each number is predicted, where a regression has several."""

from typing import Any

from tasks.base import Task
from tasks.metrics.intervals import MetricEstimate
from tasks.metrics.several_numbers import SeveralNumbersMetric
from zoo.machine import terminal
from zoo.machine.formatting import interval
from zoo.store import evidence

Row = tuple[str, list[MetricEstimate]]
"""The name of a number, and its metrics."""


def rows_of(task: Task, accumulator: Any) -> list[Row]:
    """Return the metrics of each number; empty for all else but a regression of several."""
    if not isinstance(accumulator, SeveralNumbersMetric):
        return []
    return list(zip(task.labels, accumulator.of_each(), strict=True))


def of_numbers(rows: list[Row], **common: Any) -> list[evidence.Fact]:
    """Return the metrics that are defined as facts; `common` are fields that all have."""
    return [
        evidence.fact(
            "class",
            one.name,
            one.value,
            "1",
            n=one.n,
            interval={"low": one.low, "high": one.high, "level": one.level, "method": one.method}
            if one.low == one.low
            else None,
            label=name,
            **common,
        )
        for name, metrics in rows
        for one in metrics
        if one.value == one.value
    ]


def show(rows: list[Row]) -> None:
    """Print a table of the numbers, if there are any."""
    cells = [
        (name, one.name, f"{one.value:.4f}", interval(one.low, one.high), f"{one.n:,}")
        for name, metrics in rows
        for one in metrics
    ]
    if cells:
        header = ("number", "metric", "value", "95% interval", "n")
        terminal.table(header, cells, "each number", after_gap=True)
