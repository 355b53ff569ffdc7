"""A decoder that writes texts as one program for export, which runs the prompt and each token
behind it.

It takes the keys and values of the tokens before, none at first, and gives them back with those of
the new tokens, of which there may be any number: a prompt, one, or several that were guessed.
"""

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from tasks.base import OutputKind, Tensors
from tasks.errors import UserError
from zoo.runtimes.signature import Signature, TensorSpec
from zoo.runtimes.stages import BATCH, KEPT, MODEL, PAST, TOKENS, TOTAL, Stage

EXAMPLE_TOKENS, EXAMPLE_PAST = 3, 4
"""Sizes to trace with; what is 0 or 1 would be taken for a constant."""


class CachedDecoder(nn.Module):
    """The exported program, which computes the logits of tokens int64 [batch, tokens] that follow a
    cache."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.layers = int(model.config.num_hidden_layers)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, logits_to_keep: Tensor, **more: Tensor
    ) -> dict[str, Tensor]:
        """Return `logits` float32 [batch, kept, vocabulary], and `present_key_i` and
        `present_value_i` float32 [batch, heads, past + tokens, head size] of each layer.

        Args:
            attention_mask: int64 [batch, past + tokens], 0 where there is padding.
            logits_to_keep: int64 [kept], the places among the tokens whose logits are wanted: of a
                prompt the last one's, as those of a large vocabulary fill the memory.
            more: `past_key_i` and `past_value_i` of the previous tokens; `position_ids` int64
                [batch, tokens] of a network that takes them.
        """
        from transformers import DynamicCache

        layers = range(self.layers)
        cache = DynamicCache([(more[f"past_key_{i}"], more[f"past_value_{i}"]) for i in layers])
        places = {name: more[name] for name in ("position_ids",) if name in more}
        logits = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            past_key_values=cache,
            logits_to_keep=logits_to_keep,
            use_cache=True,
            **places,
        ).logits
        found = {"logits": logits}
        for i in layers:
            found[f"present_key_{i}"] = cache.layers[i].keys
            found[f"present_value_{i}"] = cache.layers[i].values
        return found


def causal_stages(model: Any, example: Tensors, longest: int) -> dict[str, Stage]:
    """Return a decoder of transformers as the one stage to export.

    Its layers of the kind Conv1D become linear ones, in place: a product of matrices each, which
    can be quantized, in place of two changes of shape around one.

    Args:
        example: a batch of the model's inputs, of two texts or more.
        longest: tokens that the model sees at once.

    Raises `UserError` where its keys and values are not kept as those of other decoders are.
    """
    _replace_conv1d(model)
    batch = len(example["input_ids"])
    past = _past(model, batch)
    given = {
        "input_ids": example["input_ids"].new_ones(batch, EXAMPLE_TOKENS),
        "attention_mask": example["input_ids"].new_ones(batch, EXAMPLE_PAST + EXAMPLE_TOKENS),
        "logits_to_keep": torch.tensor([0, EXAMPLE_TOKENS - 1]),
    }
    if "position_ids" in inspect.signature(model.forward).parameters:
        places = torch.arange(EXAMPLE_PAST, EXAMPLE_PAST + EXAMPLE_TOKENS)
        given["position_ids"] = places.repeat(batch, 1)
    dims: dict[str, tuple[str, ...]] = {
        "input_ids": (BATCH, TOKENS),
        "attention_mask": (BATCH, TOTAL),
        "logits_to_keep": (KEPT,),
        "position_ids": (BATCH, TOKENS),
    }
    ports = (
        *(TensorSpec(name, "int64", dims[name]) for name in given),
        *(
            TensorSpec(name, "float32", (BATCH, array.shape[1], PAST, array.shape[3]))
            for name, array in past.items()
        ),
    )
    presents = tuple(name.replace("past", "present") for name in past)
    kinds: dict[str, OutputKind] = {"logits": "logits"}
    kinds |= dict.fromkeys(presents, "hidden_state")
    limits: dict[str, tuple[int, int | None]] = {BATCH: (1, None), TOKENS: (1, longest)}
    limits |= {PAST: (0, None), KEPT: (1, longest)}
    signature = Signature(ports, ("logits", *presents), limits, kinds)
    return {MODEL: Stage(CachedDecoder(model).eval(), {**given, **past}, signature)}


def _past(model: Any, batch: int) -> dict[str, Tensor]:
    """Return a cache to trace with, of the sizes that the model gives it.

    Raises `UserError` where the model keeps no keys and values, or not all of them.
    """
    from transformers import DynamicCache

    tokens = torch.ones(batch, EXAMPLE_PAST, dtype=torch.long)
    with torch.no_grad():
        cache = model(input_ids=tokens, use_cache=True).get("past_key_values")
    if not isinstance(cache, DynamicCache):
        raise UserError(
            f"a {model.config.model_type} keeps no keys and values as other decoders do, so it "
            "can't be exported: use `deployment` eager"
        )
    kept: dict[str, Tensor] = {}
    for i, layer in enumerate(cache.layers):
        kept |= {f"past_key_{i}": layer.keys, f"past_value_{i}": layer.values}
    return kept


def _replace_conv1d(model: nn.Module) -> None:
    """Replace the layers of GPT-2 that keep their weights the other way round, in place."""
    from transformers.pytorch_utils import Conv1D

    for parent in list(model.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, Conv1D):
                inputs, outputs = layer.weight.shape
                linear = nn.Linear(inputs, outputs)
                linear.weight = nn.Parameter(layer.weight.detach().T.contiguous())
                linear.bias = layer.bias
                setattr(parent, name, linear)
