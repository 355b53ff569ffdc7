"""How a text is gone on with: what a user asks for, and the text as it grows token by token."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Annotated, Any, Self

from tasks.bounds import (
    Bounded,
    Bounds,
    Count,
    CountOrZero,
    NotNegative,
    Positive,
    Seed,
)
from tasks.errors import UserError
from tasks.writes import Exponent, Reason

UpToOne = Annotated[float, Bounds(0, 1, above=True)]

INCOMPLETE = "\ufffd"
"""What a decoder puts in the place of bytes that are no character yet."""


@dataclass(frozen=True)
class WritingArgs(Bounded):
    """How a text goes on. The likeliest token comes next, unless one of the flags of a draw is
    given, or the model's generation_config.json asks for something else."""

    max_new_tokens: Count = 128
    """tokens that are written at most; the model's context ends a text as well"""
    min_new_tokens: CountOrZero | None = None
    """tokens before which the model does not end a text; one of stop does"""
    temperature: NotNegative | None = None
    """draw each token; logits are divided by it, so that less than 1 sharpens their probabilities;
    0 takes the likeliest"""
    top_p: UpToOne | None = None
    """draw among the likeliest tokens whose probabilities together reach it"""
    num_beams: Count | None = None
    """texts that are kept at once, of which the one with the best score is given; no draws"""
    length_penalty: Exponent | None = None
    """of beams: scores are divided by the length to this power (1 by default), so that more than 0
    favours long texts"""
    repetition_penalty: Positive | None = None
    """more than 1: tokens that prompt and text have already become less likely"""
    no_repeat_ngram_size: CountOrZero | None = None
    """no so many tokens come twice in a row; 0: they may"""
    stop: tuple[str, ...] = ()
    """texts that end what is written, and are left out of it; of beams, the best text is cut"""
    regex: str | None = None
    """regular expression that the whole text matches; with the package llguidance"""
    json_schema: str | None = None
    """JSON schema that the text matches: a file, or the schema itself; with the package
    llguidance"""
    seed: Seed | None = None
    """of a draw (default 0): the same seed and prompt give the same text, in whatever batch"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if "" in self.stop:
            raise UserError("`stop` has an empty text, which would end every text at once")
        if (self.min_new_tokens or 0) > self.max_new_tokens:
            raise UserError(
                f"`min_new_tokens` {self.min_new_tokens} is more than `max_new_tokens` "
                f"{self.max_new_tokens}"
            )


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
        if (self.num_beams or 1) > 1 and self._of_a_draw and self.temperature != 0:
            raise UserError(
                f"`{next(iter(self._of_a_draw))}` is of a draw, and `num_beams` {self.num_beams} "
                "draw nothing: leave one of them away"
            )

    @property
    def _of_a_draw(self) -> dict[str, Any]:
        names = ("temperature", "top_k", "top_p", "seed")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    @property
    def settings(self) -> dict[str, Any]:
        """Return what is asked for as fields of a `Decoding`; what is left open is the model's."""
        names = ("num_beams", "length_penalty", "repetition_penalty", "no_repeat_ngram_size")
        found = {name: getattr(self, name) for name in (*names, "min_new_tokens")}
        found = {name: value for name, value in found.items() if value is not None}
        if self.temperature == 0:
            return found | {"do_sample": False}
        return found | ({"do_sample": True} | self._of_a_draw if self._of_a_draw else {})

    def settings_for(self, tokenizer: Any) -> dict[str, Any]:
        """Return `settings`, and what a text of this tokenizer has to match.

        Raises `UserError` as `tasks.nlp.constrained` does.
        """
        if self.regex is None and self.json_schema is None:
            return self.settings
        from tasks.nlp.constrained import Constraint, grammar_of

        grammar = grammar_of(self.regex, self.json_schema)
        assert grammar is not None, "one of them is given"
        return self.settings | {"constraint": Constraint(grammar, tokenizer)}

    def changed(self, settings: Mapping[str, Any]) -> Self:
        """Return a copy with some settings changed.

        Raises `UserError` for one that is not known, out of bounds, or contradicts another.
        """
        known = [each.name for each in fields(self)]
        if unknown := next((name for name in settings if name not in known), None):
            raise UserError(
                f"no setting of a text is called {unknown!r}", hint=f"there are {', '.join(known)}"
            )
        stop = settings.get("stop", self.stop)
        stop = (stop,) if isinstance(stop, str) else tuple(stop)
        schema = settings.get("json_schema", self.json_schema)
        schema = json.dumps(schema) if isinstance(schema, Mapping) else schema
        return replace(self, **{**settings, "stop": stop, "json_schema": schema})


@dataclass(frozen=True)
class Continuation:
    """The text that goes on behind a prompt."""

    text: str
    finish_reason: Reason


Decode = Callable[[Sequence[int]], str]
"""Gives the text of token ids."""


def behind(token: int, decode: Decode) -> Decode:
    """Return a `decode` for what stands behind a token.

    Some tokenizers (SentencePiece's, as Llama 2 has it) leave out the blank before the first word
    of what they decode, as before that of a text; behind another word it is a part of the text.
    """

    @cache
    def blank(first: int) -> str:
        both, alone = decode([token, first]), (decode([token]), decode([first]))
        return " " * (both == " ".join(alone))

    def decode_behind(ids: Sequence[int]) -> str:
        return blank(ids[0]) + decode(ids) if ids else ""

    return decode_behind


class GrowingText:
    """A text that is written token by token."""

    def __init__(self, decode: Decode, stop: Sequence[str], limit: int) -> None:
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
        self._read = ""
        """the text up to the border, which ends with whole characters"""
        self._before, self._border = 0, 0
        """tokens before the border before, and before the border"""

    @property
    def text(self) -> str:
        """Return the text as far as it is sure, which never changes: bytes that are no character
        yet, and what a text of `stop` may begin with, are held back until the next tokens tell."""
        if self.finish_reason is not None:
            return self._whole
        sure = self._grown().rstrip(INCOMPLETE)
        return sure[: len(sure) - _held(sure, self._stop)]

    def add(self, token: int | None) -> None:
        """Take the next token; None: the model has ended the text. One that has ended stays."""
        if self.finish_reason is not None:
            return
        if token is None:
            self._end("stop")
            return
        self._ids.append(token)
        begin = len(self._read) - max(map(len, self._stop), default=0)  # what is new begins there
        text = self._grown() if self._stop else ""
        ends = [place for stop in self._stop if (place := text.find(stop, max(0, begin))) >= 0]
        if ends:
            self._whole, self.finish_reason = text[: min(ends)], "stop"
        elif len(self._ids) >= self._limit:
            self._end("length")

    def _grown(self) -> str:
        """Return the text so far.

        Only the tokens behind the border before are decoded: of a long text all of them again at
        each token would take a time that grows with its square. How the first of a text is decoded
        may differ, so what is new is told beside the tokens before it.
        """
        before = self._decode(self._ids[self._before : self._border])
        now = self._decode(self._ids[self._before :])
        if not now.startswith(before):
            return self._decode(self._ids)
        text = self._read + now[len(before) :]
        if len(now) > len(before) and not now.endswith(INCOMPLETE):
            self._read, self._before, self._border = text, self._border, len(self._ids)
        return text

    def _end(self, reason: Reason) -> None:
        self._whole, self.finish_reason = self._decode(self._ids), reason


def _held(text: str, stop: Sequence[str]) -> int:
    """Return how many characters at the end of a text are the beginning of a text of `stop`."""
    most = min(len(text), max(map(len, stop), default=1) - 1)
    for size in range(most, 0, -1):
        if any(one.startswith(text[-size:]) for one in stop):
            return size
    return 0
