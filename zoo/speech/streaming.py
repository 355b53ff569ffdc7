"""Speech to text while it is spoken: `SpeechStream`, for every model of sound.

A causal network (`zoo.speech.stream_ctc`, run eagerly) computes each chunk once, with what it
carries from the last one, and its logits are those of the whole recording to the last bit; a pause
is where it writes nothing. All other models hear pieces of the stream: it is cut in the middle of
pauses, and where it is quietest if none comes for six seconds (`tasks.speech.segmenting.Splitter`);
what is not cut yet is heard anew for a text that may still change. So is `stream_ctc` itself as an
exported program, which takes whole sounds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tasks.errors import UserError
from tasks.speech import audio_items, segmenting
from tasks.speech.audio_inputs import PAUSE_S
from tasks.speech.decoding.timed_words import GreedyReader, Word
from tasks.speech.sound.audio import RATES
from tasks.speech.sound.resampler import Resampler
from tasks.speech.speech_recognition import SpeechRecognition

if TYPE_CHECKING:
    import numpy.typing as npt

CAUSAL = ("none", "fixed")
"""Normalizations of log-mel features that wait for nothing."""
LONGEST_S = 30.0
"""Seconds without a pause after which a causal network's text ends at the next word."""


@dataclass(frozen=True)
class Partial:
    """What is predicted of a part of a stream."""

    start: float
    """seconds from the beginning of the stream"""
    end: float
    final: bool
    """False: it may still change, and the next one begins at the same place"""
    prediction: Mapping[str, Any]
    """as `Task.to_json` has it: `text` of a recogniser, `label` and `score` of a classifier"""
    words: tuple[Word, ...] | None = None
    """of a model with CTC that is decoded greedily; None of others"""

    @property
    def text(self) -> str:
        """The text; empty of what writes none."""
        return str(self.prediction.get("text", ""))

    def to_json(self) -> dict[str, Any]:
        """Return the prediction as plain JSON, with the `words` where they are known."""
        found = dict(self.prediction)
        return found if self.words is None else found | {"words": [asdict(w) for w in self.words]}


class _Engine(Protocol):
    """What hears samples at the model's rate."""

    def push(self, wave: "npt.NDArray[np.float32]") -> list[Partial]: ...
    def finish(self) -> list[Partial]: ...


class SpeechStream:
    """A sound that comes piece by piece, and what is predicted of it.

    Feed it with `push`, whose pieces may have any length, and end it with `finish`; a stream is
    used once, by one thread.
    """

    def __init__(
        self,
        predictor: Any,
        rate: int = 16_000,
        *,
        pause_s: float = PAUSE_S,
        partial_s: float | None = 0.5,
        top_k: int | None = None,
    ) -> None:
        """Begin a stream.

        Args:
            predictor: a `zoo.predict.pipeline.Predictor` of sounds; it is not changed, and several
                streams can share it.
            rate: samples a second of what is pushed; it is resampled to the model's.
            pause_s: seconds without speech that end a text.
            partial_s: seconds of sound between texts that may still change, for a model that hears
                pieces; a causal network gives one whenever its text changes. None: final texts
                alone.
            top_k: as in `predict`.

        Raises `UserError` for a rate that no sound has.
        """
        if not RATES[0] <= rate <= RATES[1]:
            raise UserError(f"`stream_rate` {rate} is outside {RATES[0]:,} to {RATES[1]:,}")
        self.rate = rate
        self._resampler = Resampler(rate, predictor.task.settled.rate)
        self._engine: _Engine
        if is_causal(predictor):
            self._engine = _Causal(predictor, pause_s, partial_s is not None, top_k)
        else:
            self._engine = _Pieces(predictor, pause_s, partial_s, top_k)
        self._ended = False

    def push(self, samples: Any) -> list[Partial]:
        """Return what the next samples have brought, in order; often nothing.

        Args:
            samples: [samples], int16, or float32 in -1 to 1.

        Raises `UserError` for what is no samples, `ValueError` behind the end.
        """
        if self._ended:
            raise ValueError("the stream has ended: begin another one")
        wave = audio_items.samples(np.asarray(samples), self.rate)
        return self._engine.push(self._resampler.push(wave))

    def finish(self) -> list[Partial]:
        """End the stream and return the final texts that were left, often one."""
        if self._ended:
            return []
        self._ended = True
        found = self._engine.push(self._resampler.finish())
        return [*(one for one in found if one.final), *self._engine.finish()]


def is_causal(predictor: Any) -> bool:
    """Return whether a predictor's network takes a stream chunk by chunk, with causal features."""
    model, task = predictor.model, predictor.task
    if not isinstance(task, SpeechRecognition) or not hasattr(type(model), "step"):
        return False
    return task.processor.feature_extractor.settings().normalize in CAUSAL


class _Causal:
    """A causal network that hears each sample once."""

    def __init__(self, predictor: Any, pause_s: float, partials: bool, top_k: int | None) -> None:
        self._task, self._model = predictor.task, predictor.model
        self._device, self._partials, self._top_k = predictor.device, partials, top_k
        self._mel = self._task.processor.feature_extractor.settings()
        config = self._model.config
        self._chunk = int(config.chunk_frames)
        self._seconds = config.inputs_to_logits_ratio / self._mel.sampling_rate  # of a frame
        self._pause_frames = max(1, round(pause_s / self._seconds))
        self._state = self._model.begin()
        self._reader = GreedyReader(self._task.spelling)
        self._samples: npt.NDArray[np.float32] = np.zeros(0, np.float32)
        self._features: npt.NDArray[np.float32] = np.zeros((0, self._mel.feature_size), np.float32)
        self._logits: list[npt.NDArray[np.float32]] = []  # since the last text, for a beam search
        self._heard = 0  # samples
        self._begin = 0.0  # of the text, in seconds
        self._said = ""

    def push(self, wave: "npt.NDArray[np.float32]") -> list[Partial]:
        """Return the texts that ended, and the one that has changed."""
        self._heard += len(wave)
        self._samples = np.concatenate([self._samples, wave])
        block = self._mel.block_frames or self._chunk
        found: list[Partial] = []
        while len(self._samples) >= (block - 1) * self._mel.hop_length + self._mel.win_length:
            found += self._frames(block)
        if self._partials and self._reader.text != self._said:
            self._said = self._reader.text
            found.append(self._partial(final=False))
        return found

    def finish(self) -> list[Partial]:
        """Return the texts that were left."""
        if not self._heard:
            return []
        mel, found = self._mel, []
        self._samples = np.pad(self._samples, (0, mel.tail_samples))
        is_first = not self._reader.frames and not len(self._features)
        if is_first and len(self._samples) < mel.win_length:  # as offline
            self._samples = np.pad(self._samples, (0, mel.win_length - len(self._samples)))
        while (left := len(self._samples) - mel.win_length) >= 0:
            found += self._frames(min(mel.block_frames or self._chunk, left // mel.hop_length + 1))
        if len(self._features):
            found += self._step(self._features)
        if self._reader.text:
            found += self._ended()
        return found

    def _frames(self, count: int) -> list[Partial]:
        """Take the next frames of the samples."""
        mel = self._mel
        size = (count - 1) * mel.hop_length + mel.win_length
        framed = np.lib.stride_tricks.sliding_window_view(self._samples[:size], mel.win_length)
        found = mel.log_energies(framed[:: mel.hop_length])
        self._samples = self._samples[count * mel.hop_length :]
        self._features = np.concatenate([self._features, found])
        texts = []
        while len(self._features) >= self._chunk:
            texts += self._step(self._features[: self._chunk])
            self._features = self._features[self._chunk :]
        return texts

    def _step(self, features: "npt.NDArray[np.float32]") -> list[Partial]:
        """Compute a chunk; return the text that it ends, if it does."""
        import torch

        given = torch.from_numpy(features.copy()).to(self._device)
        logits, self._state = self._model.step(given, self._state)
        array = logits.float().cpu().numpy()
        self._reader.read(array)
        if self._task.decoding is not None:
            self._logits.append(array)
        pause = self._pause_frames
        if not self._reader.text:  # nothing has begun
            self._begin = max(self._begin, self._now() - pause * self._seconds)
            self._logits = self._logits[-pause:]
            return []
        is_long = self._now() - self._begin > LONGEST_S and self._reader.is_between_words
        return self._ended() if is_long or self._reader.silent_frames >= pause else []

    def _now(self) -> float:
        """Return how much was heard, in seconds, by the network."""
        seconds: float = self._reader.frames * self._seconds
        return min(seconds, float(self._heard / self._mel.sampling_rate))

    def _ended(self) -> list[Partial]:
        """Return the text as a final one, if there is any, and begin the next."""
        found = self._partial(final=True)
        self._reader.clear()
        self._logits, self._said, self._begin = [], "", found.end
        return [found] if found.text else []

    def _partial(self, final: bool) -> Partial:
        now, task = self._now(), self._task
        if final and task.decoding is not None:
            logits = np.concatenate(self._logits)[None]
            (read,) = task.postprocess({"logits": logits})
            return Partial(self._begin, now, final, task.to_json(read, self._top_k))
        words = self._reader.words(self._seconds)
        kept = tuple(replace(w, start=min(w.start, now), end=min(w.end, now)) for w in words)
        return Partial(self._begin, now, final, {"text": self._reader.text}, kept)


class _Pieces:
    """A model that hears pieces of the stream, each as a sound by itself."""

    def __init__(
        self, predictor: Any, pause_s: float, partial_s: float | None, top_k: int | None
    ) -> None:
        self._predictor, self._task, self._top_k = predictor, predictor.task, top_k
        self._rate = int(self._task.settled.rate)
        seconds = min(segmenting.PART, self._task.args.window_seconds)
        self._splitter = segmenting.Splitter(self._rate, seconds, pause_s)
        self._every = None if partial_s is None else max(1, round(partial_s * self._rate))
        self._next = self._every or 0  # how long what waits is when it is heard for the next time

    def push(self, wave: "npt.NDArray[np.float32]") -> list[Partial]:
        """Return the texts that ended, and what is heard so far of the one that has not."""
        pieces = self._splitter.push(wave)
        found = [self._heard(begin, piece, final=True) for begin, piece in pieces]
        if self._every is None:
            return found
        waiting = self._splitter.waiting
        if pieces:
            self._next = len(waiting) + self._every
        elif len(waiting) >= self._next:
            self._next = len(waiting) + self._every
            found.append(self._heard(self._splitter.begin, waiting, final=False))
        return found

    def finish(self) -> list[Partial]:
        """Return the last text."""
        return [self._heard(begin, piece, final=True) for begin, piece in self._splitter.finish()]

    def _heard(self, begin: int, wave: "npt.NDArray[np.float32]", final: bool) -> Partial:
        return hear(self._predictor, wave, begin / self._rate, final, self._top_k)


def hear(
    predictor: Any,
    wave: "npt.NDArray[np.float32]",
    start: float = 0.0,
    final: bool = True,
    top_k: int | None = None,
) -> Partial:
    """Return what is predicted of a whole sound, with the times of its words where a model has
    them.

    Args:
        predictor: as in `SpeechStream`.
        wave: [samples] at the model's rate.
        start: when the sound begins, in seconds, from which the times count.
        final: what the result says of itself.
        top_k: as in `predict`.
    """
    task, length = predictor.task, len(wave) / predictor.task.settled.rate
    words: tuple[Word, ...] | None = None
    item = [{"wave": wave}]
    if isinstance(task, SpeechRecognition):
        with predictor.context():
            outputs = predictor.outputs(item)
            (read,) = task.postprocess(outputs)
            if task.decoding is None:
                words = _words(outputs["logits"][0], task, start, length)
    else:
        (read,) = predictor.typed(item)
    return Partial(start, start + length, final, task.to_json(read, top_k), words)


def _words(logits: Any, task: SpeechRecognition, start: float, length: float) -> tuple[Word, ...]:
    """Return the words of one sound's logits [frames, vocab], a tensor or an array."""
    array = logits.float().cpu().numpy() if hasattr(logits, "cpu") else logits
    reader = GreedyReader(task.spelling)
    reader.read(array)
    return tuple(reader.words(length / max(1, len(array)), start))


def joined(parts: Sequence[Partial]) -> str:
    """Return the final texts of a stream as one."""
    return " ".join(one.text for one in parts if one.final and one.text)
