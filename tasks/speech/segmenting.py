"""What `predict` hears: files, or a stream cut at its pauses, as samples at the model's rate."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from tasks.media import inputs
from tasks.speech import audio_features, audio_inputs, audio_items
from tasks.speech.audio_features import AudioConfig
from tasks.speech.audio_inputs import Inputs

if TYPE_CHECKING:
    from contextlib import ExitStack

    import numpy as np

PAUSE = 0.1  # seconds: the quietest stretch of this length is where a stream is cut
PART = 6.0  # seconds of a stream that are read before some of it is said


def read(
    asked: Inputs, rate: int, window_seconds: float, stack: "ExitStack"
) -> Iterator[Mapping[str, Any]]:
    """Yield each sound as `name` and `wave` float32 [samples] at `rate`.

    A file that can't be read is named and skipped, or stops with a `UserError`, as asked.
    """
    audio_inputs.check(asked)
    if asked.stream:
        yield from _stream(asked, rate, min(PART, window_seconds))
        return
    from tasks.speech.sound import audio

    def decode(_: str, media: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"wave": audio.decode(media, rate=rate, max_seconds=audio_items.LONGEST)}

    yield from inputs.decoded(audio_inputs.read(asked, stack), decode, asked.on_bad_file)


def _stream(inputs: Inputs, rate: int, part: float) -> Iterator[Mapping[str, Any]]:
    import numpy as np

    from tasks.speech.sound.audio import resample

    begin = 0
    waiting = np.zeros(0, np.float32)
    size = round(part * inputs.stream_rate)

    def said(wave: "np.ndarray") -> Mapping[str, Any]:
        seconds = begin / inputs.stream_rate, (begin + len(wave)) / inputs.stream_rate
        name = f"{seconds[0]:.2f}-{seconds[1]:.2f} s"
        return {"name": name, "wave": resample(wave, inputs.stream_rate, rate)}

    for chunk in audio_inputs.pcm_chunks(audio_inputs.stdin(), inputs.stream_rate, part / 4):
        waiting = np.concatenate([waiting, chunk])
        while len(waiting) >= size:
            end = quietest(waiting[:size], inputs.stream_rate)
            yield said(waiting[:end])
            begin, waiting = begin + end, waiting[end:]
    if len(waiting) >= PAUSE * inputs.stream_rate:
        yield said(waiting)


def quietest(wave: "np.ndarray", rate: int) -> int:
    """The middle of the quietest tenth of a second in the second half of a sound, in samples."""
    import numpy as np

    width = max(1, round(PAUSE * rate))
    start = len(wave) // 2
    power = np.concatenate([[0.0], np.cumsum(wave[start:].astype(np.float64) ** 2)])
    if len(power) <= width:
        return len(wave)
    return start + int(np.argmin(power[width:] - power[:-width])) + width // 2


SplitIntoSegments = Callable[["np.ndarray", int, float], "list[tuple[int, np.ndarray]]"]
"""Cuts a sound, given its rate, in windows of at most so many seconds: where each begins (in
samples), and its samples."""


def split_at_silence(
    wave: "np.ndarray", rate: int, seconds: float
) -> "list[tuple[int, np.ndarray]]":
    """Return a sound in windows that share nothing, cut where it is quietest: where each begins (in
    samples), and its samples.

    Raises `UserError` for a sound without samples.
    """
    if not len(wave):
        raise UserError("a sound has no samples")
    size, start, parts = round(seconds * rate), 0, []
    while len(wave) - start > size:
        end = start + quietest(wave[start : start + size], rate)
        parts.append((start, wave[start:end]))
        start = end
    return [*parts, (start, wave[start:])]


def rows(
    raw: Sequence[Any],
    extractor: Any,
    audio_config: AudioConfig,
    window_seconds: float,
    cut: SplitIntoSegments = audio_features.cut,
) -> list[dict[str, Any]]:
    """Rows for `audio_features.pad` of what `read` gives, or of whatever
    `tasks.speech.audio_items.samples` takes for a sound.

    A row also has `starts` and `sizes`: where its windows begin and how long they are, in samples.
    """
    if audio_config.longest:
        window_seconds = min(window_seconds, audio_config.longest / audio_config.rate)
    made = []
    for i, item in enumerate(raw):
        wave = audio_items.samples(item, audio_config.rate)
        parts = cut(wave, audio_config.rate, window_seconds)
        windows = audio_features.extract([part for _, part in parts], extractor, audio_config)
        starts, sizes = [start for start, _ in parts], [len(part) for _, part in parts]
        made.append({"sample_id": i, "windows": windows, "starts": starts, "sizes": sizes})
    return made


def draw(axes: Any, row: Mapping[str, Any]) -> None:
    """The features of a row as a picture: frames to the right, mel bins (or amplitude) upward."""
    features = row["windows"][0]
    if features.ndim == 2:
        axes.imshow(features.T, origin="lower", aspect="auto", cmap="magma", interpolation="none")
    else:
        axes.plot(features, linewidth=0.3)
    axes.set_xticks([])
    axes.set_yticks([])
