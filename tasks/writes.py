"""Tasks whose models go on with a text or write one, and the models that do: by these protocols
they are asked.

A task of this kind knows texts; a model knows tokens, and how the next is chosen.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, runtime_checkable

from tasks.base import Batch, Tensors

if TYPE_CHECKING:
    import numpy as np


class WritesTokens(Protocol):
    """What the `write` of a model is that goes on with prompts, token by token."""

    def __call__(
        self,
        prompts: Sequence[Sequence[int]],
        limits: Sequence[int],
        special: tuple[tuple[int, ...], int],
        ids: Sequence[int],
        sampling: Mapping[str, Any],
    ) -> "Iterator[np.ndarray]":
        """Yield the next token of each prompt, int64 [prompts], -1 where its text has ended.

        Args:
            prompts: token ids, one at least in each.
            limits: tokens that are written behind each prompt at most.
            special: the tokens that end a text, and the one that pads.
            ids: numbers of the prompts, from which with the seed all that is drawn follows.
            sampling: settings of a draw, by the names of transformers; none: the likeliest token.
        """
        ...


@runtime_checkable
class Writes(Protocol):
    """A task whose models go on with a text, which can be read while it is written."""

    def writing_as(self, **settings: Any) -> Self:
        """Return the task with some settings changed that say how a text goes on.

        Raises `UserError` for a value out of bounds, or settings that contradict each other.
        """
        ...

    def write(self, model: Any, batch: Batch) -> Iterator[Sequence[Any]]:
        """Yield what is written of each prompt in a batch, after every token: objects with `text`,
        as far as it is sure, and `finish_reason`, None until the text has ended."""
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
