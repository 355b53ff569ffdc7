r"""Reading of n-gram models from ARPA text files (SRILM's ngram-format(5)).

After a line `\data\` come lines `ngram 1=COUNT`, one an order; after `\1-grams:` and its like, on
each line a decimal log probability, the words, and the log backoff weight where there is one; a
line `\end\` is the last that counts.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tasks.errors import UserError, shortened

HIGHEST_ORDER = 10
MOST_GRAMS = 5_000_000  # some 1.5 GB in memory
LONGEST_LINE = 10_000  # bytes

_LN10 = math.log(10)

Gram = tuple[str, ...]
Model = tuple[int, dict[Gram, float], dict[Gram, float]]


def read(path: Path) -> Model:
    """Order, log probabilities and log backoff weights (natural) of a file.

    A file that isn't there, isn't text, breaks the format or is beyond the limits of this module is
    a `UserError` that names the line.
    """
    try:
        with path.open("rb") as file:
            return _parse(path, _lines(path, file))
    except OSError as problem:
        raise UserError(f"{path} cannot be read: {problem.strerror}") from None


def _lines(path: Path, file: BinaryIO) -> Iterator[tuple[int, str]]:
    """The number and text of each line that isn't blank."""
    number = 0
    while raw := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(raw) > LONGEST_LINE:
            raise _broken(path, number, f"is longer than {LONGEST_LINE:,} bytes")
        try:
            line = raw.decode("utf-8").removeprefix("\ufeff").strip(" \t\r\n")
        except UnicodeDecodeError:
            raise _broken(path, number, "is no text in UTF-8") from None
        if line:
            yield number, line


def _parse(path: Path, lines: Iterator[tuple[int, str]]) -> Model:
    if not any(line == "\\data\\" for _, line in lines):
        raise UserError(f"{path} is no ARPA file: it has no line \\data\\")
    declared, number, line = _header(path, lines)
    chances: dict[Gram, float] = {}
    backoffs: dict[Gram, float] = {}
    for order, count in enumerate(declared, 1):
        if line != f"\\{order}-grams:":
            raise _broken(path, number, f"is {shortened(line, 40)!r} and must be \\{order}-grams:")
        before = len(chances)
        for number, line in lines:
            if line[0] == "\\":
                break
            _gram(path, number, line, order, chances, backoffs)
            if len(chances) - before > count:
                raise _broken(path, number, f"is more than the {count:,} {order}-grams declared")
        else:
            raise _broken(path, number, "is the last, and there is no \\end\\")
        if len(chances) - before < count:
            found = len(chances) - before
            raise _broken(path, number, f"ends {found:,} {order}-grams, and {count:,} are declared")
    if line != "\\end\\":
        raise _broken(path, number, f"is {shortened(line, 40)!r} and must be \\end\\")
    return len(declared), chances, backoffs


def _header(path: Path, lines: Iterator[tuple[int, str]]) -> tuple[list[int], int, str]:
    """Return how many n-grams of each order the file declares, and the line behind them with its
    number."""
    declared: list[int] = []
    number = 0
    for number, line in lines:
        found = re.fullmatch(r"ngram\s+(\d{1,12})\s*=\s*(\d{1,12})", line)
        if not found:
            if not declared:
                break
            return declared, number, line
        order, count = int(found[1]), int(found[2])
        if order != len(declared) + 1 or order > HIGHEST_ORDER:
            raise _broken(
                path, number, f"declares order {order}; orders are 1, 2, ... {HIGHEST_ORDER}"
            )
        declared.append(count)
        if sum(declared) > MOST_GRAMS:
            raise _broken(path, number, f"makes it more than {MOST_GRAMS:,} n-grams, too many here")
    raise _broken(path, number, "is no `ngram 1=COUNT`, or the file ends there")


def _gram(
    path: Path,
    number: int,
    line: str,
    order: int,
    chances: dict[Gram, float],
    backoffs: dict[Gram, float],
) -> None:
    """Add one line of n-grams to `chances` and `backoffs`."""
    fields = line.split()
    if len(fields) not in (order + 1, order + 2):
        raise _broken(path, number, f"has {len(fields)} fields, not a number and {order} words")
    gram = tuple(fields[1 : order + 1])
    if gram in chances:
        raise _broken(path, number, f"has {shortened(' '.join(gram), 40)!r} a second time")
    chance = _number(path, number, fields[0])
    if chance > 1e-4:  # some tools round a hair above 0
        raise _broken(path, number, f"has the log probability {fields[0]}, which is above 0")
    chances[gram] = min(chance, 0.0) * _LN10
    if len(fields) == order + 2:
        backoffs[gram] = _number(path, number, fields[-1]) * _LN10


def _number(path: Path, number: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _broken(path, number, f"has {shortened(text, 40)!r} where a number belongs")
    return value


def _broken(path: Path, number: int, what: str) -> UserError:
    return UserError(f"{path}: line {number:,} {what}")
