"""What goes on with prompts by whatever generates: one batch of them, or one that they join and
leave. In numpy."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tasks.errors import UserError
from zoo.generation.continuous import ContinuousBatch
from zoo.generation.decoding import Decoding, SpecialTokens
from zoo.generation.generate import generate
from zoo.generation.session import Generative, Ids, Session

MOST_ROWS = 64
"""Texts of the model's whole context that a cache has room for, unless more is asked for."""
MEMORY_SHARE = 0.25
"""Of the free memory that the cache of texts takes by itself: each step copies it, layer by layer,
and its reader has other needs."""


class TokenWriter:
    """Goes on with prompts; satisfies `tasks.writes.WritesTokens`. Subclasses say what runs."""

    context: int
    """tokens that the model sees at once"""

    def make_runner(self, special_tokens: SpecialTokens, decoding: Decoding) -> Generative:
        """Return what generates, with these special tokens in place of the model's own."""
        raise NotImplementedError

    def inputs(self, prompts: Sequence[Sequence[int]], pad: int) -> Mapping[str, Any]:
        """Return what the runner starts with, of prompts padded on the left."""
        return left_padded(prompts, pad)

    def cache_bytes(self, session: Session) -> int:
        """Return the bytes of a session's keys and values."""
        raise NotImplementedError

    def available_memory(self) -> int:
        """Return how many bytes are free where the cache lies."""
        raise NotImplementedError

    def __call__(
        self,
        prompts: Sequence[Sequence[int]],
        limits: Sequence[int],
        special: tuple[tuple[int, ...], int],
        ids: Sequence[int],
        sampling: Mapping[str, Any],
    ) -> Iterator[Ids]:
        """Yield the next token of each prompt; see `tasks.writes.WritesTokens`."""
        decoding = Decoding(max_new_tokens=max(limits), **sampling)
        runner = self._runner(special, decoding)
        inputs = self.inputs(prompts, special[1])
        for column in generate(runner, inputs, decoding, ids, limits):
            yield np.where(np.isin(column, runner.special_tokens.eos), -1, column)

    def continuous(
        self, special: tuple[tuple[int, ...], int], cache_tokens: int | None
    ) -> ContinuousBatch:
        """Return an empty batch in which texts are written beside each other.

        Args:
            special: see `tasks.writes.WritesTokens`.
            cache_tokens: rows times the longest of them in the cache; by default as many as
                `MOST_ROWS` of the whole context, or `MEMORY_SHARE` of the memory has room for.

        Raises `UserError` for a model whose rows can't be joined, and a cache that does not hold
        its context.
        """
        runner = self._runner(special, Decoding())
        session = runner.start(self.inputs([[special[1]]], special[1]))
        bytes_per_token = self.cache_bytes(session)
        if cache_tokens is None:
            room = int(MEMORY_SHARE * self.available_memory()) // bytes_per_token
            cache_tokens = max(self.context, min(MOST_ROWS * self.context, room))
        if cache_tokens < self.context:
            raise UserError(
                f"`cache_tokens` {cache_tokens:,} are less than the {self.context:,} that this "
                "model sees at once"
            )

        def to_inputs(prompts: Sequence[Sequence[int]]) -> Mapping[str, Any]:
            return self.inputs(prompts, special[1])

        return ContinuousBatch(runner, to_inputs, cache_tokens)

    def _runner(self, special: tuple[tuple[int, ...], int], decoding: Decoding) -> Generative:
        ends, pad = special
        tokens = SpecialTokens(eos=(*ends, pad), pad=pad)  # a model that pads has ended the text
        return self.make_runner(tokens, decoding)


def left_padded(prompts: Sequence[Sequence[int]], pad: int) -> dict[str, Ids]:
    """Return input_ids and attention_mask int64 [prompts, n] of prompts, each at the end of its
    row: what follows then stands in one column for all."""
    longest = max(map(len, prompts))
    ids = np.full((len(prompts), longest), pad, np.int64)
    mask = np.zeros_like(ids)
    for i, prompt in enumerate(prompts):
        ids[i, longest - len(prompt) :] = prompt
        mask[i, longest - len(prompt) :] = 1
    return {"input_ids": ids, "attention_mask": mask}
