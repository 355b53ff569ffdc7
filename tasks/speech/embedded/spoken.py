"""The embedded speech: words, and strings of digits, spoken by espeak-ng in many voices.

A voice is a speaker (one of espeak-ng's variants: other formants, pitch, breath, roughness) with an
English accent. Every clip has its own voice, speed and pitch, a room three times in four, and
noise: white, pink or a mains hum, 10 to 30 dB below the speech.

What it is: an hour of labelled speech that is there after the installation, with no network; enough
to see a model learn, a metric move, a deployment keep its accuracy. Speakers are split, not
clips: one who speaks in test is not heard in train or validation, and no speaker who is made from
the same recipe is either ("iven", "iven2"). Accents are shared.

What it is not: a benchmark, or a stand-in for people. A formant synthesizer says a word alike each
time, and what is learned from it does not hear a human well.

With the same version of espeakng-loader, on the same kind of machine, it is the same to the last
bit: every clip is drawn from a seed of its own.
"""

import dataclasses
import hashlib
import io
import sys
import wave
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tasks.data import arrow_copy, cache
from tasks.speech.embedded import espeak, speakers
from tasks.speech.sound import noise

if TYPE_CHECKING:
    import datasets
    import numpy as np
    import numpy.typing as npt

RECIPE = 1
"""Part of the cache's key: raise it with every change to what the same espeak-ng gives."""
SEED = 3

RATE = 16_000
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WORD_CLIPS = {"train": 2400, "validation": 300, "test": 600}
STRING_CLIPS = {"train": 2400, "validation": 200, "test": 400}
LONGEST_STRING = 5  # digits
LONGEST_WORD = 1.0  # seconds, with the pauses around it

WORDS_A_MINUTE = (130, 220)
DIGITS_A_MINUTE = (110, 190)  # slower: CTC needs a frame for each letter, 25 in a second or so
PITCH = (25, 75)  # 50 is the speaker's own
PAUSE = (0.03, 0.15)  # seconds before and after
SNR = (10.0, 30.0)  # dB
ROOMS = 0.75  # share of the clips in one
DECAY = (0.1, 0.5)  # seconds to fall by 60 dB
DIRECT = (2.0, 15.0)  # dB above the room
PEAK = (0.1, 0.9)
SILENCE = 0.01  # of the peak: below it espeak-ng pauses


def words() -> "datasets.DatasetDict":
    """Train, validation and test with the columns media (16-bit WAV at 16 kHz, a second at most),
    label (ClassLabel of `WORDS`) and voice (string: "en-us+f2").

    The first call takes half a minute; later ones open the copy in `tasks.data.cache.folder()`.
    Raises `UserError` where espeak-ng is not installed.
    """
    import datasets

    return _load("words", _word, WORD_CLIPS, {"label": datasets.ClassLabel(names=list(WORDS))})


def digit_strings() -> "datasets.DatasetDict":
    """Train, validation and test with the columns media (16-bit WAV at 16 kHz, up to 5 seconds),
    transcription ("three seven one": one to five digits) and voice, as `words`.
    """
    import datasets

    return _load(
        "digit_strings", _digits, STRING_CLIPS, {"transcription": datasets.Value("string")}
    )


def digit_clips(split: str, count: int) -> "Iterator[Clip]":
    """Speak the first digit strings of a split once more, with the ends of their words, which
    `digit_strings` does not keep; their sounds are the same to the last bit."""
    for place in range(min(count, STRING_CLIPS[split])):
        yield _digits(split, place)


@dataclasses.dataclass(frozen=True)
class Clip:
    """A spoken clip: the words, the voice, and the sound as 16-bit WAV."""

    said: str
    voice: str
    wav: bytes
    word_ends: tuple[float, ...]
    """seconds; a word ends where the next begins"""


def _word(split: str, place: int) -> Clip:
    random = _random("words", split, place)
    word = WORDS[place % len(WORDS)]
    speed = random.uniform(*WORDS_A_MINUTE)
    return _clip(word, speakers.voice(split, random), speed, random, LONGEST_WORD)


def _digits(split: str, place: int) -> Clip:
    random = _random("digit strings", split, place)
    count = 1 + place % LONGEST_STRING
    said = " ".join(random.choice(DIGITS, count))
    speed = random.uniform(*DIGITS_A_MINUTE)
    return _clip(said, speakers.voice(split, random), speed, random, float("inf"))


def _clip(
    said: str, voice: str, speed: float, random: "np.random.Generator", longest: float
) -> Clip:
    """Return one clip; what is longer than allowed (in seconds) is spoken again, faster."""
    import numpy as np

    from tasks.speech.sound.audio import resample

    pitch = int(random.integers(*PITCH))
    before, after = (round(seconds * RATE) for seconds in random.uniform(*PAUSE, 2))
    while True:
        spoken = espeak.speak(said, voice, round(speed), pitch)
        whole = resample(spoken.samples, espeak.RATE, RATE)
        begin, end = _speech_span(whole)
        x = whole[begin:end]
        if before + len(x) + after <= longest * RATE or speed > 400:
            break
        speed *= 1.15
    starts = [start / espeak.RATE - begin / RATE for start in spoken.word_starts[1:]]
    ends = tuple(round(before / RATE + one, 4) for one in (*starts, len(x) / RATE))
    x = np.pad(x, (before, after))
    if random.random() < ROOMS:
        x = noise.room(x, RATE, random.uniform(*DECAY), random.uniform(*DIRECT), random)
    kind = random.choice(["white", "pink", "hum"])
    made = (
        noise.hum(len(x), RATE, random)
        if kind == "hum"
        else noise.coloured(len(x), float(kind == "pink"), random)
    )
    x = noise.mixed(x, made, random.uniform(*SNR))
    x = x / np.abs(x).max() * np.float32(random.uniform(*PEAK))
    return Clip(said, voice, _wav(x), ends)


def _speech_span(x: "npt.NDArray[np.float32]") -> tuple[int, int]:
    """Return where somebody begins to speak, and where the last one ends, in samples. Raises
    `ValueError` where nobody does."""
    import numpy as np

    loud = np.flatnonzero(np.abs(x) > SILENCE * np.abs(x).max(initial=noise.QUIET))
    if not len(loud) or noise.rms(x) < 100 * noise.QUIET:
        raise ValueError("espeak-ng said nothing")
    return int(loud[0]), int(loud[-1]) + 1


def _wav(x: "npt.NDArray[np.float32]") -> bytes:
    import numpy as np

    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((1, 2, RATE, len(x), "NONE", ""))
        file.writeframes(np.round(x * 32767).astype("<i2").tobytes())
    return content.getvalue()


def _random(*key: object) -> "np.random.Generator":
    import numpy as np

    digest = hashlib.sha256(" ".join(map(str, (SEED, *key))).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))


def _load(
    name: str,
    make: Callable[[str, int], Clip],
    sizes: Mapping[str, int],
    target: Mapping[str, Any],
) -> "datasets.DatasetDict":
    """The copy in the cache, spoken first where there is none. `target`: the column of what is
    said, and its feature."""
    import datasets

    key = _key(sizes)
    home = cache.folder() / "spoken" / key
    copies = {split: home / f"{name}-{split}.arrow" for split in sizes}
    missing = {split: sizes[split] for split, copy in copies.items() if not copy.exists()}
    if missing:
        import pyarrow as pa

        ((column, feature),) = target.items()
        media = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
        features = datasets.Features(
            {"media": media, column: feature, "voice": datasets.Value("string")}
        )
        for split, clips in _spoken(name, make, missing):
            said = [clip.said for clip in clips]
            columns = {
                "media": [{"bytes": clip.wav, "path": None} for clip in clips],
                column: said if feature.dtype == "string" else feature.str2int(said),
                "voice": [clip.voice for clip in clips],
            }
            arrow_copy.write(copies[split], pa.table(columns, schema=features.arrow_schema))
    return datasets.DatasetDict(
        {
            split: arrow_copy.read(copy, split, f"{name}-{key}-{split}")
            for split, copy in copies.items()
        }
    )


def _spoken(
    name: str, make: Callable[[str, int], Clip], sizes: Mapping[str, int]
) -> Iterator[tuple[str, list[Clip]]]:
    from tqdm import tqdm

    bar = tqdm(
        total=sum(sizes.values()),
        desc=f"speaking {name.replace('_', ' ')}, once",
        unit="clip",
        disable=None,  # where there is no terminal
        file=sys.stderr,
    )
    with bar:
        for split, size in sizes.items():
            clips = []
            for place in range(size):
                clips.append(make(split, place))
                bar.update()
            yield split, clips


def _key(sizes: Mapping[str, int]) -> str:
    """Return the cache key of the recipe, the sizes, espeak-ng's version, and the system: each
    system has its own rand()."""
    whole = f"recipe {RECIPE} seed {SEED} {dict(sizes)} {espeak.version()} {sys.platform}"
    return hashlib.sha256(whole.encode()).hexdigest()[:32]
