"""Sounds to predict on: names, streams through real pipes, windows."""

import io
import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import UserError
from tasks.speech.audio_inputs import Inputs, check, pcm_chunks, read, windows

SAMPLES = (np.random.default_rng(0).standard_normal(5_000) * 8_000).astype("<i2")


def test_files_become_media(tmp_path: Path) -> None:
    for name in ("b.wav", "a.ogg", "c.txt"):
        (tmp_path / name).touch()
    with ExitStack() as stack:
        found = list(read(Inputs((str(tmp_path),)), stack))
    assert found == [{"bytes": None, "path": str(tmp_path / name)} for name in ("a.ogg", "b.wav")]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Inputs(), "what is to be heard"),
        (Inputs(("a.wav",), stream=True), "`audio` or `stream`, not both"),
        (Inputs(stream=True, stream_rate=10), "`stream_rate` 10 is outside 1,000 to 400,000"),
    ],
)
def test_flags(asked: Inputs, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check(asked)


class Dripping(io.RawIOBase):
    """Gives its content in the pieces asked for, as a pipe may."""

    def __init__(self, content: bytes, sizes: list[int]) -> None:
        self.content, self.sizes = content, sizes

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        size = min(size, self.sizes.pop(0) if self.sizes else size)
        part, self.content = self.content[:size], self.content[size:]
        return part


@given(
    sizes=st.lists(st.integers(1, 50), max_size=20),
    length=st.integers(0, 300),
    seconds=st.floats(0.0001, 0.1),
)
def test_any_pieces_give_the_same_samples(sizes: list[int], length: int, seconds: float) -> None:
    content = SAMPLES.tobytes()[:length]
    chunks = list(pcm_chunks(Dripping(content, sizes), 1_000, seconds))  # type: ignore
    whole = np.concatenate([np.zeros(0, np.float32), *chunks])
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(whole * 32_768, SAMPLES[: length // 2])
    assert all(0 < len(chunk) <= max(1, int(1_000 * seconds)) for chunk in chunks)


def test_a_pipe_gives_what_has_come_and_ends() -> None:
    reading, writing = os.pipe()
    content = SAMPLES.tobytes()
    heard = threading.Event()
    in_time = []

    def feed() -> None:
        with os.fdopen(writing, "wb", buffering=0) as file:
            file.write(content[:333])
            in_time.append(heard.wait(10))  # nothing more comes before this was given
            file.write(content[333:])

    feeder = threading.Thread(target=feed)
    feeder.start()
    chunks = []
    with os.fdopen(reading, "rb", buffering=0) as file:
        for chunk in pcm_chunks(file, 16_000, 10.0):
            chunks.append(chunk)
            heard.set()
    feeder.join()
    assert in_time == [True] and len(chunks[0]) == 166
    np.testing.assert_array_equal(np.concatenate(chunks) * 32_768, SAMPLES)


def test_standard_input_of_a_process() -> None:
    code = (
        "import numpy as np; from tasks.speech import audio_inputs as a;"
        "print(sum(len(c) for c in a.pcm_chunks(a.stdin(), 16000, 0.01)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=SAMPLES.tobytes() + b"x",
        capture_output=True,
        check=True,
    )
    assert done.stdout.strip() == b"5000"


def test_a_pipe_that_does_not_block_is_waited_for() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def feed() -> None:
        time.sleep(0.1)
        os.write(writing, SAMPLES[:100].tobytes())
        time.sleep(0.1)
        os.close(writing)

    feeder = threading.Thread(target=feed)
    feeder.start()
    with os.fdopen(reading, "rb", buffering=0) as file:
        found = np.concatenate(list(pcm_chunks(file, 16_000, 1.0)))
    feeder.join()
    assert len(found) == 100


@given(
    length=st.integers(0, 500),
    size=st.integers(1, 100),
    shared=st.integers(0, 99),
)
def test_windows_cover_and_overlap(length: int, size: int, shared: int) -> None:
    if shared >= size:
        with pytest.raises(ValueError):
            windows(np.zeros(length, np.float32), 1, size, shared)
        return
    x = np.arange(length, dtype=np.float32)
    cut = windows(x, 1, size, shared)
    heard = np.zeros(length, bool)
    for start, window in cut:
        assert len(window) == min(size, length)
        np.testing.assert_array_equal(window, x[start : start + len(window)])
        heard[start : start + len(window)] = True
    assert heard.all()
    starts = [start for start, _ in cut]
    steps = np.diff(starts)
    assert (steps > 0).all() and (steps[:-1] == size - shared).all()
    assert (steps <= size - shared).all()
    assert bool(cut) == bool(length)


def test_windows_in_seconds() -> None:
    starts = [start for start, _ in windows(np.zeros(50_000, np.float32), 16_000, 2.0, 0.5)]
    assert starts == [0, 18_000]
