"""Tasks whose models go on with a text or write one, and the models that do: by these protocols
they are asked.

A task of this kind knows texts; a model knows tokens, and how the next is chosen.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    Protocol,
    Self,
    runtime_checkable,
)

from tasks.base import Batch, Tensors
from tasks.bounds import Bounds

if TYPE_CHECKING:
    import numpy as np


Reason = Literal["stop", "length"]
"""Why a text ends: its end came, that of the document or a text of `stop`; or it is as long as it
may be."""

Exponent = Annotated[float, Bounds(-3, 10)]
"""Of the length by which the score of a text is divided: beyond it, length alone would decide, and
its power leaves the numbers that there are."""


class Matcher(Protocol):
    """Tells which tokens may follow a text, so that it can still match a constraint."""

    def allowed(self, tokens: Sequence[int]) -> "np.ndarray":
        """Return which tokens may follow those of a text: bool [n]; none from n on. A text is asked
        for again and again, with other tokens at its end."""
        ...


class Constraint(Protocol):
    """What texts have to match."""

    def start(self) -> Matcher:
        """Return a matcher for one text."""
        ...


class WritesTokens(Protocol):
    """What the `write` of a model is that goes on with prompts, token by token."""

    def __call__(
        self,
        prompts: Sequence[Sequence[int]],
        limits: Sequence[int],
        special: tuple[tuple[int, ...], int],
        ids: Sequence[int],
        settings: Mapping[str, Any],
    ) -> "Iterator[np.ndarray]":
        """Yield the next token of each prompt, int64 [prompts], -1 where its text has ended.

        Args:
            prompts: token ids, one at least in each.
            limits: tokens that are written behind each prompt at most.
            special: the tokens that end a text, and the one that pads.
            ids: numbers of the prompts, from which with the seed all that is drawn follows.
            settings: how tokens are chosen, by the names of transformers' `GenerationConfig`, and
                `constraint`, a `Constraint`; what they leave open the model decides.
        """
        ...


class Grows(Protocol):
    """A text that is written token by token."""

    @property
    def text(self) -> str:
        """The text as far as it is sure."""

    @property
    def finish_reason(self) -> Reason | None:
        """Why it has ended; None until it has."""

    def add(self, token: int | None) -> None:
        """Take the next token; None: the model has ended the text."""
        ...


@dataclass(frozen=True)
class Draft:
    """What is to be written behind one prompt."""

    prompt: Sequence[int]
    """token ids"""
    limit: int
    """tokens that are written at most"""
    number: int
    """from which with the seed all that is drawn follows"""
    text: Grows
    """takes the tokens as they come"""


@runtime_checkable
class Writes(Protocol):
    """A task whose models go on with a text, which can be read while it is written."""

    def special_tokens(self) -> tuple[tuple[int, ...], int]:
        """Return the tokens that end a text, and the one that pads."""
        ...

    def longest(self) -> int:
        """Return the tokens of a prompt and the text behind it at most."""
        ...

    def prompt_in(self, row: Mapping[str, Any]) -> str | None:
        """Return what a user would ask with a row of the examples, and not what follows; None where
        there is nothing."""
        ...

    def opening(self, row: Mapping[str, Any], new_tokens: int) -> tuple[str, str] | None:
        """Return a prompt out of a row of the examples, the beginning of a text or what is asked
        first, and the `new_tokens` that follow it there at most. None where nothing follows, or
        where the prompt leaves no room for so many."""
        ...

    def most_characters(self) -> int:
        """Return the characters of a prompt, or of what is said in a chat, at most: more are no
        prompt of so few tokens, which need not be counted to tell."""
        ...

    def writing_as(self, **settings: Any) -> Self:
        """Return the task with some settings changed that say how a text goes on.

        Raises `UserError` for a value out of bounds, or settings that contradict each other.
        """
        ...

    def write(self, model: Any, batch: Batch) -> Iterator[Sequence[Any]]:
        """Yield what is written of each prompt in a batch, after every token: objects with `text`,
        as far as it is sure, and `finish_reason`, None until the text has ended."""
        ...

    def as_it_stands(self) -> Self:
        """Return the task that takes a prompt for the beginning of a text, even where it was
        trained to take one for what somebody says in a chat."""
        ...

    def draft(self, prompt: Sequence[int]) -> Draft:
        """Return what is to be written behind a prompt, as the task's settings say."""
        ...

    def settings(self) -> Mapping[str, Any]:
        """Return how tokens are chosen (`WritesTokens`).

        Raises `UserError` for a constraint that can't be kept.
        """
        ...


class WritesTargets(Protocol):
    """What the `write_targets` of a model is that writes one text from another."""

    def __call__(self, sources: Tensors, limit: int, num_beams: int) -> Sequence[Sequence[int]]:
        """Return the tokens of what is written of each source, without special ones around it.

        Args:
            sources: input_ids and attention_mask int64 [b, tokens].
            limit: tokens of a text at most.
            num_beams: texts that are kept at once; 1 takes the likeliest token each time.
        """
        ...


@runtime_checkable
class HasNoPipeline(Protocol):
    """A task whose checkpoints transformers loads and runs, but by no pipeline."""

    auto_class: ClassVar[str]
    """The Auto class that loads them."""

    def plain_code(self, where: str, is_english: bool) -> tuple[str, list[str]]:
        """Return Python source that runs a checkpoint with transformers alone: what is imported of
        it, and lines.

        Args:
            where: the name of the checkpoint, as a literal.
            is_english: whether its data is in English.
        """
        ...


def unwrapped(model: Any) -> Any:
    """The model itself under torch.compile, DistributedDataParallel and adapters."""
    while True:
        if hasattr(model, "_orig_mod"):
            model = model._orig_mod
        elif type(model).__name__ == "DistributedDataParallel":
            model = model.module
        elif hasattr(model, "get_base_model"):
            model = model.get_base_model()
        else:
            return model


def written(
    task: Writes, write: WritesTokens, prompts: Sequence[Sequence[int]]
) -> Iterator[Sequence[Grows]]:
    """Yield what is written of each prompt in a batch, after every token; see `Writes.write`."""
    drafts = [task.draft(prompt) for prompt in prompts]
    limits, numbers = [one.limit for one in drafts], [one.number for one in drafts]
    texts = [one.text for one in drafts]
    for tokens in write(prompts, limits, task.special_tokens(), numbers, task.settings()):
        for text, token in zip(texts, tokens.tolist(), strict=True):
            text.add(token if token >= 0 else None)
        yield texts
        if all(text.finish_reason for text in texts):
            return
    for text in texts:  # all have ended with the last token
        text.add(None)
    yield texts
