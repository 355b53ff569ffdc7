"""What one answer to everything would be worth, to be read beside what a model is; and whether a
model gives no other answer."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tasks.base import Generates, Task
from tasks.errors import shortened
from tasks.metrics.spec import metric_spec
from zoo.machine.formatting import NOTHING
from zoo.store import evidence

if TYPE_CHECKING:
    from tasks.metrics.accumulator import Answer, ConstantAnswer, MetricAccumulator

PREFIX = "constant_"
"""Of the names of facts: who looks a metric up by its name must not find this one."""
LONGEST = 30
"""Characters of an answer in the head of a column."""


def name_of(task: Task, answer: "Answer") -> str:
    """Return an answer as people read it: the label or tag, the number, several of either, or the
    text itself."""
    if isinstance(answer, tuple):
        return ", ".join(
            f"{task.labels[place]} {one:.4g}" if isinstance(one, float) else task.labels[one]
            for place, one in enumerate(answer)
        )
    if isinstance(answer, int):
        return task.labels[answer]
    return f"{answer:.4g}" if isinstance(answer, float) else answer


def are_numbers(answer: "Answer") -> bool:
    """Return whether an answer is several numbers."""
    return isinstance(answer, tuple) and any(isinstance(one, float) for one in answer)


def quoted(task: Task, answer: "Answer") -> str:
    """Return an answer as it stands in a sentence or the head of a column: a label in quotes, an
    empty text as "nothing"."""
    name = name_of(task, answer)
    if isinstance(answer, float) or are_numbers(answer):
        return name
    return repr(shortened(name, LONGEST)) if name else "nothing"


def heading(task: Task, constant: "ConstantAnswer | None") -> list[str]:
    """Return the head of a table's column with the metrics of a constant answer; no column without
    one."""
    if constant is None:
        return []
    if are_numbers(constant.answer):
        return ["always the means"]  # each with its name would be a column as wide as the screen
    return [f"always {quoted(task, constant.answer)}"]


def cell(constant: "ConstantAnswer | None", metric: str | None) -> list[str]:
    """Return the cell of that column in the row of a metric, a dash where it is undefined; of a row
    that is no metric's (None), an empty one."""
    if constant is None:
        return []
    value = constant.values[metric] if metric is not None else None
    if value is None:
        return [""]
    return [f"{value:.4f}" if value == value else NOTHING]


def facts(
    task: Task, constant: "ConstantAnswer | None", n: int, common: Mapping[str, Any]
) -> list[evidence.Fact]:
    """Return the metrics of a constant answer as facts, without those that are undefined.

    Args:
        n: how many samples were answered.
        common: fields that all facts of the evaluation have.
    """
    if constant is None:
        return []
    label = name_of(task, constant.answer)
    return [
        evidence.fact(
            "constant",
            f"{PREFIX}{name}",
            value,
            metric_spec(name).unit,
            n=n,
            label=label,
            **common,
        )
        for name, value in constant.values.items()
        if value == value
    ]


def warning(task: Task, accumulator: "MetricAccumulator") -> str | None:
    """Return a warning if a model gives the same answer to every sample though they differ, else
    None."""
    answer = accumulator.only_answer()
    if answer is None:
        return None
    if answer == "":
        return "it writes nothing" + ("" if isinstance(task, Generates) else _CTC)
    said = quoted(task, answer)
    if isinstance(answer, str):
        return f"it writes {said} for every row"
    if isinstance(answer, float) or are_numbers(answer):
        return f"it answers about {said} to every row"
    if isinstance(answer, tuple):
        return f"it gives every row the same labels: {said}"
    parts = "pixel: one class only" if task.unit == "pixels" else "word: one tag only"
    what = "row: one class only" if getattr(task, "of_rows", True) else parts
    return f"it answers {said} to every {what}"


_CTC = " yet: CTC needs more steps"
"""Its first lesson is that most frames are blank (Graves et al. 2006), so texts come late."""
