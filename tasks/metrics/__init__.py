"""Metrics without a network: `evaluate.Metric` modules, and the tally the evaluation loop keeps.

Each metric is a file of its own that `evaluate.load(str(tasks.metrics.path("f1")))` and
`evaluate.combine` take. The arithmetic stands once, in `arithmetic.py`: the modules and `Tally`
both call it, so that a number in a report is the number `evaluate` gives. A division by zero counts
as 0 everywhere, but in error rates of transcripts.

Importing this package imports numpy, but neither torch, evaluate, jiwer, scikit-learn nor scipy.
"""

from pathlib import Path
from typing import Any

from tasks.errors import UserError
from tasks.metrics.intervals import Measured
from tasks.metrics.ratios import Ratio, RatioTally
from tasks.metrics.tally import Tally
from tasks.metrics.transcripts import TranscriptTally

__all__ = [
    "NAMES",
    "Measured",
    "Ratio",
    "RatioTally",
    "Tally",
    "TranscriptTally",
    "greater_is_better",
    "load",
    "main_metric",
    "path",
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

_MAIN = {
    "single_label_classification": "accuracy",
    "multi_label_classification": "f1_micro",
    "regression": "pearsonr",
}

_GREATER_IS_BETTER = {
    "accuracy": True,
    "cer": False,
    "exact_match": True,
    "f1": True,
    "f1_macro": True,
    "f1_micro": True,
    "loss": False,
    "masked_accuracy": True,
    "matthews_correlation": True,
    "mse": False,
    "pearsonr": True,
    "perplexity": False,
    "precision": True,
    "precision_macro": True,
    "precision_micro": True,
    "recall": True,
    "recall_macro": True,
    "recall_micro": True,
    "reconstruction_loss": False,
    "spearmanr": True,
    "top5_accuracy": True,
    "wer": False,
}


def main_metric(problem_type: str) -> str:
    """The metric early stopping watches, named as in `Tally.compute`. Unknown: UserError."""
    if problem_type not in _MAIN:
        raise UserError(f"unknown problem type {problem_type!r}; it is one of {', '.join(_MAIN)}")
    return _MAIN[problem_type]


def greater_is_better(name: str) -> bool:
    """Whether more of this metric (or of "loss") is better. Unknown name: UserError."""
    if name not in _GREATER_IS_BETTER:
        raise UserError(f"unknown metric {name!r}; it is one of {', '.join(_GREATER_IS_BETTER)}")
    return _GREATER_IS_BETTER[name]


def path(name: str) -> Path:
    """The file of one of `NAMES`, as `evaluate.load` takes it. Unknown name: UserError."""
    if name not in NAMES:
        raise UserError(f"there is no metric {name!r}; there are {', '.join(NAMES)}")
    return Path(__file__).with_name(f"{name}.py")


def load(name: str) -> Any:
    """One of `NAMES` as a fresh `evaluate.Metric`. Imports evaluate, which takes seconds."""
    file = path(name)
    import evaluate

    return evaluate.load(str(file))
