"""Videos frame by frame, and the line where no ffmpeg is installed."""

import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.errors import UserError
from tasks.vision import image_inputs, images, video

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg here")


def read(*names: Path, on_bad_file: Any = "stop") -> list[tuple[str, np.ndarray]]:
    asked = image_inputs.Inputs(tuple(map(str, names)), on_bad_file)
    with ExitStack() as stack:
        every = image_inputs.read(asked, stack)
        return [(media["path"], images.decode(media)) for media in every]


def video_of(path: Path, pixels: np.ndarray, *more: str) -> Path:
    """A video without loss, of frames uint8 [n, height, width, 3]."""
    _, height, width, _ = pixels.shape
    form = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", "5")
    command = ["ffmpeg", "-v", "error", *form, "-i", "-", "-c:v", "ffv1", "-pix_fmt", "bgr0"]
    subprocess.run([*command, *more, str(path)], input=pixels.tobytes(), check=True)
    return path


def test_without_ffmpeg_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    clip = tmp_path / "猫 clip.MP4"
    clip.write_bytes(b"x")
    with pytest.raises(UserError, match=r"猫 clip.MP4 is a video.* ffmpeg .*not installed") as told:
        read(clip, on_bad_file="skip")
    assert "\n" not in str(told.value)


@needs_ffmpeg
def test_every_frame_is_an_image(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (7, 18, 26, 3), np.uint8)
    clip = video_of(tmp_path / "-猫 clip.mkv", frames)
    found = read(clip)
    assert [name for name, _ in found] == [
        str(tmp_path / f"-猫 clip-{i:06}.png") for i in range(1, 8)
    ]
    assert np.array_equal(np.stack([image for _, image in found]), frames)


@needs_ffmpeg
def test_a_video_need_not_be_read_to_its_end(tmp_path: Path) -> None:
    clip = video_of(tmp_path / "clip.mkv", np.zeros((200, 64, 64, 3), np.uint8))
    frames = video.frames(clip)
    assert next(frames).startswith(b"P6\n64 64\n255\n")
    frames.close()  # type: ignore[attr-defined]


@needs_ffmpeg
def test_what_is_no_video_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match=r"clip.mp4: ffmpeg finds no frames in it: .+"):
        read(clip)
    with pytest.raises(UserError, match="none of 1 files can be used"):
        read(clip, on_bad_file="skip")
    assert "clip.mp4: ffmpeg finds no frames" in capsys.readouterr().err
    good = video_of(tmp_path / "good.mkv", np.zeros((2, 8, 8, 3), np.uint8))
    assert len(read(clip, good, on_bad_file="skip")) == 2
    assert len(read(tmp_path, on_bad_file="skip")) == 2  # videos of a folder too
    assert len(read(tmp_path / "*.mkv")) == 2
    large = video_of(tmp_path / "large.mkv", np.zeros((1, 8, 8, 3), np.uint8))
    with pytest.raises(images.BadFile, match="8 x 8 pixels, more than the 63"):
        list(video.frames(large, 63))
