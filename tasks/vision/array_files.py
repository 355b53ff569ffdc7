"""Data sets of pictures in files of their own formats: MNIST's idx and CIFAR's binary version.

- idx (http://yann.lecun.com/exdb/mnist): what MNIST, Fashion-MNIST, KMNIST and EMNIST come in, with
  or without gzip, in whatever folder torchvision or a browser has put them.
- CIFAR-10 and CIFAR-100 (https://www.cs.toronto.edu/~kriz/cifar.html), "binary version". The other
  one, for Python, is pickles, and a pickle runs code.

The rows hold each picture as a PNG of a few hundred bytes, made in blocks: all of them are never in
memory at once.
"""

import gzip
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tasks.errors import UserError
from tasks.media import rows
from tasks.vision.embedded.png import of_chunks

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

Pixels = npt.NDArray[np.uint8]
"""uint8 [n, height, width, channels]."""
Codes = npt.NDArray[np.int64]

VERSION = 1  # of the rows made of the same files: raise it with every change there
IDX = re.compile(r"(?P<set>(?:.+-)?)(?P<split>train|t10k|test)-(?P<what>images|labels)"
                 r"[-.]idx(?P<rank>[13])-ubyte(?:\.gz)?")  # fmt: skip
SPLITS = {"train": "train", "t10k": "test", "test": "test"}
UBYTE = 8  # the code of the type of values in an idx file
FASHION: tuple[str, ...] = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
)
FASHION += ("Bag", "Ankle boot")
"""The classes of Fashion-MNIST (Xiao et al. 2017), whose files name none: its folder, which
torchvision calls FashionMNIST, tells it from MNIST."""
BATCH = re.compile(r"(?:(?P<train>data_batch_\d+)|(?P<test>test_batch))\.bin")
PICKLES = re.compile(r"data_batch_\d+|test_batch|batches\.meta")
PICKLES_OF_100 = frozenset({"train", "test", "meta"})
SIDE = 32  # of CIFAR's pictures
NAMES_OF_100 = ("coarse_label_names.txt", "fine_label_names.txt")
CLASSES = {"label": 10, "coarse_label": 20}
"""How many there are, where no file names them."""
BLOCK = 1_000  # pictures that are in memory together
MOST_ROWS = 10_000_000  # that a header may claim: MNIST's have 70,000, EMNIST's 814,255


@dataclass(frozen=True)
class _Part:
    """The pictures of one split, or a part of them."""

    split: str
    files: Sequence[Path]
    blocks: Callable[[], Iterator[tuple[Pixels, Mapping[str, Codes]]]]
    """Blocks of pictures with their columns of labels."""


@dataclass(frozen=True)
class _Found:
    """A data set: its parts, and the names of the classes of each column of labels."""

    parts: Sequence[_Part]
    names: Mapping[str, Sequence[str]]
    beside: Sequence[Path] = ()
    """Files that the names are from."""


def load(root: Path, every: Sequence[Path]) -> "tuple[datasets.DatasetDict, str] | None":
    """Return the splits of a data set in these formats, and its fingerprint; None where it is none.

    The columns are media (see `tasks.media.source`), label (ClassLabel), and of CIFAR-100, whose
    labels are the fine ones, coarse_label.

    Args:
        root: the folder, or one idx file, which chooses among several data sets in its folder.
        every: the files below it.

    Raises `UserError` for files that are damaged, of several data sets, or pickles.
    """
    found = _idx(root, every) or _cifar(root, every)
    if found is None:
        _refuse_pickles(root, every)
        return None
    return _read(root if root.is_dir() else root.parent, found)


def _read(root: Path, found: _Found) -> "tuple[datasets.DatasetDict, str]":
    import datasets

    used = [file for part in found.parts for file in part.files]
    digest = rows.digest_of(root, [*used, *found.beside])
    features = datasets.Features(
        {"media": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}}
        | {name: datasets.ClassLabel(names=list(of)) for name, of in found.names.items()}
    )
    copies = rows.Copies(digest, "arrays", VERSION, {n: list(of) for n, of in found.names.items()})
    splits = [name for name in ("train", "test") if any(part.split == name for part in found.parts)]
    for split in splits:
        if not copies.has([split]):
            parts = [part for part in found.parts if part.split == split]
            copies.write(split, features.arrow_schema, _batches(parts, found, features))
    return copies.read(splits), digest


def _batches(
    parts: Sequence[_Part], found: _Found, features: "datasets.Features"
) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    for part in parts:
        for pixels, labels in part.blocks():
            media = [{"bytes": png(picture), "path": None} for picture in pixels]
            columns = {"media": media} | {name: labels[name].tolist() for name in found.names}
            yield pa.RecordBatch.from_pydict(columns, schema=features.arrow_schema)


# --- idx


def _idx(root: Path, every: Sequence[Path]) -> _Found | None:
    """The idx files of one data set; of one that lies there with and without gzip, the latter."""
    sets: dict[tuple[Path, str], dict[tuple[str, str], Path]] = {}
    for file in sorted(every, key=lambda file: file.suffix != ".gz"):
        named = IDX.fullmatch(file.name)
        if named and (named["rank"] == "3") == (named["what"] == "images"):
            key = (SPLITS[named["split"]], named["what"])
            sets.setdefault((file.parent, named["set"]), {})[key] = file
    if root.is_file():
        named = IDX.fullmatch(root.name)
        sets = {key: sets[key] for key in sets if named and key == (root.parent, named["set"])}
    if not sets:
        return None
    if len(sets) > 1:
        one = next(iter(min(sets.values(), key=lambda files: str(min(files.values()))).values()))
        where = ", ".join(
            f"{folder.relative_to(root)}/{name}*" for folder, name in sorted(sets)[:5]
        )
        raise UserError(
            f"{root} holds several data sets ({where}): give the folder of one, or one of its files"
            f" ({one.relative_to(root)})"
        )
    (folder, name), files = next(iter(sets.items()))
    pairs: dict[str, tuple[Path, Path]] = {}
    labels_of: dict[str, Codes] = {}
    for split in ("train", "test"):
        pair = [files.get((split, what)) for what in ("images", "labels")]
        if not any(pair):
            continue
        images, labels = pair
        if images is None or labels is None:
            what = "images" if images is None else "labels"
            raise UserError(f"{folder} has no {what} for {name}{split}: a file is missing")
        pairs[split], labels_of[split] = (images, labels), _labels_of(labels)
    codes = np.unique(np.concatenate(list(labels_of.values())))  # EMNIST's letters begin with 1
    parts = [
        _Part(split, pair, _idx_blocks(*pair, np.searchsorted(codes, labels_of[split]), name))
        for split, pair in pairs.items()
    ]
    mapping = next((file for file in every if file == folder / f"{name}mapping.txt"), None)
    known = _mapped(mapping) if mapping else {}
    above = [re.sub(r"[^a-z]", "", part.lower()) for part in folder.absolute().parts]
    if not known and "fashionmnist" in above:
        known = dict(enumerate(FASHION))
    names = [known.get(code, str(code)) for code in codes.tolist()]
    return _Found(parts, {"label": names}, [mapping] if mapping else [])


def _idx_blocks(
    images: Path, labels: Path, values: Codes, name: str
) -> Callable[[], Iterator[tuple[Pixels, Mapping[str, Codes]]]]:
    def blocks() -> Iterator[tuple[Pixels, Mapping[str, Codes]]]:
        with _opened(images) as stream:
            count, height, width = _header(images, stream, 3)
            if count != len(values):
                raise UserError(
                    f"{images} has {count:,} pictures, but {labels.name} {len(values):,} labels"
                )
            for start in range(0, count, BLOCK):
                n = min(BLOCK, count - start)
                block = _values(images, stream, n * height * width).reshape(n, height, width, 1)
                if name.startswith("emnist-"):  # its files hold each letter with x and y exchanged
                    block = block.transpose(0, 2, 1, 3)
                yield block, {"label": values[start : start + n]}
            _must_end(images, stream)

    return blocks


def _labels_of(file: Path) -> Codes:
    with _opened(file) as stream:
        (count,) = _header(file, stream, 1)
        values = _values(file, stream, count).astype(np.int64)
        _must_end(file, stream)
    return values


def _mapped(mapping: Path) -> dict[int, str]:
    """The names of EMNIST's labels: a line has a code, and the characters it stands for."""
    names = {}
    for number, line in enumerate(_lines(mapping), start=1):
        words = line.split()
        if len(words) < 2 or not all(word.isdigit() and int(word) < 128 for word in words):
            raise UserError(f"{mapping}, line {number}, is {line[:40]!r}, no code and characters")
        names[int(words[0])] = "".join(chr(int(word)) for word in words[1:])
    return names


def _opened(file: Path) -> IO[bytes]:
    try:
        stream: Any = gzip.open(file) if file.suffix == ".gz" else file.open("rb")  # noqa: SIM115
    except OSError as problem:
        raise UserError(f"{file} cannot be read: {problem.strerror}") from None
    opened: IO[bytes] = stream
    return opened


def _header(file: Path, stream: IO[bytes], rank: int) -> tuple[int, ...]:
    """The dimensions that an idx file claims, which are few enough to be true."""
    head = _bytes(file, stream, 4 + 4 * rank)
    if head[:4] != bytes((0, 0, UBYTE, rank)):
        raise UserError(f"{file} does not begin as an idx file of bytes in {rank} dimensions does")
    dims: tuple[int, ...] = struct.unpack(f">{rank}I", head[4:])
    if not 0 < dims[0] <= MOST_ROWS or not all(0 < side <= 1024 for side in dims[1:]):
        raise UserError(f"{file} claims to hold {' x '.join(map(str, dims))} values")
    return dims


def _values(file: Path, stream: IO[bytes], count: int) -> npt.NDArray[np.uint8]:
    return np.frombuffer(_bytes(file, stream, count), np.uint8)


def _bytes(file: Path, stream: IO[bytes], count: int) -> bytes:
    try:
        content = stream.read(count)
    except (EOFError, zlib.error, OSError) as problem:
        raise UserError(f"{file} cannot be read: it is damaged ({problem})") from None
    if len(content) < count:
        raise UserError(f"{file} ends too early: it was not copied or downloaded to its end")
    return content


def _must_end(file: Path, stream: IO[bytes]) -> None:
    try:
        more = stream.read(1)
    except (EOFError, zlib.error, OSError) as problem:
        raise UserError(f"{file} cannot be read: it is damaged ({problem})") from None
    if more:
        raise UserError(f"{file} is longer than its header says: it is damaged")


# --- CIFAR


def _cifar(root: Path, every: Sequence[Path]) -> _Found | None:
    """CIFAR-10's or CIFAR-100's binary version in one folder."""
    of_10 = [file for file in every if BATCH.fullmatch(file.name)]
    of_100 = [
        file
        for file in every
        if file.name in ("train.bin", "test.bin") and (file.parent / NAMES_OF_100[1]).is_file()
    ]
    found = [*of_10, *of_100]
    if not found or not root.is_dir():
        return None
    folders = sorted({file.parent for file in found})
    if len(folders) > 1:
        raise UserError(
            f"{root} holds several data sets ({folders[0].relative_to(root)},"
            f" {folders[1].relative_to(root)}): give the folder of one"
        )
    # a record is its labels, a byte each, and the red, green and blue planes
    columns: tuple[str, ...] = ("coarse_label", "label") if of_100 else ("label",)
    names = NAMES_OF_100 if of_100 else ("batches.meta.txt",)
    files = [folders[0] / name for name in names]
    called = {
        column: _lines(file) if file.is_file() else [str(i) for i in range(CLASSES[column])]
        for column, file in zip(columns, files, strict=True)
    }
    parts = [
        _Part(
            "test" if file.stem in ("test", "test_batch") else "train",
            (file,),
            _cifar_blocks(file, called),
        )
        for file in found
    ]
    order: dict[str, Sequence[str]] = {}
    order |= {name: called[name] for name in ("label", "coarse_label") if name in called}
    return _Found(parts, order, [file for file in files if file.is_file()])


def _cifar_blocks(
    file: Path, names: Mapping[str, Sequence[str]]
) -> Callable[[], Iterator[tuple[Pixels, Mapping[str, Codes]]]]:
    record = len(names) + 3 * SIDE * SIDE

    def blocks() -> Iterator[tuple[Pixels, Mapping[str, Codes]]]:
        size = file.stat().st_size
        if not size or size % record:
            raise UserError(
                f"{file} has {size:,} bytes, which are no whole number of CIFAR's records of"
                f" {record:,}: it was not copied or downloaded to its end"
            )
        with _opened(file) as stream:
            for start in range(0, size // record, BLOCK):
                n = min(BLOCK, size // record - start)
                block = _values(file, stream, n * record).reshape(n, record)
                labels = {}
                for place, (column, known) in enumerate(names.items()):
                    labels[column] = block[:, place].astype(np.int64)
                    if labels[column].max() >= len(known):
                        raise UserError(
                            f"{file} has the label {labels[column].max()}, and there are"
                            f" {len(known)} names of classes: it is damaged, or no file of CIFAR's"
                        )
                planes = block[:, len(names) :].reshape(n, 3, SIDE, SIDE)
                yield planes.transpose(0, 2, 3, 1), labels

    return blocks


def _lines(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        return [line.strip() for line in lines if line.strip()]
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"{file} cannot be read: {problem}") from None


def _refuse_pickles(root: Path, every: Sequence[Path]) -> None:
    """Raises `UserError` for CIFAR's version for Python."""
    for file in [root] if root.is_file() else every:
        names = {other.name for other in every if other.parent == file.parent}
        if PICKLES.fullmatch(file.name) or (file.name in PICKLES_OF_100 <= names):
            kind = "cifar-10" if PICKLES.fullmatch(file.name) else "cifar-100"
            raise UserError(
                f"{file} is a pickle, which can run code when it is read, so it is not: take"
                f" {kind}-binary.tar.gz, the same pictures, from"
                " https://www.cs.toronto.edu/~kriz/cifar.html, or save each picture as"
                f" LABEL/NAME.png, or give `data` uoft-cs/{kind.replace('-', '')} of the Hub"
            )


# --- PNG


def png(picture: npt.NDArray[np.uint8]) -> bytes:
    """Return a PNG, packed, of a picture uint8 [height, width, 1 or 3], grey or in colour."""
    height, width, channels = picture.shape
    colour = {1: 0, 3: 2}[channels]
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    lines = np.zeros((height, 1 + width * channels), np.uint8)  # each behind its filter, 0: none
    lines[:, 1:] = picture.reshape(height, -1)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 1)), (b"IEND", b""))
    return of_chunks(parts)
