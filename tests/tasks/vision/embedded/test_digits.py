"""The embedded digits: the same bytes everywhere, split evenly, and learnable."""

import io
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from tasks.data import fingerprint
from tasks.vision import images
from tasks.vision.embedded import digits


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> datasets.DatasetDict:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("zoo")))
        return digits.load()


def pixels(split: datasets.Dataset) -> np.ndarray:
    return np.stack([images.decode(media)[:, :, 0] for media in split["media"]])


def test_sizes_and_balance(splits: datasets.DatasetDict) -> None:
    assert {name: split.num_rows for name, split in splits.items()} == {
        "train": 1257,
        "validation": 180,
        "test": 360,
    }
    whole = np.bincount(np.concatenate([split["label"] for split in splits.values()]))
    for split in splits.values():
        counts = np.bincount(split["label"])
        assert np.abs(counts - whole * split.num_rows / 1797).max() < 1.6
        assert np.diff(split["label"][:50]).any()  # mixed


def test_every_digit_is_there_once_and_as_it_was(splits: datasets.DatasetDict) -> None:
    from sklearn.datasets import load_digits

    original = load_digits()
    found = np.concatenate([pixels(split) for split in splits.values()])
    labels = np.concatenate([split["label"] for split in splits.values()])
    assert found.shape == (1797, 8, 8) and found.max() == 255
    ours = sorted(
        (np.rint(x / (255 / 16)).tobytes(), y) for x, y in zip(found, labels, strict=True)
    )
    theirs = sorted((x.tobytes(), y) for x, y in zip(original.images, original.target, strict=True))
    assert ours == theirs


def test_the_files_are_sound_pngs(splits: datasets.DatasetDict) -> None:
    media = splits["test"][0]["media"]
    assert media["path"] is None
    image = Image.open(io.BytesIO(media["bytes"]))
    image.verify()
    assert (image.format, image.mode, image.size) == ("PNG", "L", (8, 8))
    assert splits["train"].features["label"].names == list("0123456789")


def test_the_same_bytes_wherever_it_runs(splits: datasets.DatasetDict) -> None:
    """Neither libraries' versions nor a build of zlib: see `docstrings` for data that change."""
    assert fingerprint.of_examples(splits) == (
        "d24e4a9a392f36a912a8e00cfac6e879e2fb577083867d9f92165e208d58434f"
    )


def test_the_copy_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    first = digits.load()
    monkeypatch.setattr(digits, "_split", lambda _: pytest.fail("made again"))
    again = digits.load()
    assert again["test"][:] == first["test"][:]
    assert again["test"]._fingerprint == first["test"]._fingerprint
    assert not list(tmp_path.rglob("*.tmp"))


def test_it_can_be_learned(splits: datasets.DatasetDict) -> None:
    from sklearn.svm import SVC

    train, test = (splits[name] for name in ("train", "test"))
    model = SVC().fit(pixels(train).reshape(-1, 64), train["label"])
    accuracy = model.score(pixels(test).reshape(-1, 64), test["label"])
    assert accuracy > 0.97  # 0.986 when this was written; chance is 0.1
