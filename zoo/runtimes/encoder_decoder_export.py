"""An encoder-decoder of transformers in two stages for export: an encoder that runs once an input,
and a decoder that runs once a token.

The keys and values of the decoder's cross attention depend on the input alone, so the encoder
computes them, once a text. The decoder takes the keys and values of the tokens before, none at
first, and gives them back with those of the new tokens.
"""

from typing import Any

import torch
from torch import Tensor, nn

from tasks.base import OutputKind, Tensors
from tasks.errors import UserError
from zoo.runtimes.signature import Signature, TensorSpec
from zoo.runtimes.stages import (
    BATCH,
    DECODER,
    ENCODER,
    ENCODER_MASK,
    PAST,
    PLACES,
    TOKENS,
    Stage,
)

EXAMPLE_TOKENS, EXAMPLE_PAST = 3, 2
OF_TOKENS = ("input_ids", "attention_mask")
"""Inputs of an encoder whose length varies; sounds have one."""


class Encoder(nn.Module):
    """The exported encoder, which computes what the decoder attends to."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encoder = model.get_encoder()
        self.attentions = nn.ModuleList(_cross_attentions(model))

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Return `last_hidden_state` float32 [batch, places, hidden], and for each layer of the
        decoder `cross_key_i` and `cross_value_i` float32 [batch, heads, places, head size].

        Args:
            inputs: sounds float32 [batch, bins, frames], or tokens and their mask int64 [batch,
                places].
        """
        hidden = self.encoder(**inputs).last_hidden_state
        found = {"last_hidden_state": hidden}
        for i, attention in enumerate(self.attentions):
            for name, project in zip(("key", "value"), _projections(attention), strict=True):
                heads = project(hidden).unflatten(-1, (-1, _head_size(attention)))
                found[f"cross_{name}_{i}"] = heads.transpose(1, 2)
        return found


class Decoder(nn.Module):
    """The exported decoder, which computes the logits of tokens int64 [batch, tokens] that follow a
    cache."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.layers = model, len(_cross_attentions(model))

    def forward(self, input_ids: Tensor, **given: Tensor) -> dict[str, Tensor]:
        """Return `logits` float32 [batch, tokens, vocabulary], and `present_key_i` and
        `present_value_i` float32 [batch, heads, past + tokens, head size].

        Args:
            given: `past_key_i` and `past_value_i` of the previous tokens, the encoder's
                `cross_key_i` and `cross_value_i`, and of sources that are padded
                `encoder_attention_mask` int64 [batch, places].
        """
        from transformers import DynamicCache, EncoderDecoderCache
        from transformers.modeling_outputs import BaseModelOutput

        layers = range(self.layers)
        past, cross = (
            DynamicCache([(given[f"{kind}_key_{i}"], given[f"{kind}_value_{i}"]) for i in layers])
            for kind in ("past", "cross")
        )
        # its shape alone is read: what the encoder computed of it lies in the cache
        hidden = given["cross_key_0"].transpose(1, 2).flatten(2)
        logits = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=hidden),
            attention_mask=given.get(ENCODER_MASK),
            decoder_input_ids=input_ids,
            past_key_values=EncoderDecoderCache(past, cross),
            use_cache=True,
        ).logits
        found = {"logits": logits}
        for i in layers:
            found[f"present_key_{i}"] = past.layers[i].keys
            found[f"present_value_{i}"] = past.layers[i].values
        return found


def encoder_decoder_stages(model: Any, example: Tensors, longest: int | None) -> dict[str, Stage]:
    """Return the encoder and decoder of a network as stages to export.

    Args:
        example: a batch of the model's inputs, of two samples or more.
        longest: tokens that the decoder has places for, and the encoder of a text; None: any.

    Raises `UserError` where the cross attention is not known here.
    """
    encoder, decoder = Encoder(model).eval(), Decoder(model).eval()
    inputs = {name: each for name, each in example.items() if name != "decoder_input_ids"}
    with torch.no_grad():
        read = encoder(**inputs)
    cross = {name: array for name, array in read.items() if name.startswith("cross_")}
    batch, heads, _, size = cross["cross_key_0"].shape
    past = {
        name.replace("cross", "past"): torch.zeros(batch, heads, EXAMPLE_PAST, size)
        for name in cross
    }
    given = {"input_ids": torch.zeros(batch, EXAMPLE_TOKENS, dtype=torch.long), **past, **cross}
    limits: dict[str, tuple[int, int | None]] = {BATCH: (1, None)}
    before = None if longest is None else longest - 1
    grows = {**limits, TOKENS: (1, longest), PAST: (0, before)}
    places: int | str = cross["cross_key_0"].shape[2]
    if "attention_mask" in inputs:
        places = PLACES
        limits[PLACES] = grows[PLACES] = (1, longest)
        given[ENCODER_MASK] = inputs["attention_mask"]
    dims = {
        "input_ids": (BATCH, TOKENS),
        ENCODER_MASK: (BATCH, PLACES),
        **dict.fromkeys(past, (BATCH, heads, PAST, size)),
        **dict.fromkeys(cross, (BATCH, heads, places, size)),
    }
    presents = tuple(name.replace("cross", "present") for name in cross)
    kinds: dict[str, OutputKind] = {"logits": "logits"}
    return {
        ENCODER: Stage(
            encoder,
            inputs,
            Signature(
                tuple(_of_encoder(name, array) for name, array in inputs.items()),
                tuple(read),
                limits,
                dict.fromkeys(read, "hidden_state"),
            ),
        ),
        DECODER: Stage(
            decoder,
            given,
            Signature(
                tuple(TensorSpec(name, _type(each), dims[name]) for name, each in given.items()),
                ("logits", *presents),
                grows,
                kinds | dict.fromkeys(presents, "hidden_state"),
            ),
        ),
    }


def _of_encoder(name: str, array: Tensor) -> TensorSpec:
    dims = (BATCH, PLACES) if name in OF_TOKENS else (BATCH, *array.shape[1:])
    return TensorSpec(name, _type(array), dims)


def _type(array: Tensor) -> str:
    return str(array.dtype).removeprefix("torch.")


def _cross_attentions(model: Any) -> list[Any]:
    """Return the cross attention of each layer of the decoder.

    Raises `UserError` where it has none that is known here.
    """
    decoder = model.get_decoder()
    if hasattr(decoder, "block"):  # as T5 calls its layers
        found = [getattr(block.layer[1], "EncDecAttention", None) for block in decoder.block]
    else:
        found = [getattr(layer, "encoder_attn", None) for layer in decoder.layers]
    if not found or None in found:
        raise UserError(
            f"a {model.config.model_type} keeps no keys and values of its input as others do, so "
            "it can't be exported: use `deployment` eager"
        )
    return found


def _projections(attention: Any) -> tuple[Any, Any]:
    """Return what makes the keys and the values of an attention."""
    if hasattr(attention, "k_proj"):
        return attention.k_proj, attention.v_proj
    return attention.k, attention.v


def _head_size(attention: Any) -> int:
    found = getattr(attention, "head_dim", None) or attention.key_value_proj_dim
    return int(found)
