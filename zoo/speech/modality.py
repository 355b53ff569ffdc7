"""Sound: samples of a wave, or the frames of a spectrogram."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tasks.base import Batch, Generates, Task
from tasks.errors import UserError
from zoo.model import loading
from zoo.model.modality import Modality
from zoo.speech.mel import LogMel

if TYPE_CHECKING:
    from torch import nn

    from zoo.runtimes.signature import Signature

LONGEST_SECONDS = 30.0
EXAMPLE_SECONDS = (0.93, 1.37, 1.71)
CHUNK_S = 0.25  # seconds of a stream that are read at once, at most
PARTIAL_S = 0.5  # seconds between texts that may still change, of models that hear windows

T = TypeVar("T")


class Sound(Modality):
    """Sound inputs: waves float32 [batch, samples], or spectrograms float32 [batch, frames, bins]
    ([batch, bins, frames] if the task's `settled.bins_first`), with an optional mask; and previous
    tokens int64 [batch, tokens] if the model generates text."""

    name = "speech"
    axis = "length"  # samples or frames, as the features are, or tokens that are written
    unit = "seconds"
    file_note = "reading a file takes ffmpeg"

    def load_processor(self, folder: Path) -> Any:
        """Return the feature extractor, with the tokenizer if the model generates text."""
        # their own feature extractors
        from zoo.speech import (
            ctc_processor,
            modeling_conformer,  # noqa: F401
            modeling_kws,  # noqa: F401
        )

        if (folder / "tokenizer_config.json").exists():
            return ctc_processor.load_processor(folder)
        return loading.load_feature_extractor(folder)

    def load_reader(self, folder: Path) -> Any:
        """Return the feature extractor, without transformers if it is one of this project."""
        path = folder / "preprocessor_config.json"
        settings = loading.load_json(folder, path.name) if path.is_file() else {}
        is_ours = settings.get("feature_extractor_type") == "LogMelFeatureExtractor"
        writes_text = (folder / "tokenizer_config.json").exists()
        if not is_ours or writes_text or settings.get("padding_side", "right") != "right":
            return self.load_processor(folder)
        with loading.told(folder, "feature extractor"):
            found = LogMel.of_settings(settings)
            loading.must_hear(found)
        return found

    def example_inputs(self, task: Task, processor: Any) -> tuple[Batch, Batch]:
        """Return a small and a large batch of noise of different lengths; if the model generates
        text, the target lengths differ by one token."""
        rate: int = task.settled.rate  # type: ignore[attr-defined]
        rng = np.random.default_rng(0)
        sounds = [
            rng.normal(0, 0.1, int(seconds * rate)).astype(np.float32)
            for seconds in EXAMPLE_SECONDS
        ]

        def batch(count: int) -> Batch:
            rows = task.inputs(sounds[:count])
            if isinstance(task, Generates):
                rows = task.given_tokens(rows, count + 1)
            return task.collate(rows)

        return batch(2), batch(3)

    def random_inputs(
        self, signature: "Signature", sizes: Mapping[str, int], model: "nn.Module", seed: int
    ) -> dict[str, np.ndarray]:
        """Return random noise, and random tokens if the model takes them; padding is 0."""
        rng = np.random.default_rng([seed, *sizes.values()])
        drawn: dict[str, np.ndarray] = {}
        least = signature.limits.get(self.axis, (1, None))[0]
        for port in signature.inputs:
            shape = tuple(sizes[size] if isinstance(size, str) else size for size in port.dims)
            if port.name == "decoder_input_ids":
                config: Any = model.config
                drawn[port.name] = rng.integers(0, config.vocab_size, shape)
            elif port.name != "attention_mask":
                drawn[port.name] = rng.normal(size=shape).astype(port.dtype)
        if any(port.name == "attention_mask" for port in signature.inputs):
            batch, length = sizes["batch"], sizes[self.axis]
            ends = rng.integers(min(least, length), length + 1, batch)
            ends[0] = length
            mask = np.arange(length) < ends[:, None]
            for array in drawn.values():
                array[~mask] = 0
            drawn["attention_mask"] = mask.astype(np.int64)
        return {port.name: drawn[port.name] for port in signature.inputs}

    def bounds(self, task: Task, model: "nn.Module") -> tuple[int, int | None]:
        """Return the shortest input that gives two frames, and the size of `LONGEST_SECONDS`, or
        None if the task cuts no sound that is longer; for a model that generates text, whose sounds
        have one length, the bounds of its tokens.

        Two, because torch.export takes a size of 1 for a constant: what it makes of several frames
        is no program for one.
        """
        import torch

        if isinstance(task, Generates):
            return 1, task.longest_text
        audio_config = task.settled  # type: ignore[attr-defined]
        if audio_config.input_name == "input_values":
            least, longest = audio_config.rate // 40, int(LONGEST_SECONDS * audio_config.rate)
        else:
            least, longest = 1, int(LONGEST_SECONDS * audio_config.frames_per_second)
        frames = getattr(model, "_get_feat_extract_output_lengths", None)
        while frames is not None and int(frames(torch.tensor([least]))[0]) < 2:
            least += 1
        is_whole = task.args.window_seconds > LONGEST_SECONDS  # type: ignore[attr-defined]
        return least, None if is_whole else longest

    def positions(self, length: float, signature: "Signature", task: Task) -> int:
        """Return the number of samples or frames in a length in seconds."""
        return round(length * self._per_second(len(signature.inputs[0].dims), task))

    def row_size(self, row: Mapping[str, Any]) -> tuple[int, int]:
        """Return the number of windows and the samples or frames of the longest."""
        return len(row["windows"]), max(map(len, row["windows"]))

    def decode(self, item: Any, task: Any, max_seconds: float) -> Any:
        """Return an input with the content of a file decoded: `wave` float32 [samples].

        Raises `UserError` for what is no sound, or lasts longer than it may.
        """
        from tasks.media.items import named_errors
        from tasks.speech.sound import audio

        if not isinstance(item, bytes):
            seconds = len(item["array"]) / item["sampling_rate"]
            if seconds > max_seconds:
                raise UserError(f"the sound: {audio.too_long(seconds, max_seconds)}")
            return item
        media: Mapping[str, Any] = {"bytes": item, "path": None}
        with named_errors(media, "sound"):
            return {"wave": audio.decode(media, rate=task.settled.rate, max_seconds=max_seconds)}

    def duration(self, row: Mapping[str, Any], task: Any) -> float:
        """Return how long the sound of a row is, in seconds; its windows are in samples."""
        return float((row["starts"][-1] + row["sizes"][-1]) / task.settled.rate)

    def with_words(self, predictor: Any, item: Any) -> dict[str, Any]:
        """Return the prediction for one sound, with its words where the model knows their times."""
        from tasks.speech import audio_items
        from zoo.speech import streaming

        wave = audio_items.samples(item, predictor.task.settled.rate)
        return streaming.hear(predictor, wave).to_json()

    def open_stream(self, predictor: Any, rate: int, pause_s: float | None) -> Any:
        """Return a stream that hears with a predictor."""
        from tasks.speech.audio_inputs import PAUSE_S
        from zoo.speech.streaming import SpeechStream

        return SpeechStream(predictor, rate, pause_s=PAUSE_S if pause_s is None else pause_s)

    def fixed_length(self, signature: "Signature", task: Any) -> float:
        """Return the length in seconds of a spectrogram of fixed size."""
        shape = max((port.dims for port in signature.inputs), key=len)
        return int(shape[self._time_axis(task)]) / float(task.settled.frames_per_second)

    def work(self, arrays: Mapping[str, np.ndarray], task: Task) -> dict[str, float]:
        """Return the number of samples and the seconds of sound without padding."""
        first, mask = next(iter(arrays.values())), arrays.get("attention_mask")
        axis = self._time_axis(task) if first.ndim == 3 else 1
        positions = float(mask.sum()) if mask is not None else float(len(first) * first.shape[axis])
        return {"samples": len(first), self.unit: positions / self._per_second(first.ndim, task)}

    def _per_second(self, rank: int, task: Any) -> float:
        """Return the positions per second of an input of this rank: 3 for a spectrogram, else a
        wave."""
        return float(task.settled.frames_per_second if rank == 3 else task.settled.rate)

    def _time_axis(self, task: Any) -> int:
        """Return the time axis of a spectrogram."""
        return 2 if task.settled.bins_first else 1

    def describe_inputs(self, task: Any) -> Iterator[str]:
        """Yield the sampling rate that sounds are converted to, and their length in training, for a
        card."""
        rate = task.settled.rate
        yield (
            f"Sound is brought to {rate:,} samples a second, so nothing above {rate // 2:,} Hz is "
            f"heard; trained and measured on recordings of {task.args.max_seconds:g} s at most."
        )

    def live(
        self, predictor: Any, asked: Any, top_k: int | None
    ) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Yield what is heard in 16-bit PCM on standard input (`Modality.live`)."""
        from tasks.speech import audio_inputs
        from zoo.speech.streaming import SpeechStream

        audio_inputs.check(asked)
        stream = SpeechStream(
            predictor,
            asked.stream_rate,
            pause_s=asked.pause_s,
            partial_s=PARTIAL_S if asked.partials else None,
            top_k=top_k,
        )
        chunks = audio_inputs.pcm_chunks(audio_inputs.stdin(), asked.stream_rate, CHUNK_S)
        pushed = (one for chunk in chunks for one in stream.push(chunk))
        for one in itertools.chain(pushed, _lazily(stream.finish)):
            final = {"final": one.final} if asked.partials else {}
            yield {"name": f"{one.start:.2f}-{one.end:.2f} s"}, {**one.to_json(), **final}


def _lazily(finish: Callable[[], list[T]]) -> Iterator[T]:
    """Yield what `finish` gives, called when the first is wanted."""
    yield from finish()


MODALITY = Sound()
