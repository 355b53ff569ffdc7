"""The binding to espeak-ng: what it says depends on its arguments, and mistakes are named."""

import importlib.metadata
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tasks.errors import UserError
from tasks.speech.embedded import espeak
from tasks.speech.sound import noise
from tests.cli import run_program

needed = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None, reason="needs the extra speech-demo"
)


@needed
def test_it_speaks() -> None:
    x = espeak.synthesize("seven", "en-us")
    assert x.dtype == np.float32 and x.ndim == 1
    assert 0.3 < len(x) / espeak.RATE < 1.5
    assert np.abs(x).max() <= 1 and noise.rms(x) > 0.01


@needed
@pytest.mark.parametrize("voice", ["en-us", "en+f5", "en-gb-scotland+klatt4", "en+Reed", "en+zac"])
def test_nothing_said_before_changes_it(voice: str) -> None:
    first = espeak.synthesize("three seven one", voice, 160, 40)
    espeak.synthesize("zero", "en-029+croak", 300, 90)
    espeak.synthesize("eight nine", "en+whisper", 100, 10)
    np.testing.assert_array_equal(first, espeak.synthesize("three seven one", voice, 160, 40))


@needed
def test_threads_take_turns() -> None:
    voices = [f"en+{name}" for name in ("m1", "m2", "f1", "f2", "klatt", "croak")]
    alone = [espeak.synthesize("two", voice) for voice in voices]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda voice: espeak.synthesize("two", voice), voices))
    for first, second in zip(alone, together, strict=True):
        np.testing.assert_array_equal(first, second)


@needed
def test_another_process_says_the_same() -> None:
    code = (
        "import hashlib; from tasks.speech.embedded import espeak;"
        "print(hashlib.sha256(espeak.synthesize('one two', 'en-us+f3').tobytes()).hexdigest())"
    )
    runs = {run_program(code).out for _ in range(2)}
    assert len(runs) == 1


@needed
def test_faster_is_shorter_and_higher_is_higher() -> None:
    slow, fast = (espeak.synthesize("seven seven", "en", rate) for rate in (120, 240))
    assert len(fast) < 0.8 * len(slow)

    def pitch(x: np.ndarray) -> float:
        x = x[2_000:10_000]
        power = np.correlate(x, x, "full")[len(x) :]
        return espeak.RATE / (50 + power[50:400].argmax())

    low, high = (pitch(espeak.synthesize("oooo", "en", 120, value)) for value in (20, 90))
    assert high > 1.2 * low


@needed
def test_every_speaker_and_accent_is_there() -> None:
    assert {"en", "en-us", "en-gb-scotland", "en-gb-x-rp"} <= set(espeak.accents())
    assert {"m1", "m8", "f1", "f5", "croak", "whisper"} <= set(espeak.variants())
    assert espeak.version()
    said = {espeak.synthesize("one", f"en+{name}").tobytes() for name in espeak.variants()}
    assert len(said) == len(espeak.variants())


@needed
@pytest.mark.parametrize(
    ("voice", "rate", "pitch"),
    [
        ("nix", 175, 50),
        ("en+nobody", 175, 50),
        ("../../etc/passwd", 175, 50),
        ("en", 5, 50),
        ("en", 175, 101),
    ],
)
def test_what_cannot_be_spoken(voice: str, rate: int, pitch: int) -> None:
    with pytest.raises(ValueError):
        espeak.synthesize("one", voice, rate, pitch)
    assert len(espeak.synthesize("one", "en"))  # and the next one can


def test_without_espeak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    for ask in (espeak.version, espeak.accents, lambda: espeak.synthesize("one", "en")):
        with pytest.raises(UserError, match=r"pip install -e '\.\[speech-demo\]'"):
            ask()


def test_importing_loads_nothing() -> None:
    code = (
        "import sys, tasks.speech.embedded.espeak, tasks.speech.embedded.spoken, "
        "tasks.speech.audio_inputs, tasks.speech.augment, tasks.speech.draw; "
        "print({'espeakng_loader', 'soundfile', 'scipy', 'datasets', 'torch'} & set(sys.modules))"
    )
    done = run_program(code)
    assert done.out.strip() == "set()"
