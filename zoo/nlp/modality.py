"""What is particular to text when a model is exported, quantized or measured."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.base import Batch, Task
from zoo.model.loading import load_tokenizer
from zoo.nlp import fast_tokenizer

if TYPE_CHECKING:
    from torch import nn

    from zoo.runtimes.signature import Signature

METHODS = ("dynamic", "static")
"""Linear layers take both: dynamic loses less, static is faster where it holds."""

VARYING = "length"


def load_processor(folder: Path) -> Any:
    """The tokenizer of a checkpoint."""

    return load_tokenizer(folder)


def load_reader(folder: Path) -> Any:
    """What reads texts for a program that is no network: the tokenizer of a checkpoint, without
    transformers where that adds nothing."""
    return fast_tokenizer.load(folder)


def probe(task: Task, processor: Any) -> tuple[Batch, Batch]:
    """A small and a large batch, both with padding."""
    texts: tuple[str, ...] = (
        "it is",
        "a film that nobody needs",
        "a film that nobody needs, and that I loved",
    )
    if task.pipeline == "fill-mask":
        texts = tuple(f"{text} {processor.mask_token}" for text in texts)
    items: list[Any] = list(texts)
    if getattr(task, "columns", {}).get("text_pair"):
        items = [(text, text) for text in texts]  # pairs have inputs that single texts have not
    return tuple(  # type: ignore[return-value]
        task.collate(task.inputs(chosen, processor)) for chosen in (items[:2], items)
    )


def limits(task: Task, model: "nn.Module") -> tuple[int, int | None]:
    """Tokens, special ones counted."""
    longest: int = task.args.max_length  # type: ignore[attr-defined]
    return 1, longest


def draw(
    signature: "Signature", sizes: Mapping[str, int], model: "nn.Module", seed: int
) -> dict[str, np.ndarray]:
    """Random tokens; every row but the first is padded, to a length of its own."""
    rng = np.random.default_rng([seed, *sizes.values()])
    shape = (sizes["batch"], sizes[VARYING])
    ends = rng.integers(1, shape[1] + 1, shape[0])
    ends[0] = shape[1]
    mask = np.arange(shape[1]) < ends[:, None]
    vocabulary = int(model.config.vocab_size)  # type: ignore[union-attr, arg-type]
    padding = int(getattr(model.config, "pad_token_id", 0) or 0)
    ids = np.where(mask, rng.integers(0, vocabulary, shape), padding)
    drawn = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros(shape)}
    return {port.name: drawn[port.name].astype(port.dtype) for port in signature.inputs}
