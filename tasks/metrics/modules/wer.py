"""Word error rate: substituted, deleted and inserted words over those of the references.

compute(predictions, references) -> {"wer": float}. Predictions and references are texts [n]. See
tasks/metrics/transcription.py for what counts as a word and for empty references.
"""

from typing import Any

import evaluate

from tasks.metrics import transcription
from tasks.metrics.modules import information

_URL = "https://github.com/jitsi/jiwer"


class WER(evaluate.Metric):  # type: ignore[misc]
    """Word error rate for `evaluate`; the module says how it counts."""

    def _info(self) -> Any:
        return information.of_texts(__doc__, _URL)

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        errors = transcription.count(predictions, references)
        return {"wer": transcription.rate(errors.word_errors, errors.words)}
