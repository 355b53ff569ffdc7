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
    """Lets a transformers model for masked language modelling take `predicted`, in place.

    Models that are not in `HEADS` stay as they are; `tasks.nlp.masked_lm` copes with both.
    """
    _cast_tied(model)
    if model.config.model_type not in HEADS:
        return
    places: list[Tensor] = []
    head: nn.Module = getattr(model, HEADS[model.config.model_type])
    plain = model.forward

    def select(module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not places:
            return None
        hidden, *rest = arguments
        return (hidden.flatten(0, 1)[places[0]], *rest)

    def forward(*arguments: Any, predicted: Tensor | None = None, **keywords: Any) -> Any:
        if predicted is None:
            return plain(*arguments, **keywords)
        places.append(predicted)
        try:
            return plain(*arguments, **keywords)
        finally:
            places.clear()

    head.register_forward_pre_hook(select)
    model.forward = forward
    setattr(model, ONLY_PREDICTED, True)


def _cast_tied(model: Any) -> None:
    """Lets the output layer compute in the precision of what comes in.

    It shares its weight with the embedding, which stays fp32 where the rest is bf16.
    """
    output = model.get_output_embeddings()
    if not isinstance(output, nn.Linear):
        return

    def forward(hidden: Tensor) -> Tensor:
        bias = None if output.bias is None else output.bias.to(hidden.dtype)
        return F.linear(hidden, output.weight.to(hidden.dtype), bias)

    output.forward = forward  # type: ignore[method-assign,assignment]
