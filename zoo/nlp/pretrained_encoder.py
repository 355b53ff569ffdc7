"""The network of bert_cls: a pretrained encoder out of transformers, with a new head for the
task."""

from typing import TYPE_CHECKING, Any

from tasks.errors import UserError
from zoo import weights
from zoo.loading import (
    Unreadable,
    load_config,
    load_model,
    load_pretrained,
    load_tokenizer,
    new_model,
)

if TYPE_CHECKING:
    from pathlib import Path

    import datasets
    from torch import nn

    from tasks.base import Task
    from zoo.nlp.bert_cls import Options

FALLBACK_LENGTH = 512


def make_processor(
    options: "Options", task: "Task", examples: "datasets.DatasetDict", entry: Any
) -> Any:
    """The tokenizer that belongs to the weights.

    Raises `UserError` where the weights are not at hand or lie there without it.
    """
    tokenizer = load_tokenizer(weights.find(options.model, entry.presets).folder)
    if not tokenizer.is_fast:
        raise UserError(f"{options.model} has no fast tokenizer (tokenizer.json), which is needed")
    return tokenizer


def longest(options: "Options", processor: Any, entry: Any) -> int:
    """Longest input of the model in tokens."""
    found = weights.find(options.model, entry.presets)
    return longest_of(load_config(found.folder), processor)


def longest_of(config: Any, tokenizer: Any) -> int:
    """Longest input in tokens of a model with this configuration."""
    positions: int = getattr(config, "max_position_embeddings", FALLBACK_LENGTH)
    if config.model_type in ("roberta", "xlm-roberta", "camembert"):
        positions -= 2  # their positions begin behind the padding index
    stated: int = tokenizer.model_max_length
    return min(positions, stated)


def make(
    options: "Options", task: "Task", processor: Any, entry: Any
) -> tuple["nn.Module", dict[str, Any]]:
    """The model in fp32 with a new head, and where its weights came from.

    The head (or all, `from_scratch`) is drawn from torch's global random state; seed it first.

    Raises `UserError` where the weights are not at hand or are of no encoder with a classification
    head.
    """
    from transformers import AutoModelForSequenceClassification

    found = weights.find(options.model, entry.presets)
    try:
        if options.from_scratch:
            config = load_config(found.folder, **task.model_config())
            new = new_model(AutoModelForSequenceClassification, config)
            return new, {"model": None, "license": None, "shape": options.model}
        model = load_pretrained(
            AutoModelForSequenceClassification,
            found.folder,
            new_head=True,
            **task.model_config(),
        )
    except Unreadable as error:
        raise UserError(
            f"{options.model} has no classification head in transformers: {error.reason}"
        ) from None
    return model, found.source(options.model)


def speed_up(model: Any, train: Any) -> None:
    """The faster but equal training code; `train` are the features whose tokens the embedding is
    cut to, if it is to be."""
    from zoo.nlp.fast_encoder import speed_up as speed_up_encoder

    speed_up_encoder(model, None if train is None else train.used_ids())


def load(folder: "Path") -> tuple["nn.Module", Any]:
    """The model and tokenizer of a checkpoint, as plain transformers loads them."""
    from transformers import AutoModelForSequenceClassification

    return load_model(AutoModelForSequenceClassification, folder), load_tokenizer(folder)
