"""How a text is gone on with: what a user asks for, and the text as it grows token by token."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from tasks.bounds import Bounded, Bounds, Count, NotNegative, Seed
from tasks.errors import UserError
from tasks.writes import Reason

UpToOne = Annotated[float, Bounds(0, 1, above=True)]

INCOMPLETE = "\ufffd"
"""What a decoder puts in the place of bytes that are no character yet."""


@dataclass(frozen=True)
class WritingArgs(Bounded):
    """How a text goes on. The likeliest token comes next, unless one of the flags of a draw is
    given."""

    max_new_tokens: Count = 128
    """tokens that are written at most; the model's context ends a text as well"""
    temperature: NotNegative | None = None
    """draw each token; logits are divided by it, so that less than 1 sharpens their probabilities;
    0 takes the likeliest"""
    top_p: UpToOne | None = None
    """draw among the likeliest tokens whose probabilities together reach it"""
    stop: tuple[str, ...] = ()
    """texts that end what is written, and are left out of it"""
    seed: Seed | None = None
    """of a draw (default 0): the same seed and prompt give the same text, in whatever batch"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if "" in self.stop:
            raise UserError("`stop` has an empty text, which would end every text at once")


@dataclass(frozen=True)
class Writing(WritingArgs):
    """How a text goes on, with `top_k`, which is a flag of `predict` for every model."""

    top_k: Count | None = None
    """draw among so many of the likeliest tokens"""

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [name for name in ("top_k", "top_p") if getattr(self, name) is not None]
        if self.temperature == 0 and given:
            raise UserError(
                f"`temperature` 0 takes the likeliest token, and `{given[0]}` is of a draw: leave "
                "one of them away"
            )

    @property
    def sampling(self) -> dict[str, Any]:
        """Return the fields of a `Decoding` that differ from greedy decoding."""
        asked = (self.temperature, self.top_k, self.top_p, self.seed)
        if self.temperature == 0 or all(one is None for one in asked):
            return {}
        found = {
            "temperature": self.temperature,
            "top_k": self.top_k,
            "top_p": self.top_p,
            "seed": self.seed,
        }
        return {"do_sample": True} | {k: v for k, v in found.items() if v is not None}


@dataclass(frozen=True)
class Continuation:
    """The text that goes on behind a prompt."""

    text: str
    finish_reason: Reason


class GrowingText:
    """A text that is written token by token."""

    def __init__(
        self, decode: Callable[[Sequence[int]], str], stop: Sequence[str], limit: int
    ) -> None:
        """
        Args:
            decode: the text of token ids.
            stop: texts that end it, and are no part of it.
            limit: tokens at most.
        """
        self.finish_reason: Reason | None = None
        self._decode, self._stop, self._limit = decode, tuple(stop), limit
        self._ids: list[int] = []
        self._whole = ""

    @property
    def text(self) -> str:
        """Return the text as far as it is sure, which never changes: bytes that are no character
        yet, and what a text of `stop` may begin with, are held back until the next tokens tell."""
        if self.finish_reason is not None:
            return self._whole
        sure = self._decode(self._ids).rstrip(INCOMPLETE)
        return sure[: len(sure) - _held(sure, self._stop)]

    def add(self, token: int | None) -> None:
        """Take the next token; None: the model has ended the text. One that has ended stays."""
        if self.finish_reason is not None:
            return
        if token is None:
            self._end("stop")
            return
        self._ids.append(token)
        text = self._decode(self._ids) if self._stop else ""
        ends = [place for stop in self._stop if (place := text.find(stop)) >= 0]
        if ends:
            self._whole, self.finish_reason = text[: min(ends)], "stop"
        elif len(self._ids) >= self._limit:
            self._end("length")

    def _end(self, reason: Reason) -> None:
        self._whole, self.finish_reason = self._decode(self._ids), reason


def _held(text: str, stop: Sequence[str]) -> int:
    """Return how many characters at the end of a text are the beginning of a text of `stop`."""
    most = min(len(text), max(map(len, stop), default=1) - 1)
    for size in range(most, 0, -1):
        if any(one.startswith(text[-size:]) for one in stop):
            return size
    return 0


def draw_number(ids: Sequence[int]) -> int:
    """Return a number of a prompt for draws, which differ from prompt to prompt."""
    digest = hashlib.blake2b(" ".join(map(str, ids)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
