"""What `predict` hears: files, as samples at the model's rate, and streams cut at their pauses."""

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
PART = 6.0  # seconds of a stream without a pause that are read before some of it is said
HOP = 0.05  # seconds whose loudness is one number
LOUDER = 9.0  # dB: a voice above the quietest tenth of a sound, for its pauses to be told
QUIET = 1e-9  # added to powers, so that digital silence has a level


def read(
    asked: Inputs, rate: int, window_seconds: float, stack: "ExitStack"
) -> Iterator[Mapping[str, Any]]:
    """Yield the sound of each file as `name` and `wave` float32 [samples] at `rate`.

    A file that can't be read is named and skipped, or stops with a `UserError`, as asked.
    """
    audio_inputs.check(asked)
    from tasks.speech.sound import audio

    def decode(_: str, media: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"wave": audio.decode(media, rate=rate, max_seconds=audio_items.LONGEST)}

    yield from inputs.decoded(audio_inputs.read(asked, stack), decode, asked.on_bad_file)


class Splitter:
    """Cuts a stream in pieces that share nothing: in the middle of a pause, and where it is
    quietest if no pause comes. Where it cuts does not depend on how the samples came."""

    def __init__(self, rate: int, seconds: float, pause_s: float) -> None:
        """Begin a stream.

        Args:
            rate: samples a second.
            seconds: longest piece; it is cut in its second half.
            pause_s: seconds of a pause that end a piece.
        """
        import numpy as np

        self._rate, self._size = rate, round(seconds * rate)
        self._hop = max(1, round(HOP * rate))
        self._pause_hops = max(1, round(pause_s / HOP))
        self._rest: np.ndarray = np.zeros(0, np.float32)  # less than a hop
        self.begin = 0
        """Where what waits begins, in samples of the stream."""
        self.waiting: np.ndarray = np.zeros(0, np.float32)
        """What is in no piece yet, float32 [samples], but for less than a hop."""

    def push(self, samples: "np.ndarray") -> list[tuple[int, "np.ndarray"]]:
        """Return the pieces that samples float32 [samples] have completed: where each begins, in
        samples of the stream, and its samples."""
        import numpy as np

        self._rest, found = np.concatenate([self._rest, samples]), []
        while len(self._rest) >= self._hop:
            self.waiting = np.concatenate([self.waiting, self._rest[: self._hop]])
            self._rest = self._rest[self._hop :]
            if len(self.waiting) >= self._size:
                found.append(self._cut(quietest(self.waiting[: self._size], self._rate)))
            elif ends_in_pause(self.waiting, self._hop, self._pause_hops):
                found.append(self._cut(len(self.waiting) - self._pause_hops * self._hop // 2))
        return found

    def finish(self) -> list[tuple[int, "np.ndarray"]]:
        """Return the last piece, if what waits is long enough to say anything."""
        import numpy as np

        self.waiting = np.concatenate([self.waiting, self._rest])
        self._rest = self._rest[:0]
        return [self._cut(len(self.waiting))] if len(self.waiting) >= PAUSE * self._rate else []

    def _cut(self, end: int) -> tuple[int, "np.ndarray"]:
        piece = self.begin, self.waiting[:end]
        self.begin, self.waiting = self.begin + end, self.waiting[end:]
        return piece


def ends_in_pause(wave: "np.ndarray", hop: int, hops: int) -> bool:
    """Return whether a sound ends in a pause of so many hops, with something louder before it.

    Quiet is what is nearer to the quietest tenth of the sound than to its loudest twentieth, by a
    quarter of the way between them in dB. Where these differ by less than `LOUDER` dB, nobody can
    tell: nothing was said, or the noise is as loud as the voice.
    """
    import numpy as np

    count = len(wave) // hop
    if count <= hops:
        return False
    power = np.square(wave[-count * hop :].reshape(count, hop), dtype=np.float64).mean(1)
    levels = 10 * np.log10(power + QUIET)
    low, high = np.quantile(levels, (0.1, 0.95))
    return bool(high - low >= LOUDER and (levels[-hops:] < low + 0.25 * (high - low)).all())


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
