"""Images and sounds that cannot be used, and odd ones that can: a name and who writes it."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

Write = Callable[[Path], object]


def noise(side: int = 40) -> Image.Image:
    """A picture that compresses badly."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8))


def cut_jpeg(path: Path) -> None:
    """The first half of a JPEG."""
    noise().save(path, "JPEG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def huge_png(path: Path) -> None:
    """A PNG of a few bytes that claims 50,000 x 50,000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 1000)
    chunks = (
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c))
        for c in (header, data, b"IEND")
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def prose(path: Path) -> None:
    """A text file, whatever its name."""
    path.write_text("This is a note, not what its name says. " * 20)


def empty(path: Path) -> None:
    """No bytes."""
    path.touch()


BAD_IMAGES: dict[str, tuple[str, Write, str]] = {
    "truncated": ("cut.jpg", cut_jpeg, "truncated"),
    "a claim of 50,000 x 50,000": ("huge.png", huge_png, "50,000 x 50,000 pixels, more than"),
    "text": ("note.png", prose, "not an image"),
    "empty": ("nothing.png", empty, "empty: 0 bytes"),
}


def wave(seconds: float, rate: int = 8000) -> np.ndarray:
    """A quiet tone, float64 [samples]."""
    return 0.3 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)


def cut_wav(path: Path) -> None:
    """The first half of a wav."""
    soundfile.write(path, wave(1.0), 8000)
    path.write_bytes(path.read_bytes()[:8000])


def long_sound(path: Path) -> None:
    """Half a minute and a bit."""
    soundfile.write(path, wave(31), 8000)


def silent_hour(path: Path) -> None:
    """An hour of silence in some kilobytes."""
    soundfile.write(path, np.zeros(3_600_000, np.int16), 1000)
    assert path.stat().st_size < 200_000


BAD_SOUNDS: dict[str, tuple[str, Write, str]] = {
    "truncated": ("cut.wav", cut_wav, "truncated: 0.49"),
    "too long": ("long.wav", long_sound, "31 s, longer than --max_seconds 30"),
    "an hour of silence": ("hour.flac", silent_hour, "3,600 s, longer than --max_seconds 30"),
    "text": ("note.wav", prose, "not a sound file that can be read"),
    "empty": ("nothing.wav", empty, "empty: 0 bytes"),
}


def animation(path: Path) -> None:
    """Three frames."""
    frames = [noise(20).rotate(90 * i) for i in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50)


ODD_IMAGES: dict[str, Write] = {
    "cmyk.jpg": lambda path: noise().convert("CMYK").save(path),
    "deep.png": lambda path: Image.fromarray(
        np.random.default_rng(0).integers(0, 2**16, (20, 20), np.uint16)
    ).save(path),
    "animated.gif": animation,
    "bits.png": lambda path: noise().convert("1").save(path),
    "palette.png": lambda path: noise().convert("P").save(path),
    "alpha.png": lambda path: noise().convert("RGBA").save(path),
    "größe 写真 🙂.png": lambda path: noise().save(path),
    "long" * 60 + ".png": lambda path: noise().save(path),
}

ODD_SOUNDS: dict[str, Write] = {
    "slow.wav": lambda path: soundfile.write(path, wave(0.3), 8000),
    "fast.wav": lambda path: soundfile.write(path, wave(0.3, 44_100), 44_100),
    "stereo.wav": lambda path: soundfile.write(path, np.stack([wave(0.3)] * 2, 1), 8000),
    "deep.wav": lambda path: soundfile.write(path, wave(0.3), 8000, "PCM_24"),
    "deep.flac": lambda path: soundfile.write(path, wave(0.3), 8000, "PCM_24"),
    "float.wav": lambda path: soundfile.write(path, wave(0.3), 8000, "FLOAT"),
    "größe 音 🙂.wav": lambda path: soundfile.write(path, wave(0.3), 8000),
    "long" * 60 + ".wav": lambda path: soundfile.write(path, wave(0.3), 8000),
}
