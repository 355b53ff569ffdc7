"""MNIST's idx files and CIFAR's binary version as folders of pictures."""

import gzip
import struct
from pathlib import Path

import datasets
import numpy as np
import pytest

from tasks.vision.array_files import png
from tasks.vision.images import IMAGE, decode
from tests import media

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))


def read(path: Path):
    return media.read(path, IMAGE)


def refusal(path: Path) -> str:
    return media.refusal(path, IMAGE)


def pixels_of(row) -> np.ndarray:
    return decode(row["media"])


def idx(array: np.ndarray) -> bytes:
    head = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def write_idx(folder: Path, prefix: str = "", test: str = "t10k", packed: bool = False, codes=None):
    """A data set of idx files; its pictures and codes by split."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for split, n in (("train", 40), (test, 12)):
        images = RNG.integers(0, 256, (n, 6, 5), np.uint8)
        labels = np.array([(codes or range(10))[i % len(codes or range(10))] for i in range(n)])
        for what, array in (("images-idx3", images), ("labels-idx1", labels)):
            content = idx(array)
            name = f"{prefix}{split}-{what}-ubyte{'.gz' if packed else ''}"
            (folder / name).write_bytes(gzip.compress(content) if packed else content)
        made["train" if split == "train" else "test"] = images, labels
    return made


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("inside", ["", "MNIST/raw"])
def test_mnist(tmp_path: Path, packed: bool, inside: str) -> None:
    made = write_idx(tmp_path / inside, packed=packed)
    found = read(tmp_path)
    assert found.rows == {"train": 40, "test": 12}
    for split, (images, labels) in made.items():
        rows = found.splits[split]
        assert rows.features["label"].names == [str(i) for i in range(10)]
        assert rows["label"] == labels.tolist()
        for row, image in zip(rows, images, strict=True):
            np.testing.assert_array_equal(pixels_of(row), image[..., None])
    assert read(tmp_path).splits["train"]["label"] == made["train"][1].tolist(), "from the cache"


def test_torchvision_leaves_both_and_one_counts(tmp_path: Path) -> None:
    write_idx(tmp_path, packed=True)
    made = write_idx(tmp_path)
    row = read(tmp_path).splits["test"][3]
    np.testing.assert_array_equal(pixels_of(row)[..., 0], made["test"][0][3])


def test_emnist_stands_upright_and_has_its_characters(tmp_path: Path) -> None:
    prefix = "emnist-letters-"
    made = write_idx(tmp_path / "raw", prefix, "test", packed=True, codes=[1, 2, 26])
    (tmp_path / "raw" / f"{prefix}mapping.txt").write_text("1 65 97 \n2 66 98\n26 90 122\n")
    rows = read(tmp_path).splits["train"]
    assert rows.features["label"].names == ["Aa", "Bb", "Zz"], "and no class 0 that nothing has"
    assert rows["label"][:4] == [0, 1, 2, 0]
    np.testing.assert_array_equal(pixels_of(rows[5])[..., 0], made["train"][0][5].T)


def test_fashion_mnist_is_known_by_its_folder(tmp_path: Path) -> None:
    write_idx(tmp_path / "FashionMNIST" / "raw")
    named = read(tmp_path).splits["train"].features["label"].names
    assert named[0] == "T-shirt/top" and named[9] == "Ankle boot"
    (tmp_path / "FashionMNIST").rename(tmp_path / "fashion_mnist")
    assert read(tmp_path).splits["train"].features["label"].names == named
    (tmp_path / "fashion_mnist").rename(tmp_path / "digits")
    again = read(tmp_path).splits["train"].features["label"].names
    assert again == [str(i) for i in range(10)], "the same files, and no longer out of the cache"


def test_several_data_sets_in_a_folder(tmp_path: Path) -> None:
    write_idx(tmp_path / "MNIST" / "raw")
    made = write_idx(tmp_path / "FashionMNIST" / "raw")
    message = refusal(tmp_path)
    assert "holds several data sets (FashionMNIST/raw/*, MNIST/raw/*)" in message
    one = read(tmp_path / "FashionMNIST" / "raw" / "train-images-idx3-ubyte")
    assert one.splits["train"]["label"] == made["train"][1].tolist(), "a file chooses its set"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("train-images-idx3-ubyte", idx(np.zeros((40, 6, 5)))[:-1], "ends too early"),
        ("train-images-idx3-ubyte", idx(np.zeros((40, 6, 5))) + b"x", "longer than its header"),
        ("train-images-idx3-ubyte", idx(np.zeros((39, 6, 5))), "39 pictures, but train-labels"),
        ("train-images-idx3-ubyte", b"\0\0\x0d\x03" + bytes(12), "does not begin as an idx file"),
        (
            "train-images-idx3-ubyte",
            bytes((0, 0, 8, 3)) + struct.pack(">3I", 2**31, 9, 9),
            "claims to hold 2147483648 x 9 x 9 values",
        ),
        ("train-labels-idx1-ubyte", b"", "ends too early"),
    ],
)
def test_damaged_idx_files(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    write_idx(tmp_path)
    (tmp_path / name).write_bytes(content)
    assert said in refusal(tmp_path)


def test_damaged_gzip(tmp_path: Path) -> None:
    write_idx(tmp_path, packed=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:200])
    assert "it is damaged" in refusal(tmp_path)
    path.write_bytes(b"no gzip at all, of course")
    assert "it is damaged" in refusal(tmp_path)


def test_labels_without_images(tmp_path: Path) -> None:
    write_idx(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").unlink()
    assert "has no images for test: a file is missing" in refusal(tmp_path)


NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def write_cifar(folder: Path, files: dict[str, int], labels: int = 1):
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for name, n in files.items():
        pictures = RNG.integers(0, 256, (n, 32, 32, 3), np.uint8)
        codes = RNG.integers(0, 10, (n, labels), np.uint8)
        planes = pictures.transpose(0, 3, 1, 2).reshape(n, -1)
        (folder / name).write_bytes(np.concatenate([codes, planes], axis=1).tobytes())
        made[name] = pictures, codes
    return made


def test_cifar_10(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-bin"
    made = write_cifar(folder, {"data_batch_1.bin": 5, "data_batch_2.bin": 4, "test_batch.bin": 3})
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    (folder / "readme.html").write_text("<a>")
    found = read(tmp_path)
    assert found.rows == {"train": 9, "test": 3}
    train = found.splits["train"]
    assert train.features["label"].names == NAMES
    pictures, codes = (
        np.concatenate(parts)
        for parts in zip(made["data_batch_1.bin"], made["data_batch_2.bin"], strict=True)
    )
    assert train["label"] == codes[:, 0].tolist()
    for row, picture in zip(train, pictures, strict=True):
        np.testing.assert_array_equal(pixels_of(row), picture)


def test_cifar_100_has_fine_and_coarse_labels(tmp_path: Path) -> None:
    made = write_cifar(tmp_path, {"train.bin": 6, "test.bin": 2}, labels=2)
    (tmp_path / "coarse_label_names.txt").write_text("\n".join(f"kind {i}" for i in range(20)))
    (tmp_path / "fine_label_names.txt").write_text("\n".join(f"thing {i}" for i in range(100)))
    train = read(tmp_path).splits["train"]
    assert train["label"] == made["train.bin"][1][:, 1].tolist()
    assert train["coarse_label"] == made["train.bin"][1][:, 0].tolist()
    assert train.features["coarse_label"].names[3] == "kind 3"


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("data_batch_1", "test_batch", "batches.meta", "readme.html"), "cifar-10"),
        (("train", "test", "meta", "file.txt~"), "cifar-100"),
    ],
)
def test_pickles_are_refused_with_the_way_out(
    tmp_path: Path, names: tuple[str, ...], kind: str
) -> None:
    for name in names:
        media.write(tmp_path / f"{kind}-python" / name, "\x80\x02}q\x01")
    message = refusal(tmp_path)
    assert "is a pickle, which can run code when it is read, so it is not" in message
    assert f"{kind}-binary.tar.gz" in message
    assert "is a pickle" in refusal(tmp_path / f"{kind}-python" / names[0])


def test_damaged_cifar(tmp_path: Path) -> None:
    write_cifar(tmp_path, {"data_batch_1.bin": 2})
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(path.read_bytes()[:-1])
    assert "no whole number of CIFAR's records of 3,073" in refusal(tmp_path)
    path.write_bytes(bytes([11]) + bytes(3072))
    assert "has the label 11, and there are 10 names" in refusal(tmp_path)


def test_pictures_of_their_own_win(tmp_path: Path) -> None:
    """Nothing changes for a folder that could be read before."""
    write_idx(tmp_path)
    media.png(tmp_path / "a" / "1.png")
    media.png(tmp_path / "b" / "1.png")
    assert media.labelled(read(tmp_path)) == {"train": [("1.png", "a"), ("1.png", "b")]}


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_holds_its_picture(channels: int) -> None:
    picture = RNG.integers(0, 256, (7, 4, channels), np.uint8)
    np.testing.assert_array_equal(decode({"bytes": png(picture), "path": None}), picture)
