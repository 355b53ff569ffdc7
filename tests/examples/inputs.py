"""The inputs of the examples: small files, named and laid out as the originals are."""

import csv
import gzip
import shutil
import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice, product
from pathlib import Path

import numpy as np

from tests import cases, tiny_text
from tests.examples.vision import CIFAR

GROUPS = ("comp.graphics", "rec.autos", "talk.politics.misc")
PETS = {"cat": "dot", "dog": "ring"}  # label and the shape that stands for it


def write(folder: Path) -> None:
    """Write all of them into an empty folder."""
    for name, write_one in WRITERS.items():
        (folder / name).mkdir()
        write_one(folder / name)
    rows = tiny_text.review_rows()
    _csv(folder / "reviews.csv", ("text", "label"), rows)
    _csv(folder / "IMDB Dataset.csv", ("review", "sentiment"), rows)
    _put(folder / "book.txt", "\n\n".join(text for text, _ in rows).encode())
    _csv(folder / "sentences.csv", ("en", "fr"), _sentences())
    _csv(folder / "houses.csv", ("rooms", "built", "city", "price", "rent"), _houses())
    write_pth(folder / "model.pth")


def _sentences() -> list[tuple[str, str]]:
    """Return sentences in English and in French."""
    nouns = {"film": "film", "book": "livre", "song": "chant", "game": "jeu", "play": "drame"}
    words = {"long": "long", "good": "bon", "short": "court", "old": "vieux", "new": "nouveau"}
    times = {"is": "est", "was": "était", "will be": "sera"}
    return [
        (f"The {noun} {time} {word}.", f"Le {nouns[noun]} {times[time]} {words[word]}.")
        for noun, time, word in product(nouns, times, words)
    ]


def _houses() -> list[tuple[str, ...]]:
    """Return houses: two numbers and a category, and two numbers that follow from them."""
    cities = {"Lyon": 90, "Paris": 240, "Nantes": 110}
    rows = [
        (rooms, built, city, rooms * worth + built - 1900, rooms * worth // 20)
        for rooms, built, (city, worth) in product(
            range(1, 8), range(1900, 2020, 12), cities.items()
        )
    ]
    return [tuple(map(str, row)) for row in rows]


def _csv(path: Path, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _imdb(folder: Path) -> None:
    """aclImdb: reviews SPLIT/LABEL/ID_STARS.txt, those in `unsup` without a label, and files beside
    them that hold bags of words and addresses."""
    rows = tiny_text.review_rows()
    for split, part in {"train": rows[:240], "test": rows[240:]}.items():
        for i, (text, label) in enumerate(part):
            place = folder / split / label[:3] / f"{i}_{9 if label == 'positive' else 2}.txt"
            _put(place, text.replace(", ", ",<br /><br />").encode())
        for kind in ("pos", "neg"):
            _put(folder / split / f"urls_{kind}.txt", b"http://example.org/title/usercomments\n")
        _put(folder / split / "labeledBow.feat", b"9 0:9 1:1 2:4\n2 0:1 5:2\n")
    for i in range(20):
        _put(folder / "train" / "unsup" / f"{i}_0.txt", b"a film that nobody rated")
    _put(folder / "train" / "unsupBow.feat", b"0 0:9 1:1\n")
    _put(folder / "train" / "urls_unsup.txt", b"http://example.org/title/usercomments\n")
    _put(folder / "imdb.vocab", b"the\nand\na\n")
    _put(folder / "imdbEr.txt", b"0.049\n0.1\n")
    _put(folder / "README", b"Large Movie Review Dataset v1.0\n")


def _newsgroups(folder: Path) -> None:
    """20news-bydate: 20news-bydate-SPLIT/GROUP/NUMBER, messages with headers in Latin-1."""
    words = dict(zip(GROUPS, ("image", "engine", "senate"), strict=True))
    for split, numbers in {"train": range(20), "test": range(20, 28)}.items():
        for g, group in enumerate(GROUPS):
            for i in numbers:
                message = (
                    f"From: reader{i}@example.org (Jos\xe9)\nSubject: Re: {words[group]}\n"
                    f"Organization: none\nLines: 3\n\nIn article <{i}@example.org> you write:\n"
                    f"> what of the {words[group]}?\nThe {words[group]} was no {i}.\n"
                )
                place = folder / f"20news-bydate-{split}" / group / f"{38000 + 1000 * g + i}"
                _put(place, message.encode("latin-1"))


def _more_photos(folder: Path) -> None:
    """Images without labels, in one folder."""
    cases.write_images(folder / "made")
    for number, path in enumerate(sorted(folder.glob("made/train/*/*.png"))):
        path.rename(folder / f"{number:03}.png")
    shutil.rmtree(folder / "made")


def _pets(folder: Path) -> None:
    """Images with other labels than those of `photos`."""
    cases.write_images(folder / "made")
    for split in ("train", "test"):
        for label, shape in PETS.items():
            shutil.copytree(folder / "made" / split / shape, folder / split / label)
    shutil.rmtree(folder / "made")


def _shaped(count: int, shape: tuple[int, ...]) -> Iterator[tuple[int, np.ndarray]]:
    """Labels 0 to 9 and noisy images uint8, whose upper half is lighter the higher the label."""
    rng = np.random.default_rng(0)
    for label in islice(cycle(range(10)), count):
        pixels = rng.integers(0, 60, shape)
        pixels[..., : shape[-2] // 2, :] += 20 * label
        yield label, pixels.astype(np.uint8)


def _cifar(folder: Path) -> None:
    """cifar-10-batches-bin: records of a byte of label and 3 x 32 x 32 bytes, red first."""
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    rows = _shaped(20 * len(names), (3, 32, 32))
    for name in names:
        records = (bytes([label]) + pixels.tobytes() for label, pixels in islice(rows, 20))
        _put(folder / f"{name}.bin", b"".join(records))
    _put(folder / "batches.meta.txt", "".join(f"{name}\n" for name in CIFAR).encode() + b"\n")
    _put(folder / "readme.html", b"<html></html>\n")


def _mnist(folder: Path) -> None:
    """MNIST/raw: idx files as torchvision leaves them, packed and unpacked side by side."""
    for split, count in {"train": 100, "t10k": 30}.items():
        labels, images = zip(*_shaped(count, (28, 28)), strict=True)
        packed = {
            f"{split}-images-idx3-ubyte": struct.pack(">4i", 0x803, count, 28, 28)
            + np.stack(images).tobytes(),
            f"{split}-labels-idx1-ubyte": struct.pack(">2i", 0x801, count) + bytes(labels),
        }
        for name, content in packed.items():
            _put(folder / "raw" / name, content)
            _put(folder / "raw" / f"{name}.gz", gzip.compress(content, mtime=0))


def write_pth(path: Path) -> None:
    """Write the weights of a ResNet-18 for three labels, as a script saves them that trained it in
    a DataParallel: names begin with `module.`."""
    import torch

    import tasks  # noqa: F401  (timm imports torchvision, which may need our guard)

    # isort: split
    import timm

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = timm.create_model("resnet18", num_classes=3)
    torch.save(torch.nn.DataParallel(model).state_dict(), path)


WRITERS: dict[str, Callable[[Path], None]] = {
    "aclImdb": _imdb,
    "20news-bydate": _newsgroups,
    "photos": cases.write_images,
    "more_photos": _more_photos,
    "pets": _pets,
    "cifar-10-batches-bin": _cifar,
    "MNIST": _mnist,
    "prompts": cases.write_utterances,
    "tiny_bert": tiny_text.write_bert,
}
"""What writes each folder."""
