"""A masked language model whose vocabulary is computed at the tokens that are to be guessed only.

A vocabulary of 8,000 costs a small encoder two fifths of its multiplications, one of 30,000 more
than all its layers; six in seven tokens are not guessed. Weights, names and configuration stay as
they are.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from tasks.nlp.masked_lm import ONLY_PREDICTED

HEADS = {
    "bert": "cls",
    "roberta": "lm_head",
    "xlm-roberta": "lm_head",
    "camembert": "lm_head",
    "distilbert": "vocab_transform",
    "modernbert": "head",
}
"""Of each kind of model the first module behind the encoder; it takes [b, seq, hidden]."""


def compute_only_predicted(model: Any) -> None:
    """Let a transformers model for masked language modelling take the argument `predicted`, in
    place.

    Models that are not in `HEADS` stay as they are; `tasks.nlp.masked_lm` copes with both.
    """
    _cast_tied(model)
    if model.config.model_type not in HEADS:
        return
    chosen = _OnlyPredicted(model)
    getattr(model, HEADS[model.config.model_type]).register_forward_pre_hook(chosen.select)
    model.forward = chosen
    setattr(model, ONLY_PREDICTED, True)


class _OnlyPredicted:
    """A replacement of a model's forward that computes only predicted positions; an object, so that
    a copy of the model calls the copy's weights."""

    def __init__(self, model: Any) -> None:
        self.plain = model.forward
        self.places: Tensor | None = None  # while a call that has them runs

    def __call__(self, *arguments: Any, predicted: Tensor | None = None, **keywords: Any) -> Any:
        self.places = predicted
        try:
            return self.plain(*arguments, **keywords)
        finally:
            self.places = None

    def select(self, module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Return the head's arguments with the states [b, seq, hidden] reduced to the predicted
        positions."""
        if self.places is None:
            return None
        hidden, *rest = arguments
        return (hidden.flatten(0, 1)[self.places], *rest)


def _cast_tied(model: Any) -> None:
    """Make the output layer compute in the dtype of its input, in place.

    It shares its weight with the embedding, which stays fp32 where the rest is bf16.
    """
    output = model.get_output_embeddings()
    if not isinstance(output, nn.Linear):
        return

    output.forward = _CastTied(output)  # type: ignore[method-assign,assignment]


class _CastTied:
    """A replacement of an output layer's forward; an object, as `_OnlyPredicted` is."""

    def __init__(self, layer: nn.Linear) -> None:
        self.layer = layer

    def __call__(self, hidden: Tensor) -> Tensor:
        layer = self.layer
        bias = None if layer.bias is None else layer.bias.to(hidden.dtype)
        return F.linear(hidden, layer.weight.to(hidden.dtype), bias)
