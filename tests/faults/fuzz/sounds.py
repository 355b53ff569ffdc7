"""Sounds whose headers lie, without samples, with nan, of every width and rate."""

import io
import struct
from pathlib import Path

import numpy as np
import soundfile

from tests.faults import bad_media
from tests.faults.fuzz import media
from tests.faults.fuzz.command import Command, Scene
from tests.faults.fuzz.models import SOUND, SPEECH

RATE = 8000


def riff(
    rate: int = RATE,
    channels: int = 1,
    bits: int = 16,
    kind: int = 1,
    samples: bytes = b"\0\1" * 1600,
    claimed: int | None = None,
) -> bytes:
    """A wav file of which each part may be untrue."""
    align = channels * bits // 8 & 0xFFFF
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * align & 0xFFFFFFFF, align, bits)
    size = len(samples) if claimed is None else claimed
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    body += b"data" + struct.pack("<I", size) + samples
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _bytes(content: bytes) -> media.Write:
    return lambda path: path.write_bytes(content)


def _made(
    kind: str, subtype: str | None = None, rate: int = RATE, channels: int = 1
) -> media.Write:
    def write(path: Path) -> None:
        wave = np.repeat(bad_media.wave(0.2, RATE)[:, None], channels, 1)
        buffer = io.BytesIO()
        soundfile.write(buffer, wave, rate, subtype, format=kind)
        path.write_bytes(buffer.getvalue())

    return write


def _cut(kind: str) -> media.Write:
    def write(path: Path) -> None:
        _made(kind)(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return write


def _floats(value: float) -> media.Write:
    return _bytes(riff(bits=32, kind=3, samples=struct.pack("<f", value) * 1600))


ODD: dict[str, media.Write] = {
    "nothing.wav": bad_media.empty,
    "prose.wav": bad_media.prose,
    "cut.wav": bad_media.cut_wav,
    "long.wav": bad_media.long_sound,
    "hour.flac": bad_media.silent_hour,
    "rate 0.wav": _bytes(riff(rate=0)),
    "rate 1.wav": _bytes(riff(rate=1)),
    "rate 10^6.wav": _bytes(riff(rate=10**6)),
    "rate 2^32.wav": _bytes(riff(rate=2**32 - 1)),
    "no channels.wav": _bytes(riff(channels=0)),
    "300 channels.wav": _bytes(riff(channels=300)),
    "65535 channels.wav": _bytes(riff(channels=65_535)),
    "0 bits.wav": _bytes(riff(bits=0)),
    "13 bits.wav": _bytes(riff(bits=13)),
    "no samples.wav": _bytes(riff(samples=b"")),
    "one sample.wav": _bytes(riff(samples=b"\0\1")),
    "claims 4 GB.wav": _bytes(riff(claimed=2**32 - 1)),
    "claims nothing.wav": _bytes(riff(claimed=0)),
    "mp3 in wav.wav": _bytes(riff(kind=0x55)),
    "unknown kind.wav": _bytes(riff(kind=0xABCD)),
    "nan.wav": _floats(float("nan")),
    "inf.wav": _floats(float("inf")),
    "1e38.wav": _floats(1e38),
    "24 bits.wav": _made("WAV", "PCM_24"),
    "8 bits.wav": _made("WAV", "PCM_U8"),
    "doubles.wav": _made("WAV", "DOUBLE"),
    "mu law.wav": _made("WAV", "ULAW"),
    "adpcm.wav": _made("WAV", "IMA_ADPCM"),
    "stereo.wav": _made("WAV", channels=2),
    "8 channels.flac": _made("FLAC", channels=8),
    "fast.wav": _made("WAV", rate=192_000),
    "a flac.wav": _made("FLAC"),
    "an aiff.wav": _made("AIFF"),
    "vorbis.ogg": _made("OGG", "VORBIS"),
    "cut.flac": _cut("FLAC"),
    "cut.ogg": _cut("OGG"),
    "mp3.mp3": _made("MP3"),
    "cut.mp3": _cut("MP3"),
    "header alone.wav": _bytes(riff()[:44]),
    "half a header.wav": _bytes(riff()[:20]),
    "UPPER.WAV": _made("WAV"),
    "line\nfeed.wav": _made("WAV"),
    "[b] `x`.wav": _made("WAV"),
    "folder.wav": lambda path: path.mkdir(),
}


def sounds(scene: Scene) -> Command:
    """A folder of sounds with odd ones among them."""
    return media.folder_case(scene, scene.draw.choice((SOUND, SOUND, SPEECH)), ODD)


def sound_tables(scene: Scene) -> Command:
    """A table of sounds with odd paths."""
    return media.table_case(scene, scene.draw.choice((SOUND, SPEECH)), ODD)
