"""Sounds to predict on: files, folders, globs, a stream; long ones in windows."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal

from tasks import standard_input
from tasks.bounds import Bounded, Bounds, Count
from tasks.errors import UserError
from tasks.media import inputs
from tasks.speech.sound.audio import AUDIO, RATES

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PAUSE_S = 0.8
PauseSeconds = Annotated[float, Bounds(0.1, 60)]


@dataclass(frozen=True)
class Inputs(Bounded):
    """What is to be heard."""

    audio: tuple[str, ...] = ()
    """files, folders, or globs in quotes; - reads names from standard input, one a line"""
    stream: bool = False
    """read 16-bit little-endian mono PCM from standard input, text as it comes"""
    stream_rate: Count = 16_000
    """samples a second of the stream"""
    pause_s: PauseSeconds = PAUSE_S
    """seconds without speech that end what is written together of a stream"""
    partials: bool = False
    """of a stream: also write texts that may still change, with `final` false"""
    on_bad_file: Literal["skip", "stop"] = "stop"
    """what to do about a sound that can't be read"""


def read(asked: Inputs, stack: ExitStack) -> Iterator[dict[str, Any]]:
    """Media values (`bytes` None, `path`), one by one; a stream is read with `pcm_chunks`.

    Raises `UserError` where nothing is asked for, or a name has no file behind it.
    """
    check(asked)
    if asked.stream:
        raise ValueError("a stream has no files: use pcm_chunks")
    for path in inputs.expand(asked.audio, AUDIO.suffixes, "audio files"):
        yield {"bytes": None, "path": str(path)}


def check(inputs: Inputs) -> None:
    """`UserError` for flags that ask for nothing, or for two things."""
    if inputs.stream and inputs.audio:
        raise UserError("give `audio` or `stream`, not both")
    if not inputs.stream and not inputs.audio:
        raise UserError("what is to be heard? give `audio` FILES, or `stream` and PCM on stdin")
    if not inputs.stream and (inputs.partials or inputs.pause_s != PAUSE_S):
        raise UserError("`pause_s` and `partials` are of a stream: they go with `stream`")
    if not RATES[0] <= inputs.stream_rate <= RATES[1]:
        raise UserError(
            f"`stream_rate` {inputs.stream_rate} is outside {RATES[0]:,} to {RATES[1]:,}"
        )


def pcm_chunks(file: BinaryIO, rate: int, seconds: float) -> "Iterator[npt.NDArray[np.float32]]":
    """Samples of 16-bit little-endian mono PCM as they come, float32 [samples] in [-1, 1).

    Each chunk has what has come since the last one, from one sample to `seconds`; the end of the
    file ends it, and half a sample there is dropped. Open pipes without a buffer, or the reads wait
    until it is full: `sys.stdin.buffer.raw` or `open(..., buffering=0)`; of a buffered file what
    one read gives is taken (`read1`).
    """
    import numpy as np

    most = 2 * max(1, int(rate * seconds))
    take = getattr(file, "read1", file.read)
    rest = b""
    while True:
        got = take(most - len(rest))
        if got is None:  # a pipe set non-blocking, with nothing in it yet
            _wait(file)
            continue
        if not got:
            return
        content = rest + got
        whole = len(content) - len(content) % 2
        rest = content[whole:]
        if whole:
            yield np.frombuffer(content[:whole], "<i2").astype(np.float32) / np.float32(32768)


def _wait(file: BinaryIO) -> None:
    import select

    select.select([file], [], [])


def stdin() -> BinaryIO:
    """Standard input as bytes, without a buffer."""
    stream = standard_input.opened("16-bit PCM")
    return open(stream.fileno(), "rb", buffering=0, closefd=False)


def windows(
    x: "npt.NDArray[np.float32]", rate: int, window_seconds: float, overlap_seconds: float
) -> "list[tuple[int, npt.NDArray[np.float32]]]":
    """Return the windows of a sound: where each begins (in samples), and its samples (views);
    together they cover x.

    Neighbours share the overlap; the last window ends where x does and is as long as the others,
    so it may share more. What is no longer than a window is one. Raises `ValueError` for windows
    that do not get on.
    """
    size, step = round(rate * window_seconds), round(rate * (window_seconds - overlap_seconds))
    if size < 1 or step < 1 or overlap_seconds < 0:
        raise ValueError(f"windows of {window_seconds} s with {overlap_seconds} s in common")
    if len(x) <= size:
        return [(0, x)] if len(x) else []
    starts = [*range(0, len(x) - size, step), len(x) - size]
    return [(start, x[start : start + size]) for start in starts]
