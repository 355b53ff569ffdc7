"""Sound files to samples: every kind that is read, every one that is refused, and the limits."""

import io
import struct
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from tasks.media.source import BadFile
from tasks.speech.sound import audio, riff
from tasks.speech.sound.audio import decode, info, resample, seconds


def tone(rate: int, length: float = 0.5, pitch: float = 440.0) -> np.ndarray:
    return np.asarray(0.5 * np.sin(2 * np.pi * pitch * np.arange(int(rate * length)) / rate))


def encoded(x: np.ndarray, rate: int, kind: str = "WAV", subtype: str | None = None) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, x, rate, format=kind, subtype=subtype)
    return content.getvalue()


def held(content: bytes) -> dict[str, Any]:
    return {"bytes": content, "path": None}


def at_16k(content: bytes, **limits: float) -> np.ndarray:
    return decode(held(content), rate=16_000, **({"max_seconds": 30.0} | limits))


def refusal(media: dict[str, Any], max_seconds: float = 30, min_seconds: float = 0) -> str:
    with pytest.raises(BadFile) as problem:
        decode(media, rate=16_000, max_seconds=max_seconds, min_seconds=min_seconds)
    reason = str(problem.value)
    assert "\n" not in reason and "BytesIO" not in reason
    return reason


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_right_rate_and_one_channel_is_soundfile_to_the_bit(subtype: str, tmp_path: Path) -> None:
    content = encoded(tone(16_000), 16_000, subtype=subtype)
    expected, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    found = at_16k(content)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)
    (tmp_path / "a.wav").write_bytes(content)
    from_path = decode(
        {"bytes": None, "path": str(tmp_path / "a.wav")}, rate=16_000, max_seconds=30
    )
    np.testing.assert_array_equal(from_path, expected)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "MP3", "OGG", "AIFF", "AU", "CAF", "RF64", "W64"])
def test_containers(kind: str) -> None:
    found = at_16k(encoded(tone(16_000), 16_000, kind))
    assert len(found) == 8_000
    power = np.abs(np.fft.rfft(found))
    assert power.argmax() / 0.5 == 440


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 15_999, 16_001, 96_000])
def test_other_rates_keep_pitch_and_length(rate: int) -> None:
    found = at_16k(encoded(tone(rate, 1.0), rate))
    assert abs(len(found) - 16_000) <= 1
    inside = found[1_000:15_000]
    power = np.abs(np.fft.rfft(inside * np.hanning(len(inside)), 16_000))
    assert power.argmax() == 440
    assert np.abs(inside).max() == pytest.approx(0.5, abs=0.01)


def test_resampling_is_scipys() -> None:
    x = tone(22_050).astype(np.float32)
    np.testing.assert_array_equal(resample(x, 22_050, 16_000), resample_poly(x, 320, 441))


def test_nothing_folds_back_from_above_the_new_rate() -> None:
    high = tone(48_000, 1.0, 11_000.0).astype(np.float32)
    assert np.abs(resample(high, 48_000, 16_000)[500:-500]).max() < 0.01


@settings(max_examples=200)
@given(st.integers(1_000, 400_000), st.integers(1_000, 400_000))
def test_ratios_are_bounded_and_close(rate: int, to: int) -> None:
    up, down = audio.ratio(rate, to)
    assert 1 <= up <= audio.FINEST_RATIO
    assert 1 <= down <= audio.FINEST_RATIO
    assert up / down == pytest.approx(to / rate, rel=1 / audio.FINEST_RATIO)


def test_channels_are_averaged() -> None:
    left, right = tone(16_000), tone(16_000, pitch=1_000)
    found = at_16k(encoded(np.stack([left, right], 1), 16_000, subtype="FLOAT"))
    np.testing.assert_allclose(found, (left + right) / 2, atol=1e-6)
    assert len(at_16k(encoded(np.zeros((100, 8)), 16_000))) == 100


def test_header_says_rate_channels_and_seconds() -> None:
    content = encoded(np.zeros((4_000, 2)), 8_000, subtype="PCM_24")
    assert info(held(content)) == audio.Info(8_000, 2, 0.5)
    assert seconds(held(content)) == 0.5


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty: 0 bytes"),
        (b"I am not sound but text.\n" * 50, "not a sound file that can be read"),
        (b"RIFF", "not a sound file that can be read"),
        (b"RIFF\x24\0\0\0WAVE", "not a sound file that can be read"),
        (bytes(5_000), "not a sound file that can be read"),
        (encoded(np.zeros(0), 16_000), "no samples in it"),
        (encoded(np.zeros((10, 9)), 16_000), "9 channels, more than the limit of 8"),
        (encoded(np.zeros(10), 999), "999 samples a second, outside 1,000 to 400,000"),
        (encoded(np.zeros(10), 400_001), "400,001 samples a second, outside 1,000 to 400,000"),
        (
            encoded(np.array([0.0, np.nan, 0.0]), 16_000, subtype="FLOAT"),
            "samples that are no finite numbers",
        ),
        (
            encoded(np.array([0.0, np.inf, 0.0]), 16_000, subtype="DOUBLE"),
            "samples that are no finite numbers",
        ),
    ],
    # not the bytes: soundfile writes the time into some
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_files(content: bytes, reason: str, tmp_path: Path) -> None:
    assert refusal(held(content)).startswith(reason)
    path = tmp_path / "named.wav"
    path.write_bytes(content)
    assert refusal({"bytes": None, "path": str(path)}).startswith(reason)


def test_an_hour_of_silence_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(np.zeros(3_600 * 1_000, np.int16), 1_000, "FLAC")
    assert len(content) < 100_000

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("samples were read")

    monkeypatch.setattr(audio, "_read", never)
    assert refusal(held(content)) == "3,600 s, longer than `max_seconds` 30"


def test_limits_of_length() -> None:
    content = encoded(tone(16_000), 16_000)
    assert len(at_16k(content, max_seconds=0.5)) == 8_000
    assert refusal(held(content), max_seconds=0.4) == "0.5 s, longer than `max_seconds` 0.4"
    assert refusal(held(content), min_seconds=0.6) == "0.5 s, shorter than `min_seconds` 0.6"


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_what_is_left_of_a_truncated_file(subtype: str, tmp_path: Path) -> None:
    content = encoded(tone(16_000, 2.0), 16_000, subtype=subtype)
    nearly = at_16k(content[: int(0.95 * len(content))])
    assert 0.94 * 32_000 < len(nearly) < 0.96 * 32_000
    np.testing.assert_array_equal(nearly, at_16k(content)[: len(nearly)])
    reason = refusal(held(content[: len(content) // 2]))
    assert reason in ("truncated: 0.999 of 2 s", "truncated: 1 of 2 s")  # by the header's size
    path = tmp_path / "half.wav"
    path.write_bytes(content[: len(content) // 2])
    assert refusal({"bytes": None, "path": str(path)}) == reason


@pytest.mark.parametrize("kind", ["FLAC", "MP3"])
def test_half_of_a_compressed_file_is_bad(kind: str) -> None:
    noise = np.random.default_rng(0).standard_normal(64_000) / 10
    content = encoded(noise, 16_000, kind)
    assert refusal(held(content[: len(content) // 2])).startswith("truncated: ")


def test_ogg_claims_no_length_and_is_what_is_there() -> None:
    noise = np.random.default_rng(0).standard_normal(64_000) / 10
    content = encoded(noise, 16_000, "OGG")
    assert 0 < len(at_16k(content[: len(content) // 2])) < 64_000


def test_a_broken_middle_keeps_no_file_from_being_named() -> None:
    content = bytearray(
        encoded(np.random.default_rng(0).standard_normal(64_000) / 10, 16_000, "FLAC")
    )
    content[len(content) // 3 : len(content) // 3 + 4_000] = bytes(4_000)
    try:
        found = at_16k(bytes(content))
    except BadFile:
        return
    assert np.isfinite(found).all()


def test_a_stream_without_a_size_is_what_it_is() -> None:
    content = bytearray(encoded(tone(16_000), 16_000))
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", 0xFFFFFFFF)
    assert riff.claimed_frames(bytes(content)) is None
    assert len(at_16k(bytes(content))) == 8_000


@pytest.mark.parametrize("frames", [0, 1, 7, 1_000])
@pytest.mark.parametrize(("channels", "width"), [(1, 1), (1, 2), (2, 3), (8, 4)])
def test_claims_of_wav_headers(frames: int, channels: int, width: int) -> None:
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((channels, width, 16_000, frames, "NONE", ""))
        file.writeframes(bytes(frames * channels * width))
    assert riff.claimed_frames(content.getvalue()) == frames
    assert riff.claimed_frames(content.getvalue()[:44]) == frames


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEfmt "])
)
def test_no_bytes_break_the_header_reader(content: bytes, prefix: bytes) -> None:
    claimed = riff.claimed_frames(prefix + content)
    assert claimed is None or claimed >= 0


@settings(max_examples=100)
@given(st.data())
def test_no_damage_gives_anything_but_samples_or_a_reason(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["WAV", "FLAC", "OGG"]))
    content = bytearray(encoded(tone(16_000, 0.1), 16_000, kind))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    try:
        found = at_16k(bytes(content))
    except BadFile as problem:
        assert str(problem) and "\n" not in str(problem)
    else:
        assert found.dtype == np.float32 and found.ndim == 1 and len(found)
        assert len(found) <= 30 * 16_000 + 1 and np.isfinite(found).all()


def test_odd_names(tmp_path: Path) -> None:
    content = encoded(tone(16_000), 16_000)
    deep = tmp_path / ("d" * 200) / ("e" * 200) / ("f" * 200)
    deep.mkdir(parents=True)
    byte = b"\xff.wav".decode("utf-8", "surrogateescape")  # not UTF-8
    for path in (tmp_path / "grüße 你好 \U0001f600.wav", deep / "a.wav", tmp_path / byte):
        path.write_bytes(content)
        media = {"bytes": None, "path": str(path)}
        assert len(decode(media, rate=16_000, max_seconds=30)) == 8_000
    for name, reason in (
        ("x" * 300 + ".wav", "can't be opened: File name too long"),
        ("nix.wav", "can't be opened: No such file or directory"),
        ("a\0b.wav", "can't be opened: embedded null byte"),
        ("a.raw", "raw samples, whose rate and type nothing tells"),
    ):
        if name == "a.raw":
            (tmp_path / name).write_bytes(content)
        assert refusal({"bytes": None, "path": str(tmp_path / name)}) == reason
    refusal({"bytes": None, "path": str(tmp_path)})
    refusal({"bytes": None, "path": None})


def test_many_blocks_are_one_sound() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, 5 * audio.BLOCK + 3)
    content = encoded(x, 16_000, subtype="FLOAT")
    np.testing.assert_array_equal(at_16k(content), x.astype(np.float32))
