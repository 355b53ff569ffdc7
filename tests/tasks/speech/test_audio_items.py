"""One sound as Python gives it: whatever it comes as, the samples are the same."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from tasks.errors import UserError
from tasks.speech.audio_items import samples
from tasks.speech.sound import audio

RATE = 8000
INTEGERS = np.random.default_rng(0).integers(-20_000, 20_000, 800).astype(np.int16)
WAVE = (INTEGERS / 32768).astype(np.float32)
WAV = io.BytesIO()
soundfile.write(WAV, INTEGERS, RATE, format="WAV")


@pytest.mark.parametrize(
    "item",
    [
        WAV.getvalue(),
        bytearray(WAV.getvalue()),
        {"bytes": WAV.getvalue(), "path": None},
        {"name": "a.wav", "wave": WAVE},
        WAVE,
        WAVE.astype(np.float64),
        INTEGERS,
        INTEGERS.astype(np.int32) * 65536,
        WAVE[None],
        WAVE[:, None],
        torch.from_numpy(WAVE),
        torch.from_numpy(WAVE)[None],
        torch.from_numpy(WAVE).double().requires_grad_(),
        {"array": WAVE, "sampling_rate": RATE},
        {"array": INTEGERS, "sampling_rate": float(RATE), "path": "a.wav"},
        {"raw": torch.from_numpy(WAVE), "sampling_rate": np.int64(RATE)},
    ],
    ids=lambda item: type(item).__name__,
)
def test_the_same_samples(item: Any) -> None:
    found = samples(item, RATE)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, WAVE)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "grüße.wav"
    path.write_bytes(WAV.getvalue())
    for item in (str(path), path, {"path": str(path)}, io.BytesIO(WAV.getvalue())):
        np.testing.assert_array_equal(samples(item, RATE), WAVE)


def test_a_rate_of_its_own_is_brought_to_the_model_s() -> None:
    expected = audio.resample(WAVE, RATE, 16_000)
    assert len(expected) == 1600
    np.testing.assert_array_equal(samples({"array": WAVE, "sampling_rate": RATE}, 16_000), expected)
    np.testing.assert_array_equal(samples(WAV.getvalue(), 16_000), expected)
    np.testing.assert_array_equal(samples(WAVE, 16_000), WAVE)  # without one it is the model's


def test_eight_bits_are_unsigned() -> None:
    found = samples(np.array([0, 128, 255], np.uint8), RATE)
    np.testing.assert_array_equal(found, np.float32([-1, 0, 127 / 128]))


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (np.stack([WAVE, WAVE]), "float32 [2, 800] has more than one channel"),
        (INTEGERS.astype(np.float32), "divide integers of 16 bits by 32,768"),
        (INTEGERS.astype(np.int64), "neither floats in -1 to 1 nor int16 or int32"),
        (WAVE * np.nan, "no finite numbers"),
        ({"array": WAVE}, "has the sampling_rate None"),
        ({"array": WAVE, "sampling_rate": "16k"}, "has the sampling_rate '16k'"),
        ({"array": WAVE, "sampling_rate": 0}, "sampling_rate 0 is outside"),
        ({"array": WAVE, "sampling_rate": float("nan")}, "has the sampling_rate nan"),
        ({"a": 1}, "a mapping of a is no sound"),
        (0.5, "it is a float"),
        (None, "None is no sound"),
        ("no.wav", "no.wav: can't be opened: No such file"),
        ("https://a.b/c.wav", "is a URL"),
        (b"hello", "the sound given as bytes: not a sound file"),
        (io.StringIO("hello"), "opened as text: open(path, 'rb')"),
    ],
)
def test_what_is_no_sound(item: Any, said: str) -> None:
    with pytest.raises(UserError) as error:
        samples(item, RATE)
    assert said in str(error.value) and "\n" not in str(error.value)
