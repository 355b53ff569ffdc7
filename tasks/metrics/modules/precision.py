"""Precision: of the samples predicted to have a label, the share that has it.

compute(predictions, references, labels=None, pos_label=1, average="binary") -> {"precision":
float}, or float64 [labels] with average=None. Predictions and references are labels [n] or 0/1 rows
[n, labels]; average is binary (of pos_label), micro, macro, weighted or None. A division by zero
gives 0.
"""

from tasks.metrics import arithmetic
from tasks.metrics.modules import information

_URL = "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.precision_score.html"


class Precision(information.LabelScore):
    """Precision for `evaluate`; the module says how it counts."""

    score = staticmethod(arithmetic.precision)
    about = (__doc__, _URL)
