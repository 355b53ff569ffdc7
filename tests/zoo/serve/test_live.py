"""Live sounds in a worker: one that goes wrong is not the end of the others."""

from typing import Any

import numpy as np

from zoo.serve.frames import Message
from zoo.serve.live import LiveSounds


class _Sound:
    """Hears nothing, and fails on a loud sample."""

    def push(self, samples: "np.ndarray") -> list[Any]:
        """As `SpeechStream.push`."""
        if samples.max() > 100:
            raise RuntimeError("too loud")
        return []


class _Modality:
    def open_stream(self, *_: Any) -> _Sound:
        return _Sound()


def _do(sounds: LiveSounds, number: int, what: str, loudness: int = 0) -> dict[str, Any]:
    content = {"type": "stream", "stream": number, "do": what, "rate": 8000, "pause_s": None}
    return sounds.answer(Message(content, [np.array([loudness], "<i2").tobytes()]))


def test_a_model_that_fails_on_one_sound_hears_the_others() -> None:
    sounds = LiveSounds(None, _Modality())  # type: ignore[arg-type]
    for number in (1, 2):
        assert _do(sounds, number, "open") == {"type": "stream", "partials": []}
    assert _do(sounds, 1, "push", 1000)["failure"] == "RuntimeError"
    assert "has ended" in _do(sounds, 1, "push")["fault"]["error"]
    assert _do(sounds, 2, "push") == {"type": "stream", "partials": []}
    assert _do(sounds, 1, "close") == {"type": "stream", "partials": []}
