"""Word vectors in text, as word2vec and GloVe write them: a line a word, and behind it its numbers.

word2vec's begins with a line of two numbers, how many words there are and the size of a vector;
GloVe's does not. gensim reads both (`KeyedVectors.load_word2vec_format`).
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.errors import UserError
from zoo.machine import output_file

Floats = npt.NDArray[np.float32]


def write(path: Path, flag: str, words: Sequence[str], vectors: Floats) -> None:
    """Write vectors [words, size] in word2vec's text format, the shortest numbers that are read
    back to the bit.

    Args:
        flag: what the user calls the file, for messages.

    Raises `UserError` where nothing can be written there.
    """
    with output_file.replacing_text(path, flag) as file:
        file.write(f"{len(words)} {vectors.shape[1]}\n")
        for word, vector in zip(words, vectors, strict=True):
            file.write(f"{word} {' '.join(map(str, vector))}\n")


def size(path: Path) -> int:
    """Return how many numbers the vectors of a file have. Raises `UserError` as `read` does."""
    _, first = read(path, most=1)
    return int(first.shape[1])


def read(
    path: Path, wanted: Collection[str] | None = None, most: int | None = None
) -> tuple[list[str], Floats]:
    """Return the words of a file and their vectors, float32 [words, size]; of words that come
    twice the first.

    Args:
        wanted: words that are kept; None: all.
        most: words after which no more is read.

    Raises `UserError` for a file that is no such text, with its line.
    """
    words: list[str] = []
    vectors: list[Floats] = []
    seen: set[str] = set()
    columns = 0
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                parts = _parts(path, number, line)
                if number == 1 and len(parts) == 2 and all(part.isdigit() for part in parts):
                    columns = int(parts[1])
                    continue
                columns = columns or len(parts) - 1
                word = " ".join(parts[:-columns]) if 0 < columns < len(parts) else ""
                if not word:
                    what = f"it is no word and {columns or 'some'} numbers"
                    raise UserError(_fault(path, number, what))
                if word not in seen and (wanted is None or word in wanted):
                    seen.add(word)
                    words.append(word)
                    vectors.append(_numbers(path, number, parts[-columns:]))
                if len(words) == most:
                    break
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    if not columns:
        raise UserError(f"{path} is empty, and no file of word vectors")
    return words, np.stack(vectors) if vectors else np.empty((0, columns), np.float32)


def _parts(path: Path, number: int, line: bytes) -> list[str]:
    try:
        return line.decode("utf-8").rstrip(" \r\n").split(" ")
    except UnicodeDecodeError:
        raise UserError(_fault(path, number, "it is not UTF-8")) from None


def _numbers(path: Path, number: int, parts: Sequence[str]) -> Floats:
    try:
        vector = np.array(parts, np.float32)
    except ValueError:
        raise UserError(_fault(path, number, "a part of it is no number")) from None
    if not np.isfinite(vector).all():
        raise UserError(_fault(path, number, "a number of it is not finite"))
    return vector


def _fault(path: Path, number: int, what: str) -> str:
    return (
        f"{path}, line {number}: {what}; word vectors are text, a word and its numbers a line, as "
        "word2vec (not its binary format) and GloVe write it"
    )
