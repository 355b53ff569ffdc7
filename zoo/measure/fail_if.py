"""--fail_if slower:3%: when a comparison's exit code is 1."""

import difflib
import re
from dataclasses import dataclass
from typing import Self

from tasks.errors import UserError

WORDS = {"slower": "slower", "faster": "faster", "same": "same", "cant_tell": "can't tell"}
CONDITION = re.compile(r"(?P<word>[a-z_]+)(?::(?P<percent>\d+(?:\.\d+)?)%)?")


@dataclass(frozen=True)
class VerdictCondition:
    """A verdict, and how large the difference must be at least."""

    word: str
    """of the verdict"""
    share: float = 0.0
    """0.03: a candidate that takes 1.03 times as long is slower by as much; of faster the same"""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises `UserError` for what is no condition."""
        match = CONDITION.fullmatch(text)
        if match is None or match["word"] not in WORDS:
            word = re.split(r"[:\s]", text)[0]
            near = difflib.get_close_matches(word, WORDS, n=1)
            hint = f"did you mean {near[0]}? " if near and near[0] != word else ""
            raise UserError(f"`fail_if` {text!r}: {hint}Write slower, slower:3%, faster, cant_tell")
        if match["percent"] and match["word"] not in ("slower", "faster"):
            raise UserError(f"`fail_if` {text!r}: only slower and faster have a size")
        return cls(WORDS[match["word"]], float(match["percent"] or 0) / 100)

    def holds(self, word: str, speedup: float) -> bool:
        """Return whether a verdict meets the condition.

        Args:
            speedup: time of the baseline over that of the candidate.
        """
        size = 1 / speedup - 1 if self.word == "slower" else speedup - 1
        return word == self.word and (not self.share or size >= self.share)

    def __str__(self) -> str:
        return f"{self.word} by at least {self.share:.3g}" if self.share else self.word
