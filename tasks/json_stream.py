"""A JSON object too large for memory, read entry by entry.

Annotations of a large data set are one object with a few long arrays: COCO's are 450 MB, and ten
times as much as Python objects.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

PIECE = 2**22
"""Characters that are read at once."""
LONGEST = 2**28
"""Characters of one entry; the largest outlines of an object have a hundredth of it."""

_BLANKS = " \t\r\n"
_BEHIND = frozenset(",:]}" + _BLANKS)


def entries(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield each key of the JSON object in a file with its value, or, where the value is an array,
    with each entry of the array; an empty array yields nothing.

    Raises OSError where the file cannot be read, ValueError for what is no JSON object.
    """
    with path.open(encoding="utf-8-sig") as file:
        text = _Text(file)
        text.take("{")
        while not text.takes("}"):
            key = text.value()
            if not isinstance(key, str):
                raise ValueError(f"it has {str(key)[:40]} where a key should be")
            text.take(":")
            if text.takes("["):
                while not text.takes("]"):
                    yield key, text.value()
                    if not text.takes(","):
                        text.take("]")
                        break
            else:
                yield key, text.value()
            if not text.takes(","):
                text.take("}")
                break
        if text.next() != "":
            raise ValueError("something stands behind the object")


class _Text:
    """The text of a file from some place on, of which only a piece is held."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._held = ""
        self._at = 0
        self._is_whole = False
        self._decode = json.JSONDecoder().raw_decode

    def next(self) -> str:
        """Return the next character that is no blank, without moving behind it; "" at the end."""
        while True:
            while self._at < len(self._held):
                if self._held[self._at] not in _BLANKS:
                    return self._held[self._at]
                self._at += 1
            if not self._more():
                return ""

    def takes(self, character: str) -> bool:
        """Return whether this is the next character; move behind it if it is."""
        if self.next() != character:
            return False
        self._at += 1
        return True

    def take(self, character: str) -> None:
        """Move behind the next character, which must be this one."""
        if not self.takes(character):
            there = repr(self.next()) if self.next() else "the end"
            raise ValueError(f"{there} stands where {character!r} should")

    def value(self) -> Any:
        """Return the next value, and move behind it."""
        self.next()
        while True:
            try:
                value, end = self._decode(self._held, self._at)
            except RecursionError:
                raise ValueError("it is nested too deeply") from None
            except json.JSONDecodeError as problem:
                if self._more():
                    continue
                raise ValueError(f"{problem.msg} in {self._held[self._at :][:40]!r}") from None
            # a number may go on in the next piece: "1" in "1.5", of which "1." is held
            if self._held[end : end + 1] not in _BEHIND and self._more():
                continue
            self._at = end
            return value

    def _more(self) -> bool:
        """Hold the next piece too; return whether there was any. What is behind is let go."""
        if self._is_whole:
            return False
        if len(self._held) - self._at > LONGEST:
            raise ValueError(f"an entry has more than {LONGEST:,} characters")
        # as much again: an entry of many pieces is not read a number of times that grows with it
        piece = self._file.read(max(PIECE, len(self._held) - self._at))
        self._held, self._at = self._held[self._at :] + piece, 0
        self._is_whole = not piece
        return bool(piece)
