"""Texts of many requests in one batch that they join and leave between two tokens: in numpy.

Continuous batching (Yu et al. 2022, "Orca: A Distributed Serving System for Transformer-Based
Generative Models"): a text that has ended makes room at once, and no request waits for the texts
before it to end. Each has a decoding of its own, and is the text that it is alone.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.errors import UserError
from zoo.generation.decoding import Decoding
from zoo.generation.generate import Chooser
from zoo.generation.session import Generative, Session

PROMPT_TOKENS = 256
"""Of new requests that are read in one step, padding included: a longer prompt is read in parts, so
that texts that are being written wait for one part at most."""


@dataclass(eq=False)
class Request:
    """A text that is to be written."""

    prompt: Sequence[int]
    """token ids, one at least"""
    decoding: Decoding
    number: int = 0
    """from which with the seed all that is drawn follows"""

    @property
    def longest(self) -> int:
        """The tokens that its cache may come to hold."""
        return len(self.prompt) + self.decoding.max_new_tokens


@dataclass(frozen=True)
class Written:
    """What a step has added to the text of a request."""

    request: Request
    token: int
    is_end: bool
    """whether it ends the text, and is no part of it"""
    is_last: bool
    fault: UserError | None = None
    """why the text can't go on; `token` is none then"""


class _Row:
    """A request whose prompt was read, and how far its text has come."""

    def __init__(self, request: Request, runner: Generative, vocabulary: int) -> None:
        self.request, self.tokens = request, list[int]()
        prompt = np.array(request.prompt, np.int64)
        self._choose = Chooser(
            runner.special_tokens, request.decoding, vocabulary, [prompt], [request.number]
        )

    def choose(self, scores: Any) -> Written:
        """Take the next token by scores float32 [1, vocabulary]. A constraint that can't be
        followed any further ends the text, and no other."""
        try:
            token = int(self._choose(scores, np.array([self.tokens], np.int64))[0])
        except UserError as error:
            return Written(self.request, -1, is_end=True, is_last=True, fault=error)
        if token in self._choose.ends:
            return Written(self.request, token, is_end=True, is_last=True)
        self.tokens.append(token)
        is_last = len(self.tokens) == self.request.decoding.max_new_tokens
        return Written(self.request, token, False, is_last)


class ContinuousBatch:
    """Writes the texts of requests, each step one token of every text; see the module."""

    def __init__(
        self,
        runner: Generative,
        to_inputs: Callable[[Sequence[Sequence[int]]], Mapping[str, Any]],
        cache_tokens: int,
        prompt_tokens: int = PROMPT_TOKENS,
    ) -> None:
        """
        Args:
            to_inputs: the inputs that `runner.start` takes, of prompts as token ids.
            cache_tokens: rows times the longest of them that the cache may come to, which decides
                how many requests run; the others wait, first in, first out.
            prompt_tokens: see `PROMPT_TOKENS`.
        """
        self.cache_tokens = cache_tokens
        self._runner, self._to_inputs, self._prompt_tokens = runner, to_inputs, prompt_tokens
        self._waiting: deque[Request] = deque()
        self._dropped: set[Request] = set()
        self._session: Session | None = None
        self._rows: list[_Row] = []
        self._reading: tuple[Request, Session, int] | None = None
        """a long prompt, its session, and how many of its tokens were read"""

    @property
    def running(self) -> int:
        """Return how many texts are being written."""
        return len(self._rows)

    @property
    def waiting(self) -> int:
        """Return how many requests have no token yet."""
        return len(self._waiting) + (self._reading is not None)

    @property
    def cached_tokens(self) -> int:
        """Return the rows of the cache times its length, padding included."""
        lengths = [len(row.request.prompt) + len(row.tokens) for row in self._rows]
        return len(lengths) * max(lengths, default=0)

    def add(self, request: Request) -> None:
        """Let a request wait for its turn.

        Raises `UserError` for one that the cache can't hold, and one that asks for beams.
        """
        if request.decoding.num_beams > 1:
            raise UserError("`num_beams`: one text is kept of each request here")
        if request.longest > self.cache_tokens:
            raise UserError(
                f"the prompt and what may be written behind it are {request.longest:,} tokens, and "
                f"`cache_tokens` {self.cache_tokens:,}",
                hint="shorten the prompt, or give a smaller `max_new_tokens`",
            )
        self._waiting.append(request)

    def drop(self, request: Request) -> None:
        """Write no more for a request, wherever it is; one that has ended stays so."""
        self._dropped.add(request)

    def clear(self) -> None:
        """Forget all requests, as after a step that failed."""
        self._waiting.clear()
        self._dropped.clear()
        self._session, self._rows, self._reading = None, [], None

    def step(self) -> list[Written]:
        """Return the next token of each text: of those that run, then of those that have joined."""
        self._leave_out_dropped()
        written = []
        if self._session is not None:
            tokens = np.array([[row.tokens[-1]] for row in self._rows], np.int64)
            scores = self._runner.step(self._session, tokens)[:, -1]
            written = _chosen(self._rows, scores)
            self._keep([not one.is_last for one in written])
        for requests, session in self._read():
            rows = [_Row(one, self._runner, session.logits.shape[-1]) for one in requests]
            first = _chosen(rows, session.logits)
            self._join(rows, session, [not one.is_last for one in first])
            written += first
        return written

    def _leave_out_dropped(self) -> None:
        if not self._dropped:
            return
        self._waiting = deque(one for one in self._waiting if one not in self._dropped)
        if self._reading is not None and self._reading[0] in self._dropped:
            self._reading = None
        self._keep([row.request not in self._dropped for row in self._rows])
        self._dropped.clear()

    def _keep(self, kept: Sequence[bool]) -> None:
        """Let the rows go that are not kept."""
        if all(kept):
            return
        self._rows = [row for row, stays in zip(self._rows, kept, strict=True) if stays]
        if not self._rows:
            self._session = None
        elif self._session is not None:
            self._runner.reorder(self._session, np.flatnonzero(kept))

    def _join(self, rows: Sequence[_Row], session: Session, kept: Sequence[bool]) -> None:
        """Take rows of another session in, but for those that have ended with their first token."""
        if not any(kept):
            return
        if not all(kept):
            self._runner.reorder(session, np.flatnonzero(kept))
        if self._session is None:
            self._session = session
        else:
            self._runner.join(self._session, session)
        self._rows += [row for row, stays in zip(rows, kept, strict=True) if stays]

    def _read(self) -> list[tuple[list[Request], Session]]:
        """Read prompts, no more than `prompt_tokens` in one step; return those that were read to
        their end, with their session."""
        if self._reading is None:
            requests = self._next()
            if not requests:
                return []
            most = self._prompt_tokens
            heads = [one.prompt[:most] for one in requests]  # of one alone it may be the beginning
            session = self._runner.start(self._to_inputs(heads))
            if len(requests) > 1 or len(requests[0].prompt) <= most:
                return [(requests, session)]
            self._reading = requests[0], session, most
            return []
        request, session, begin = self._reading
        end = begin + self._prompt_tokens
        tokens = np.array([request.prompt[begin:end]], np.int64)
        session.logits = self._runner.step(session, tokens)[:, -1]
        is_whole = end >= len(request.prompt)
        self._reading = None if is_whole else (request, session, end)
        return [([request], session)] if is_whole else []

    def _next(self) -> list[Request]:
        """Take the requests that have waited longest, for which there is room in the cache, and
        whose prompts can be read in one step; the first of them may be longer than that."""
        taken: list[Request] = []
        longest = max((row.request.longest for row in self._rows), default=0)
        prompt = 0
        while self._waiting:
            one = self._waiting[0]
            longest, prompt = max(longest, one.longest), max(prompt, len(one.prompt))
            if (len(self._rows) + len(taken) + 1) * longest > self.cache_tokens:
                break
            if taken and (len(taken) + 1) * prompt > self._prompt_tokens:
                break
            taken.append(self._waiting.popleft())
        return taken


def _chosen(rows: Sequence[_Row], scores: Any) -> list[Written]:
    """Return the next token of each row by scores float32 [rows, vocabulary]."""
    return [row.choose(scores[i : i + 1]) for i, row in enumerate(rows)]
