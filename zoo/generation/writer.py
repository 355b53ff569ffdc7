"""What goes on with prompts by whatever generates: one batch of them, or one that they join and
leave. In numpy."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tasks.errors import UserError, spelled
from tasks.printing import print_lines
from zoo.generation.continuous import ContinuousBatch
from zoo.generation.decoding import (
    FOLLOWED,
    KNOWN,
    Decoding,
    SpecialTokens,
    asked_by,
    combined,
    ends_of,
    settings_of,
)
from zoo.generation.generate import generate
from zoo.generation.session import Ids, Session
from zoo.generation.speculative import Acceptance, Rewinding, speculate

OWN = "the model's generation_config.json"
MOST_ROWS = 64
"""Texts of the model's whole context that a cache has room for, unless more is asked for."""
MEMORY_SHARE = 0.25
"""Of the free memory that the cache of texts takes by itself: it has room for tokens to come, is
copied, layer by layer, when that is full, and its reader has other needs."""


class TokenWriter:
    """Goes on with prompts; satisfies `tasks.writes.WritesTokens`. Subclasses say what runs."""

    def __init__(self, context: int) -> None:
        """Take the most tokens that the model sees at once."""
        self.context = context
        self.draft: TokenWriter | None = None
        """a smaller model that guesses tokens ahead (`zoo.generation.speculative`)"""
        self.acceptance = Acceptance()
        """what came of its guesses"""
        self._is_told = False

    def own_config(self) -> Mapping[str, Any]:
        """Return the fields of the model's generation config."""
        raise NotImplementedError

    def make_runner(self, special_tokens: SpecialTokens, decoding: Decoding) -> Rewinding:
        """Return what generates, with these special tokens; it starts with numpy's arrays
        `input_ids` and `attention_mask`."""
        raise NotImplementedError

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
        settings: Mapping[str, Any],
    ) -> Iterator[Ids]:
        """Yield the next token of each prompt; see `tasks.writes.WritesTokens`.

        What the settings leave open, the model's generation config decides, and a line on standard
        error says so; the tokens that end a text there, end it too.
        """
        config = asked_by(self.own_config())
        tokens = self._special_tokens(config, special)
        decoding = self._decoding(config, settings, max(limits))
        inputs = left_padded(prompts, tokens.pad)
        runner = self.make_runner(tokens, decoding)
        if self.draft is None:
            columns = generate(runner, inputs, decoding, ids, limits)
        else:
            if decoding.num_beams > 1:
                raise UserError(
                    f"`draft` guesses one text, and `num_beams` {decoding.num_beams} are several: "
                    "leave one of them away"
                )
            draft = self.draft.make_runner(tokens, decoding)
            columns = speculate(runner, draft, inputs, decoding, ids, limits, self.acceptance)
        for column in columns:
            yield np.where(np.isin(column, tokens.eos), -1, column)

    def _special_tokens(
        self, config: Mapping[str, Any], special: tuple[tuple[int, ...], int]
    ) -> SpecialTokens:
        ends, pad = special
        return SpecialTokens(
            eos=(*ends, *ends_of(config), pad),  # a model that pads has ended the text
            pad=pad,
            suppress_tokens=tuple(config.get("suppress_tokens", ())),
            begin_suppress_tokens=tuple(config.get("begin_suppress_tokens", ())),
        )

    def _decoding(
        self, config: Mapping[str, Any], settings: Mapping[str, Any], longest: int
    ) -> Decoding:
        """Return how tokens are chosen, and say once what of it the model's config decides."""
        own = settings_of(config)
        asked = combined(own, settings)
        if not self._is_told:
            self._is_told = True
            followed = {name: own[name] for name in own if name in asked and name not in settings}
            strange = {name: config[name] for name in sorted(set(config) - KNOWN - FOLLOWED)}
            if followed:
                likeliest = "; `temperature` 0 takes the likeliest token"
                _tell(f"as {OWN} says: {_shown(followed)}" + likeliest * ("do_sample" in followed))
            if strange:
                _tell(f"{OWN} asks for {_shown(strange)}, which is not known here: not followed")
        if "min_new_tokens" in asked:  # the context may leave less room than is asked for
            asked["min_new_tokens"] = min(asked["min_new_tokens"], longest)
        return Decoding(max_new_tokens=longest, **asked)

    def decoding(self, settings: Mapping[str, Any], longest: int) -> Decoding:
        """Return how the tokens of a text are chosen, so many at most: as the settings say, and
        what they leave open as the model's generation config does."""
        return self._decoding(asked_by(self.own_config()), settings, longest)

    def continuous(
        self,
        special: tuple[tuple[int, ...], int],
        cache_tokens: int | None,
        longest: int | None = None,
    ) -> ContinuousBatch:
        """Return an empty batch in which texts are written beside each other.

        Args:
            special: see `tasks.writes.WritesTokens`.
            cache_tokens: rows times the longest of them in the cache; by default as many as
                `MOST_ROWS` of the whole context, or `MEMORY_SHARE` of the memory has room for.
            longest: tokens of a prompt and its text at most, where that is less than the context.

        Raises `UserError` for a model whose rows can't be joined, and a cache that does not hold
        its context.
        """
        tokens = self._special_tokens(asked_by(self.own_config()), special)
        runner = self.make_runner(tokens, Decoding())
        session = runner.start(left_padded([[tokens.pad]], tokens.pad))
        bytes_per_token = self.cache_bytes(session)
        context = min(self.context, longest or self.context)
        if cache_tokens is None:
            room = int(MEMORY_SHARE * self.available_memory()) // bytes_per_token
            cache_tokens = max(context, min(MOST_ROWS * context, room))
        if cache_tokens < context:
            raise UserError(
                f"`cache_tokens` {cache_tokens:,} are less than the {context:,} that this "
                "model sees at once"
            )

        def to_inputs(prompts: Sequence[Sequence[int]]) -> Mapping[str, Any]:
            return left_padded(prompts, tokens.pad)

        return ContinuousBatch(runner, to_inputs, cache_tokens)


def _tell(line: str) -> None:
    print_lines(spelled(line), file=sys.stderr)


def _shown(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


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
