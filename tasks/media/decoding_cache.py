"""What a pass over a split's media found, on disk: sizes and bad files, never what was decoded."""

import hashlib
import importlib.metadata
import json
import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from tasks import atomic
from tasks.data import cache, fingerprint

if TYPE_CHECKING:
    import datasets

logger = logging.getLogger(__name__)

VERSION = 2  # of the file's form: raise it with every change
DECODERS = ("pillow", "soundfile")  # another version may read what this one can't


class DecodedSplit(NamedTuple):
    """The findings of one pass over the media of a split, without the arrays."""

    kept: npt.NDArray[np.int64]  # rows that could be decoded, [n]
    sizes: npt.NDArray[np.float64]  # of each, [n]
    bad: list[tuple[int, str, str]]  # row, name and reason of the others
    total_bytes: int  # of all arrays
    facts: Mapping[int, Mapping[str, float]]  # row and what is remarkable in it, where anything is
    digests: npt.NDArray[np.uint64]  # of each, [n], or none


def digest_of(split: "datasets.Dataset") -> str:
    """Return a digest of the columns of media of a split: of their bytes, or of the paths of files
    on disk."""
    return fingerprint.of_strings(split, rows_at_once=100)


def read(key: str, rows: int) -> DecodedSplit | None:
    """Return what `write` has kept under a key for a split of so many rows; None where there is
    nothing, or nothing that can be read."""
    try:
        with np.load(_path(key), allow_pickle=False) as stored:
            about = json.loads(stored["about"].tobytes())
            found = DecodedSplit(
                stored["kept"],
                stored["sizes"],
                [(row, name, reason) for row, name, reason in about["bad"]],
                about["total_bytes"],
                {int(row): facts for row, facts in about["facts"].items()},
                stored["digests"],
            )
    except FileNotFoundError:
        return None
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        EOFError,
        zipfile.BadZipFile,
    ) as problem:
        logger.info("%s is not readable (%s): measuring again", _path(key), problem)
        return None
    whole = len(found.kept) == len(found.sizes) and len(found.kept) + len(found.bad) == rows
    whole = whole and len(found.digests) in (0, len(found.kept))
    return found if whole else None


def write(key: str, rows: int, found: DecodedSplit) -> None:
    """Keeps it for the next run; where the cache cannot be written to, that run measures again."""
    assert len(found.kept) + len(found.bad) == rows
    about = json.dumps(
        {"bad": found.bad, "total_bytes": found.total_bytes, "facts": dict(found.facts)}
    )
    final = _path(key)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with atomic.replacing(final) as file:
            np.savez(
                file,
                kept=found.kept,
                sizes=found.sizes,
                digests=found.digests,
                about=np.frombuffer(about.encode("utf-8", "backslashreplace"), np.uint8),
            )
    except OSError as problem:
        logger.info("%s cannot be written (%s)", final, problem)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _path(key: str) -> Path:
    how = f"{VERSION} {' '.join(map(_version, DECODERS))}"
    digest = hashlib.sha256(f"{how}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()
    return cache.folder() / "decoded" / f"{digest}.npz"
