"""F1: the harmonic mean of precision and recall (van Rijsbergen, Information Retrieval, 1979).

compute(predictions, references, labels=None, pos_label=1, average="binary") -> {"f1": float}, or
float64 [labels] with average=None. Predictions and references are labels [n] or 0/1 rows [n,
labels]; average is binary (of pos_label), micro, macro, weighted or None. A division by zero gives
0.
"""

from tasks.metrics import arithmetic
from tasks.metrics.modules import information

_URL = "https://scikit-learn.org/stable/modules/generated/sklearn.metrics.f1_score.html"


class F1(information.LabelScore):
    """F1 for `evaluate`; the module says how it counts."""

    score = staticmethod(arithmetic.f1)
    about = (__doc__, _URL)
