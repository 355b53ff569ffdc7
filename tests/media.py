"""Small image and sound files, and how tests load them."""

import io
from pathlib import Path

import datasets
import numpy as np
import pytest
import soundfile
from PIL import Image

from tasks.data.source import DataArgs, Source
from tasks.errors import UserError
from tasks.media.source import MediaKind, load_media

IMAGES = MediaKind(
    "image", frozenset({".png", ".jpg"}), ("image", "img", "file", "file_name", "path")
)
AUDIO = MediaKind("audio", frozenset({".wav", ".flac"}), ("audio", "file", "file_name", "path"))
PLAIN = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}


def no_embedded() -> datasets.DatasetDict:
    raise AssertionError("the embedded data were not asked for")


def read(
    path: Path | str, kind: MediaKind = IMAGES, column: str | None = None, unlabeled: bool = False
) -> Source:
    return load_media(DataArgs(data=str(path)), kind, no_embedded, column, unlabeled=unlabeled)


def refusal(path: Path | str, kind: MediaKind = IMAGES, column: str | None = None) -> str:
    with pytest.raises(UserError) as error:
        read(path, kind, column)
    message = str(error.value)
    assert "\n" not in message
    return message


def png_bytes(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((2, 3), shade, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def png(path: Path, shade: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png_bytes(shade))
    return path


def wav(path: Path, seconds: float = 0.01) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(int(8000 * seconds)), 8000)
    return path


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def labelled(source: Source) -> dict[str, list[tuple[str, str]]]:
    """Of each split the files' names and labels; every file is there."""
    rows = {}
    for name, split in source.splits.items():
        assert split.features["media"] == PLAIN
        assert all(value["bytes"] is None for value in split["media"])
        paths = [Path(value["path"]) for value in split["media"]]
        assert all(path.is_absolute() and path.is_file() for path in paths)
        rows[name] = list(zip((path.name for path in paths), split["label"], strict=True))
    return rows


def parquet(path: Path, values: list[object], features: datasets.Features) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"image": values, "label": [0, 1][: len(values)]}
    datasets.Dataset.from_dict(columns, features=features).to_parquet(path)
    return path
