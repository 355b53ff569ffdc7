"""Speech from espeak-ng, through the library that the package espeakng_loader carries.

espeak-ng is a formant synthesizer under GPL-3, so it is an extra (`speech-demo`), loaded when it is
first asked to speak and never otherwise.

An utterance depends on its own arguments only, not on what was said before it, so that utterances
may be made in any order and process. espeak-ng has state that nothing resets (the phase of its
flutter, the noise of its Klatt voices), and so each is spoken by a library loaded anew: 5 ms.
"""

import ctypes
import importlib.metadata
import itertools
import os
import re
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np
    import numpy.typing as npt

RATE = 22_050
"""Samples a second of what it says."""
VOLUME = 50
"""The volume, of 200, where 100 is usual: at 50 few speakers are cut off at full scale."""

# From espeak-ng's speak_lib.h.
_SYNCHRONOUS = 2  # espeak_Synth returns when all is said; the callback runs in the calling thread
_DONT_EXIT = 0x8000  # an error is a return value and not the end of the process
_RATE, _VOLUME, _PITCH = 1, 2, 3
_UTF8 = 1
_WORD = 1  # type of an event; the list of events ends with type 0
_LONGEST_PATH = 140  # espeak-ng cuts the path of its data to 160 characters without a word

_lock = threading.Lock()  # the library has one voice, one output, and no locks


def version() -> str:
    """Return the version of the package that carries the library and its voices; `UserError` where
    there is none."""
    try:
        return importlib.metadata.version("espeakng_loader")
    except importlib.metadata.PackageNotFoundError:
        raise _missing() from None


def accents() -> list[str]:
    """The English accents ("en-us", "en-gb-scotland"; "en" is British), sorted."""
    folder = _data() / "lang" / "gmw"
    # en-Shaw reads the Shavian alphabet only.
    names = {file.name.lower() for file in folder.glob("en*")} - {"en-shaw"}
    return sorted(names)


def variants() -> list[str]:
    """The speakers that any accent can be combined with ("m1", "Andy"), sorted."""
    return sorted(file.name for file in (_data() / "voices" / "!v").iterdir())


@dataclass(frozen=True)
class Spoken:
    """What a voice said."""

    samples: "npt.NDArray[np.float32]"
    """float32 [samples] in [-1, 1) at `RATE`, one channel"""
    word_starts: tuple[int, ...]
    """where each word begins, in samples"""


def synthesize(
    text: str, voice: str, rate_wpm: int = 175, pitch: int = 50
) -> "npt.NDArray[np.float32]":
    """Return the speech of a voice, float32 [samples] in [-1, 1) at `RATE`, one channel.

    Args:
        voice: an accent, with a variant behind a plus ("en-us+f3").
        rate_wpm: words a minute, 80 to 450.
        pitch: 0 to 100, where 50 is the voice's own.

    Raises `UserError` where espeak-ng is not installed, `ValueError` for what it can't speak.
    """
    return speak(text, voice, rate_wpm, pitch).samples


def speak(text: str, voice: str, rate_wpm: int = 175, pitch: int = 50) -> Spoken:
    """Return the speech of a voice with the places of its words; see `synthesize`."""
    import numpy as np

    if not (80 <= rate_wpm <= 450 and 0 <= pitch <= 100):
        raise ValueError(f"{rate_wpm} words a minute at pitch {pitch} is out of range")
    if not re.fullmatch(r"[\w-]+(\+[\w -]+)?", voice) or "\0" in text:
        raise ValueError(f"no voice {voice!r}, or a NUL in the text")
    variant = voice.partition("+")[2]
    if variant and not (_data() / "voices" / "!v" / variant).is_file():
        raise ValueError(f"espeak-ng has no speaker {variant!r}")  # it would take its own instead
    with _lock:
        engine = _Engine(Path(_loader().get_library_path()), _data())
        try:
            content = engine.say(text, voice, rate_wpm, pitch)
        finally:
            engine.close()
    samples = np.frombuffer(content, np.int16).astype(np.float32) / np.float32(32768)
    return Spoken(samples, tuple(engine.word_starts))


class _Event(ctypes.Structure):
    """espeak_EVENT of espeak-ng's speak_lib.h; its `id` is a union of 8 bytes."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


class _Engine:
    """The library, loaded and initialised. One at a time: use it with `_lock` held."""

    def __init__(self, library: Path, data: Path) -> None:
        if len(os.fsencode(data)) > _LONGEST_PATH:
            raise UserError(
                f"espeak-ng can't open its voices in {data}: the path is longer than"
                f" {_LONGEST_PATH} bytes; install into a folder with a shorter name"
            )
        self._parts: list[bytes] = []
        self.word_starts: list[int] = []
        callback = ctypes.CFUNCTYPE(
            ctypes.c_int,
            ctypes.POINTER(ctypes.c_short),
            ctypes.c_int,
            ctypes.POINTER(_Event),
        )
        self._callback = callback(self._take)  # held here: the library's pointer counts for nothing
        self._library = lib = ctypes.CDLL(str(library))
        number, string = ctypes.c_int, ctypes.c_char_p
        lib.espeak_Initialize.argtypes = [number, number, string, number]
        lib.espeak_SetSynthCallback.argtypes = [callback]
        lib.espeak_SetVoiceByName.argtypes = [string]
        lib.espeak_SetParameter.argtypes = [number, number, number]
        lib.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
        lib.espeak_Synth.argtypes = [
            string,  # text
            ctypes.c_size_t,  # its size, with the NUL
            ctypes.c_uint,  # where to begin
            number,  # in what unit that is
            ctypes.c_uint,  # where to end: 0 is the end
            ctypes.c_uint,  # flags
            ctypes.c_void_p,  # an identifier, given back
            ctypes.c_void_p,  # the user's data
        ]
        rate = lib.espeak_Initialize(_SYNCHRONOUS, 0, os.fsencode(data), _DONT_EXIT)
        if rate != RATE:
            self.close()
            raise UserError(f"espeak-ng does not start with the voices in {data} (status {rate})")
        lib.espeak_SetSynthCallback(self._callback)

    def _take(self, samples: Any, count: int, events: Any) -> int:
        """Called by the library with what it has spoken; an empty pointer is the end."""
        for event in itertools.takewhile(lambda one: one.type, events or ()):
            if event.type == _WORD:
                self.word_starts.append(int(event.sample))
        if samples and count > 0:
            self._parts.append(ctypes.string_at(samples, 2 * count))
        return 0  # go on

    def say(self, text: str, voice: str, rate_wpm: int, pitch: int) -> bytes:
        """16-bit samples in the machine's byte order."""
        lib = self._library
        if lib.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        lib.espeak_ng_SetRandSeed(1)  # of breath and hiss
        _seed_libc()  # of the Klatt voices, which call rand()
        for parameter, value in ((_RATE, rate_wpm), (_VOLUME, VOLUME), (_PITCH, pitch)):
            lib.espeak_SetParameter(parameter, value, 0)
        content = text.encode()
        status = lib.espeak_Synth(content, len(content) + 1, 0, 1, 0, _UTF8, None, None)
        if status != 0:
            raise ValueError(f"espeak-ng can't say {text!r} (status {status})")
        return b"".join(self._parts)

    def close(self) -> None:
        """Ends the library's thread and unloads it, and its state with it."""
        self._library.espeak_Terminate()
        handle = ctypes.c_void_p(self._library._handle)
        del self._library
        if sys.platform == "win32":
            ctypes.WinDLL("kernel32").FreeLibrary(handle)
        else:
            ctypes.CDLL(None).dlclose(handle)


def _seed_libc() -> None:
    if sys.platform != "win32":
        ctypes.CDLL(None).srand(1)


def _data() -> Path:
    return Path(_loader().get_data_path())


def _loader() -> "ModuleType":
    try:
        import espeakng_loader
    except ImportError:
        raise _missing() from None
    loader: ModuleType = espeakng_loader
    return loader


def _missing() -> UserError:
    return UserError(
        "the embedded speech is spoken by espeak-ng, which is not installed:"
        " pip install -e '.[speech-demo]'"
    )
