"""Whether a checkpoint is worth anything: its main metric on samples it never saw, against what
one constant answer is worth there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.metrics.spec import MetricSpec
from zoo.machine.formatting import interval
from zoo.store import evidence

NOTHING = {"wer": 1.0, "cer": 1.0}
"""What a metric says of an empty answer, where no constant one was measured; 0 of the others."""
CONSTANT = "constant_"
"""Begins the names of facts about constant answers: `zoo.evaluation.constant_answer`."""


@dataclass(frozen=True)
class Worth:
    """A metric, and what it has to beat."""

    metric: MetricSpec
    value: float
    low: float
    high: float
    n: int
    split: str
    constant: float
    answer: str
    """the constant one; empty where none was measured"""

    @property
    def is_any(self) -> bool:
        """Return whether the whole interval is better than the constant answer."""
        if self.metric.greater_is_better:
            return self.low > self.constant
        return self.high < self.constant

    def __str__(self) -> str:
        """Return it as a sentence has it."""
        always = f"always {self.answer!r}" if self.answer else "knowing nothing"
        return (
            f"{self.metric.name} {self.value:.4f} ({interval(self.low, self.high)}, n = "
            f"{self.n:,}) on {self.split}; {always} gives {self.constant:.4f}"
        )

    def refusal(self, rows: int) -> str:
        """Return why it is not shipped, and what would help."""
        always = f"always {self.answer!r}" if self.answer else "knowing nothing"
        more = "more `minutes` or more rows" if rows < 5_000 else "more `minutes`"
        hint = f"the interval is wide with {self.n:,} rows; " if self.n < 200 else ""
        return (
            f"not shipped: {self.metric.name} {self.value:.4f} "
            f"({interval(self.low, self.high)}) is no better than {always} ({self.constant:.4f}) "
            f"by its interval: {hint}{more} may help, or another `model`"
        )


def worth(folder: Path, metric: MetricSpec) -> Worth | None:
    """Return what the last evaluation of a checkpoint has found, as its evidence says; None where
    the metric is undefined, as a correlation is where every answer is the same."""
    subject = evidence.subject_digest(folder)
    facts = [one for one in evidence.read(folder) if one.subject == subject]
    found = next((one for one in reversed(facts) if _is(one, metric.name)), None)
    if found is None or found.value is None or found.interval is None:
        return None
    constants: Sequence[evidence.Fact] = [
        one for one in facts if one.run == found.run and one.name == CONSTANT + metric.name
    ]
    constant = constants[-1] if constants else None
    value = constant.value if constant and constant.value is not None else None
    return Worth(
        metric,
        float(found.value),
        float(found.interval["low"]),
        float(found.interval["high"]),
        found.n or 0,
        found.split or "",
        NOTHING.get(metric.name, 0.0) if value is None else float(value),
        constant.label or "" if constant else "",
    )


def _is(fact: evidence.Fact, name: str) -> bool:
    """Whether a fact is that metric of the whole, of the weights themselves."""
    return fact.kind == "metric" and fact.name == name and fact.deployment in (None, "eager")
