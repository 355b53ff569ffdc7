"""What all recognisers of speech share, however they come to their text: metrics, errors, how a
transcription reads.

A task of recognition is a frozen dataclass that inherits `Transcription` and adds how its network
comes to a text.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.base import Batch, Bindable, Evaluated
from tasks.media import items
from tasks.metrics.spec import metric_spec
from tasks.printing import python_literal
from tasks.speech import audio_items, segmenting

if TYPE_CHECKING:
    from tasks.metrics.transcription import TranscriptionMetric


@dataclass(frozen=True)
class TextPrediction:
    """A transcribed text, and where a search was made the texts it has found."""

    text: str
    ranked: tuple[tuple[str, float], ...] = ()
    """texts and their scores, best first, where a search has found several"""


class Transcription(Bindable):
    """Sounds to texts. See `tasks.base.Task`."""

    name = "automatic-speech-recognition"
    pipeline = "automatic-speech-recognition"
    unit = "seconds"
    verb = "transcribe"
    has_language = True
    example_call = "--audio recording.wav"
    primary = metric_spec("wer")
    labels = ()

    def example_code(self, is_english: bool) -> str:
        """Return an input of transformers' pipeline as Python source."""
        return python_literal(shlex.split(self.example_call)[1])

    def is_one(self, raw: Any) -> bool:
        """Return whether an input is a single sound, and not a list of them."""
        return items.is_one(raw, audio_items.DIMS)

    def references(self, batch: Batch) -> list[str]:
        """Return the text that was said in each sound."""
        raise NotImplementedError

    def compared(self, text: str) -> str:
        """Return a text as errors are counted."""
        return text

    def accumulator(self) -> "TranscriptionMetric":
        """Return an empty accumulator of this task's metrics."""
        from tasks.metrics.transcription import TranscriptionMetric

        return TranscriptionMetric()

    def update(self, accumulator: Any, seen: Evaluated[TextPrediction]) -> None:
        """Add the transcriptions of a batch to an accumulator."""
        accumulator.update(seen.batch.ids.cpu().numpy(), *self._both(seen))

    def _both(self, seen: Evaluated[TextPrediction]) -> tuple[list[str], list[str]]:
        """Return the hypothesis and the reference of each sound, as errors are counted."""
        hypotheses = [self.compared(one.text) for one in seen.predictions]
        return hypotheses, [self.compared(text) for text in seen.references]

    def top_confusions(self, accumulator: Any) -> list[tuple[str, str, int]]:
        """Return words and what they were taken for, the most frequent first; "-" is no word."""
        pairs: list[tuple[str, str, int]] = accumulator.top_confusions()
        return pairs

    def errors(self, seen: Evaluated[TextPrediction]) -> list[tuple[float, int, str, str]]:
        """Return wrong transcriptions as (loss of the sample, its id, truth, hypothesis)."""
        assert seen.loss.terms is not None
        hypotheses, references = self._both(seen)
        columns = seen.loss.terms.tolist(), seen.batch.ids.tolist(), references, hypotheses
        return [row for row in zip(*columns, strict=True) if row[2] != row[3]]

    def show(self, example: Mapping[str, Any], row: int) -> str:
        """An example in one line of a table."""
        from tasks.media.source import name_of

        return name_of(example["media"], row)

    def draw(self, axes: Any, row: Mapping[str, Any]) -> None:
        """The features of a row as a picture."""
        segmenting.draw(axes, row)

    def to_json(self, prediction: TextPrediction, top_k: int | None = None) -> dict[str, Any]:
        """The transcription: `text`; with `top_k` and a search also `scores` of the best k."""
        if top_k is None or not prediction.ranked:
            return {"text": prediction.text}
        ranked: Sequence[tuple[str, float]] = prediction.ranked[:top_k]
        return {"text": ranked[0][0], "scores": dict(ranked)}
