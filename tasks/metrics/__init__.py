"""Metrics without a network: `evaluate.Metric` modules, and the accumulators the evaluation loop
keeps.

Each metric is a file of its own that `evaluate.load(str(tasks.metrics.path("f1")))` and
`evaluate.combine` take. The arithmetic stands once, in `arithmetic.py`: the modules and
`ClassificationMetric` both call it, so that a number in a report is the number `evaluate` gives. A
division by zero counts as 0 everywhere, but in error rates of transcripts.

Importing this package imports no numpy, so that the command line is light; the accumulators are in
`classification`, `detection`, `ranked`, `ratios` and `transcription`.
"""

from pathlib import Path
from typing import Any

from tasks.errors import UserError
from tasks.metrics.spec import METRICS, MetricSpec, metric_spec

__all__ = [
    "METRICS",
    "NAMES",
    "MetricSpec",
    "load",
    "metric_spec",
    "path",
    "primary_metric",
]

NAMES = (
    "accuracy",
    "cer",
    "confusion_matrix",
    "f1",
    "matthews_correlation",
    "mse",
    "pearsonr",
    "precision",
    "recall",
    "spearmanr",
    "wer",
)

_PRIMARY = {
    "single_label_classification": "accuracy",
    "multi_label_classification": "f1_micro",
    "regression": "pearsonr",
}


def primary_metric(problem_type: str) -> MetricSpec:
    """The main metric of a problem type, which `ClassificationMetric.compute` has. Unknown:
    UserError."""
    if problem_type not in _PRIMARY:
        known = ", ".join(_PRIMARY)
        raise UserError(f"unknown problem type {problem_type!r}; it is one of {known}")
    return metric_spec(_PRIMARY[problem_type])


def path(name: str) -> Path:
    """The file of one of `NAMES`, as `evaluate.load` takes it. Unknown name: UserError."""
    if name not in NAMES:
        raise UserError(f"there is no metric {name!r}; there are {', '.join(NAMES)}")
    return Path(__file__).with_name("modules") / f"{name}.py"


def load(name: str) -> Any:
    """Return one of `NAMES` as a fresh `evaluate.Metric`. Imports evaluate, which takes seconds."""
    file = path(name)
    import evaluate

    return evaluate.load(str(file))
