"""Whisper in two stages for export: an encoder that runs once a sound, and a decoder that runs once
a token.

The keys and values of the decoder's cross attention depend on the sound alone, so the encoder
computes them, and no weight lies in both programs. The decoder takes the keys and values of the
tokens before, none at first, and gives them back with those of the new tokens.
"""

from typing import Any

import torch
from torch import Tensor, nn

from tasks.base import OutputKind, Tensors
from zoo.runtimes.signature import Signature, TensorSpec
from zoo.runtimes.stages import BATCH, PAST, TOKENS, Stage

EXAMPLE_TOKENS = 3


class Encoder(nn.Module):
    """The exported encoder, which computes what the decoder attends to from sounds float32 [batch,
    bins, frames]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encoder = model.model.encoder
        self.attentions = nn.ModuleList(layer.encoder_attn for layer in _layers(model))

    def forward(self, input_features: Tensor) -> dict[str, Tensor]:
        """Return `last_hidden_state` float32 [batch, places, hidden], and for each layer of the
        decoder `cross_key_i` and `cross_value_i` float32 [batch, heads, places, hidden / heads]."""
        hidden = self.encoder(input_features).last_hidden_state
        found = {"last_hidden_state": hidden}
        attention: Any
        for i, attention in enumerate(self.attentions):
            for name, project in (("key", attention.k_proj), ("value", attention.v_proj)):
                heads = project(hidden).unflatten(-1, (attention.num_heads, attention.head_dim))
                found[f"cross_{name}_{i}"] = heads.transpose(1, 2)
        return found


class Decoder(nn.Module):
    """The exported decoder, which computes the logits of tokens int64 [batch, tokens] that follow a
    cache."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.decoder, self.head = model.model.decoder, model.proj_out

    def forward(self, input_ids: Tensor, **cache: Tensor) -> dict[str, Tensor]:
        """Return `logits` float32 [batch, tokens, vocabulary], and `present_key_i` and
        `present_value_i` float32 [batch, heads, past + tokens, hidden / heads].

        Args:
            cache: `past_key_i` and `past_value_i` of the previous tokens, and the encoder's
                `cross_key_i` and `cross_value_i`.
        """
        from transformers import DynamicCache, EncoderDecoderCache

        layers = range(len(self.decoder.layers))
        past, cross = (
            DynamicCache([(cache[f"{kind}_key_{i}"], cache[f"{kind}_value_{i}"]) for i in layers])
            for kind in ("past", "cross")
        )
        hidden = self.decoder(
            input_ids=input_ids,
            # that it is there switches cross attention on; what it holds is read from the cache
            encoder_hidden_states=cache["cross_key_0"],
            past_key_values=EncoderDecoderCache(past, cross),
            use_cache=True,
        ).last_hidden_state
        found = {"logits": self.head(hidden)}
        for i in layers:
            found[f"present_key_{i}"] = past.layers[i].keys
            found[f"present_value_{i}"] = past.layers[i].values
        return found


def whisper_stages(model: Any, example: Tensors) -> dict[str, Stage]:
    """Return the encoder and decoder of a `WhisperForConditionalGeneration` as stages to export.

    Args:
        example: a batch of the model's inputs, of two sounds or more.
    """
    encoder, decoder = Encoder(model).eval(), Decoder(model).eval()
    features = example["input_features"]
    with torch.no_grad():
        heard = encoder(features)
    cross = {name: array for name, array in heard.items() if name.startswith("cross_")}
    batch, heads, _, size = cross["cross_key_0"].shape
    past = {name.replace("cross", "past"): torch.zeros(batch, heads, 2, size) for name in cross}
    ids = torch.zeros(batch, EXAMPLE_TOKENS, dtype=torch.long)
    longest = int(model.config.max_target_positions)
    limits = {BATCH: (1, None), TOKENS: (1, longest), PAST: (0, longest - 1)}
    ports = (
        TensorSpec("input_ids", "int64", (BATCH, TOKENS)),
        *(TensorSpec(name, "float32", (BATCH, heads, PAST, size)) for name in past),
        *(TensorSpec(name, "float32", (BATCH, *array.shape[1:])) for name, array in cross.items()),
    )
    presents = tuple(name.replace("cross", "present") for name in cross)
    heard_kinds: dict[str, OutputKind] = dict.fromkeys(heard, "hidden_state")
    said_kinds: dict[str, OutputKind] = {"logits": "logits"}
    said_kinds |= dict.fromkeys(presents, "hidden_state")
    sound = (TensorSpec("input_features", "float32", (BATCH, *features.shape[1:])),)
    return {
        "encoder": Stage(
            encoder,
            {"input_features": features},
            Signature(sound, tuple(heard), {BATCH: limits[BATCH]}, heard_kinds),
        ),
        "decoder": Stage(
            decoder,
            {"input_ids": ids, **past, **cross},
            Signature(ports, ("logits", *presents), limits, said_kinds),
        ),
    }


def _layers(model: Any) -> Any:
    return model.model.decoder.layers
